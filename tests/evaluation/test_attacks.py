"""Presentation-attack metrics against their definitions, written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from oddlens.errors import DataError, UsageError
from oddlens.evaluation.attacks import (
    attack_intervals,
    equal_error_rate,
    rates_at,
    rates_at_bpcer,
    threshold_at_bpcer,
)

Attacked = tuple[NDArray[np.float64], NDArray[np.bool_], list[str]]


@st.composite
def attacked(draw: st.DrawFn) -> Attacked:
    """Scores with many ties or few, of bona fide and of one to three kinds of attack."""
    count = draw(st.integers(2, 40))
    level = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e6, 1e6, allow_subnormal=False))
    scores = draw(st.lists(level, min_size=count, max_size=count))
    kinds = draw(
        st.lists(st.sampled_from(["bonafide", "print", "mask"]), min_size=count, max_size=count)
    )
    kinds[0], kinds[1] = "bonafide", "print"
    return np.array(scores), np.array([kind != "bonafide" for kind in kinds]), kinds


def counted(case: Attacked, threshold: float) -> tuple[float, dict[str, float]]:
    """BPCER and APCER of each kind, presentation by presentation."""
    groups: dict[str, list[bool]] = {}
    for score, kind in zip(case[0].tolist(), case[2], strict=True):
        groups.setdefault(kind, []).append(score >= threshold)
    flagged = {kind: sum(each) / len(each) for kind, each in groups.items()}
    return flagged.pop("bonafide"), {kind: 1 - share for kind, share in flagged.items()}


@given(attacked(), st.floats(-4, 4))
def test_the_rates_are_counted_by_kind_and_the_worst_kind_counts(
    case: Attacked, threshold: float
) -> None:
    found = rates_at(*case, threshold)
    bpcer, by_kind = counted(case, threshold)
    assert found.bpcer == pytest.approx(bpcer, abs=1e-12)
    assert found.by_kind == pytest.approx(by_kind, abs=1e-12)
    assert found.apcer == pytest.approx(max(by_kind.values()), abs=1e-12)
    assert found.acer == pytest.approx((max(by_kind.values()) + bpcer) / 2, abs=1e-12)
    assert found.pooled == pytest.approx(float((case[0][case[1]] < threshold).mean()))
    assert min(found.by_kind.values()) - 1e-12 <= found.pooled <= found.apcer + 1e-12


@given(attacked(), st.sampled_from([0.0, 0.05, 0.1, 0.5, 0.9]))
def test_of_all_thresholds_that_keep_to_the_bpcer_the_lowest_is_taken(
    case: Attacked, limit: float
) -> None:
    found = rates_at_bpcer(*case, limit)
    assert found.bpcer <= limit
    thresholds = [*case[0].tolist(), float("inf")]
    allowed = [counted(case, each) for each in thresholds if counted(case, each)[0] <= limit]
    assert found.apcer == pytest.approx(min(max(rates.values()) for _, rates in allowed))
    assert threshold_at_bpcer(case[0], case[1], limit) == min(
        each for each in thresholds if counted(case, each)[0] <= limit
    )


@given(attacked())
def test_the_equal_error_rate_is_where_the_roc_curve_meets_the_diagonal(case: Attacked) -> None:
    scores, labels, _ = case
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    # Along the curve, by the length of its steps, so that upright parts are no matter.
    place = np.arange(len(fpr), dtype=np.float64)
    across, up = interp1d(place, fpr), interp1d(place, tpr)
    at = brentq(lambda x: float(across(x) + up(x) - 1), 0, place[-1], xtol=1e-14)
    found = equal_error_rate(scores, labels)
    assert found == pytest.approx(float(across(at)), abs=1e-9)
    assert found == pytest.approx(1 - float(up(at)), abs=1e-9)


@given(attacked())
def test_only_the_order_counts_and_turning_round_gives_the_complement(case: Attacked) -> None:
    scores, labels, kinds = case
    ranks = np.unique(scores, return_inverse=True)[1].astype(np.float64)
    assert equal_error_rate(np.exp(ranks / 9), labels) == equal_error_rate(scores, labels)
    assert rates_at_bpcer(1e6 * ranks - 3e7, labels, kinds) == rates_at_bpcer(*case)
    turned = equal_error_rate(-scores, labels)
    assert turned == pytest.approx(1 - equal_error_rate(scores, labels), abs=1e-12)
    assert equal_error_rate(-scores, ~labels) == pytest.approx(
        equal_error_rate(scores, labels), abs=1e-12
    )


def test_numbers_by_hand() -> None:
    scores = [0, 1, 2, 3, 4, 2.5, 3.5, 5, 6, 3, 7]
    kinds = ["bonafide"] * 5 + ["print"] * 4 + ["mask"] * 2
    labels = [kind != "bonafide" for kind in kinds]
    found = rates_at(scores, labels, kinds, 3.2)
    assert found.by_kind == {"print": 0.25, "mask": 0.5}
    assert (found.apcer, found.bpcer, found.pooled) == (0.5, 0.2, 2 / 6)
    assert found.acer == 0.35
    assert threshold_at_bpcer(scores, labels, 0.2) == 3.5
    assert equal_error_rate([1.0, 1.0], [0, 1]) == 0.5
    assert equal_error_rate([0.0, 1.0], [0, 1]) == 0.0
    assert equal_error_rate([1.0, 0.0], [0, 1]) == 1.0


def test_twenty_bona_fide_allow_one_false_alarm_at_five_percent() -> None:
    scores = [*range(20), 17.5, 19.5]
    labels = [False] * 20 + [True] * 2
    found = rates_at_bpcer(scores, labels, ["x"] * 22)
    assert (found.bpcer, found.apcer) == (0.05, 0.5)
    assert threshold_at_bpcer([0.0, 1.0, 1.0], [1, 0, 0]) == float("inf")


def test_intervals_hold_the_metric_and_narrow_with_more_presentations() -> None:
    def widths(count: int) -> dict[str, float]:
        rng = np.random.default_rng(3)
        scores = np.concatenate([rng.normal(0, 1, count), rng.normal(1.5, 1, count)])
        labels = np.repeat([False, True], count)
        kinds = ["bonafide"] * count + ["print", "mask"] * (count // 2)
        found = attack_intervals(scores, labels, kinds, threshold=0.7, replicates=200)
        rates = rates_at(scores, labels, kinds, 0.7)
        curve = rates_at_bpcer(scores, labels, kinds)
        points = {
            "eer": equal_error_rate(scores, labels),
            "apcer": rates.apcer,
            "bpcer": rates.bpcer,
            "acer": rates.acer,
            "apcer_at_bpcer": curve.apcer,
            "apcer_at_bpcer_pooled": curve.pooled,
            "apcer_at_bpcer of print": curve.by_kind["print"],
            "apcer_at_bpcer of mask": curve.by_kind["mask"],
        }
        assert found.keys() == points.keys()
        assert all(found[name].low <= points[name] <= found[name].high for name in points)
        again = attack_intervals(scores, labels, kinds, threshold=0.7, replicates=200)
        assert again == found
        return {name: found[name].high - found[name].low for name in found}

    few, many = widths(40), widths(1000)
    assert all(many[name] < few[name] for name in few)
    # A share's normal interval: 2 * 1.96 * sqrt(p (1 - p) / n), here with p = 0.24.
    assert many["bpcer"] == pytest.approx(2 * 1.96 * np.sqrt(0.24 * 0.76 / 1000), rel=0.2)


def test_the_interval_of_a_kind_is_that_of_another_implementation() -> None:
    rng = np.random.default_rng(4)
    groups = [rng.normal(mean, 1, count) for mean, count in ((0, 200), (1.0, 150), (2.5, 80))]
    kinds = ["bonafide"] * 200 + ["print"] * 150 + ["mask"] * 80
    labels = np.array(kinds) != "bonafide"
    found = attack_intervals(np.concatenate(groups), labels, kinds, threshold=0.0, replicates=600)
    for at, kind in ((1, "print"), (2, "mask")):
        expected = stats.bootstrap(
            (groups[0], groups[at]),
            # Of 200 bona fide ones ten may be flagged: what is not above the eleventh passes.
            lambda fide, attack: float((attack <= np.sort(fide)[-11]).mean()),
            vectorized=False,
            n_resamples=600,
            method="percentile",
            random_state=5,
        ).confidence_interval
        interval = found[f"apcer_at_bpcer of {kind}"]
        assert interval == pytest.approx((expected.low, expected.high), abs=0.02)


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match=r"bpcer is 1\.0"):
        threshold_at_bpcer([0.0, 1.0], [0, 1], 1.0)
    with pytest.raises(UsageError, match="threshold is not a number"):
        rates_at([0.0, 1.0], [0, 1], ["a", "b"], float("nan"))
    with pytest.raises(UsageError, match="threshold is not a number"):
        attack_intervals([0.0, 1.0], [0, 1], ["a", "b"], threshold=float("nan"))
    with pytest.raises(DataError, match="2 scores, but 1 kinds"):
        rates_at([0.0, 1.0], [0, 1], ["a"], 0.5)
    with pytest.raises(DataError, match="all 2 are normal"):
        equal_error_rate([0.0, 1.0], [0, 0])
