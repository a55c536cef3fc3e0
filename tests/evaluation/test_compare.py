"""Methods are compared where they were measured alike, and the test is the textbook's."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from oddlens.errors import DataError
from oddlens.evaluation.compare import compare, wilcoxon
from oddlens.evaluation.kept_scores import KeptScores, keep_scores, read_scores
from oddlens.evaluation.metrics import auroc
from oddlens.evaluation.paired import delong_paired, holm
from oddlens.evaluation.records import Record
from tests.evaluation.made_records import made


def by_hand(differences: list[float]) -> float:
    """Every choice of signs, with Pratt's ranks: zeros are ranked, and count for neither side."""
    values = np.array(differences)
    ranks = rankdata(np.abs(values))[values != 0]
    observed = abs(float((ranks * np.sign(values[values != 0])).sum()))
    every = [abs(float(np.dot(signs, ranks))) for signs in product((-1, 1), repeat=len(ranks))]
    return sum(value >= observed - 1e-9 for value in every) / len(every)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=9))
def test_the_p_value_is_that_of_all_signs(differences: list[float]) -> None:
    if len(differences) == 1 or not any(differences):
        assert wilcoxon(differences) == 1.0
    else:
        assert wilcoxon(differences) == pytest.approx(by_hand(differences), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9))
def test_who_is_first_does_not_matter(differences: list[float]) -> None:
    turned = wilcoxon([-value for value in differences])
    assert wilcoxon(differences) == pytest.approx(turned, abs=1e-12)
    assert 0 < turned <= 1


def test_many_classes() -> None:
    rng = np.random.default_rng(0)
    assert wilcoxon(rng.normal(0.02, 0.01, 40)) < 1e-6
    assert wilcoxon(rng.normal(0, 0.01, 40)) > 0.05


def pair(differences: list[float], **other: Any) -> list[Record]:
    return [
        made(f"c{at}", auroc=0.8 + (difference if method == "new" else 0), method=method, **other)
        for at, difference in enumerate(differences)
        for method in ("toy", "new")
    ]


def test_two_methods_class_by_class() -> None:
    (found,) = compare(pair([0.01, 0.02, 0.03, 0.04, 0.05, -0.001]), "toy", "new")
    assert found.wins == (1, 5)
    assert found.p_value == pytest.approx(4 / 64)
    assert found.least_p_value == pytest.approx(2 / 64)
    assert found.means == pytest.approx((0.8, 0.8 + 0.149 / 6))
    assert found.median_difference == pytest.approx(0.025)
    (turned,) = compare(pair([0.01, 0.02, 0.03, 0.04, 0.05, -0.001]), "new", "toy")
    assert turned.wins == (5, 1)
    assert turned.p_value == found.p_value


def test_only_seeds_and_classes_of_both_count() -> None:
    records = [
        *(made("a", seed, 0.8 + seed / 10) for seed in (0, 1)),
        made("b", 0, 0.7),
        made("a", 1, 0.95, method="new"),
        made("c", 0, 0.5, method="new"),
    ]
    (found,) = compare(records, "toy", "new")
    assert found.classes == {"a": (0.9, 0.95)}
    assert found.seeds == (1,)
    assert found.least_p_value == found.p_value == 1.0


@pytest.mark.parametrize(
    "other",
    [
        {"protocol": "style"},
        {"data_sha256": "1f"},
        {"test_limit": 10},
        {"provenance": {"hardware": {"device": "GPU"}}},
        {"setting": {"gamma": 0.1}},
        {"seed": 4},
        {"epochs": 2},
        {"epochs": None, "minutes": 1.0},
    ],
)
def test_what_was_measured_otherwise_is_not_compared(other: dict[str, Any]) -> None:
    records = [made("a"), made("a", **{"method": "new", **other})]
    with pytest.raises(DataError, match="never measured on the same class"):
        compare(records, "toy", "new")


def test_options_may_differ_and_of_one_method_the_budget_as_well() -> None:
    records = [
        *pair([0.1, 0.2]),
        *(made(f"c{at}", auroc=0.99, minutes=5.0, epochs=None) for at in range(2)),
        *(made(f"c{at}", auroc=0.99, options={"preset": "paper"}) for at in range(2)),
    ]
    options = [each.first.options for each in compare(records, "toy", "new")]
    assert options == ['{"preset": "compact"}', '{"preset": "paper"}']
    budgets = [(each.first.minutes, each.second.minutes) for each in compare(records, "toy", "toy")]
    assert budgets == [(None, 5.0), (None, None), (5.0, None)]
    with pytest.raises(DataError, match="no records of ssm: there are some of new, toy"):
        compare(records, "toy", "ssm")


# --- image by image, and seeds ----------------------------------------------------------------


def scored(folder: Path, target: str, seed: int, better: float, method: str) -> Record:
    """A record with the scores that it is of: both methods see the same images."""
    rng = np.random.default_rng([ord(target), seed])
    labels = np.repeat([False, True], [40, 60])
    scores = rng.normal(size=100) + labels
    if method == "new":
        scores = scores + better * labels + 0.3 * rng.normal(size=100)
    record = made(target, seed, auroc(scores, labels), method=method)
    metrics = record.metrics.model_copy(update={"n_normal": 40, "n_anomalous": 60})
    kept = KeptScores(scores, labels, np.arange(100))
    name = keep_scores(folder, record.key, kept)
    return record.model_copy(update={"metrics": metrics, "scores": name})


def test_each_trial_is_tested_by_delong_and_adjusted_after_holm(tmp_path: Path) -> None:
    records = [
        scored(tmp_path, target, seed, better, method)
        for target, better in (("a", 1.0), ("b", 0.0))
        for seed in (0, 1)
        for method in ("toy", "new")
    ]
    (found,) = compare(records, "toy", "new", scores=tmp_path)
    assert [(each.target, each.seed) for each in found.trials] == [
        *(("a", 0), ("a", 1), ("b", 0), ("b", 1))
    ]
    for each in found.trials:
        pair = [r for r in records if (r.target, r.seed) == (each.target, each.seed)]
        first, second = (read_scores(tmp_path, record) for record in pair)
        assert first is not None
        assert second is not None
        assert each.delong == delong_paired(first.scores, second.scores, first.labels)
    assert [each.adjusted for each in found.trials] == holm(
        [each.delong.p_value for each in found.trials]
    )
    assert found.trials[0].adjusted < 0.01 < 0.1 < found.trials[2].adjusted
    assert found.noise is not None
    assert found.noise.classes == 2
    (without,) = compare(records, "toy", "new")
    assert without.trials == ()


def test_only_images_that_both_could_read_are_tested(tmp_path: Path) -> None:
    first, second = (scored(tmp_path, "a", 0, 0.5, method) for method in ("toy", "new"))
    kept = read_scores(tmp_path, second)
    assert kept is not None
    part = KeptScores(kept.scores[10:], kept.labels[10:], kept.places[10:])
    of_part = {"n_normal": 30, "image_auroc": auroc(part.scores, part.labels)}
    metrics = second.metrics.model_copy(update=of_part)
    second = second.model_copy(
        update={"scores": keep_scores(tmp_path, "other", part), "metrics": metrics}
    )
    (found,) = compare([first, second], "toy", "new", scores=tmp_path)
    whole = read_scores(tmp_path, first)
    assert whole is not None
    expected = delong_paired(whole.scores[10:], part.scores, part.labels)
    assert found.trials[0].delong == expected
    assert found.noise is None


def test_scores_of_different_test_images_are_refused(tmp_path: Path) -> None:
    first, second = (scored(tmp_path, "a", 0, 0.5, method) for method in ("toy", "new"))
    kept = read_scores(tmp_path, second)
    assert kept is not None
    turned = KeptScores(kept.scores, kept.labels[::-1].copy(), kept.places)
    keep_scores(tmp_path, second.key, turned)
    of_turned = {"image_auroc": auroc(kept.scores, turned.labels)}
    metrics = second.metrics.model_copy(update=of_turned)
    with pytest.raises(DataError, match="of different test images"):
        compare(
            [first, second.model_copy(update={"metrics": metrics})],
            *("toy", "new"),
            scores=tmp_path,
        )
