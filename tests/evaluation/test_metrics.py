from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from oddlens.errors import DataError, UsageError
from oddlens.evaluation.metrics import (
    auroc,
    average_precision,
    curve_area,
    f1_max,
    fpr_at_tpr,
    threshold_steps,
)

Scored = tuple[NDArray[np.float64], NDArray[np.bool_]]


@st.composite
def scored(draw: st.DrawFn) -> Scored:
    """Scores with many ties (few levels) or hardly any, of any magnitude, and both classes."""
    count = draw(st.integers(2, 40))
    level = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e9, 1e9, allow_subnormal=False))
    scores = draw(st.lists(level, min_size=count, max_size=count))
    labels = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    labels[0], labels[1] = True, False
    return np.array(scores), np.array(labels)


@given(scored())
def test_agrees_with_scikit_learn(case: Scored) -> None:
    scores, labels = case
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert average_precision(scores, labels) == pytest.approx(
        average_precision_score(labels, scores), abs=1e-12
    )
    precision, recall, _ = precision_recall_curve(labels, scores)
    best = np.max(2 * precision * recall / np.maximum(precision + recall, 1e-300))
    assert f1_max(scores, labels) == pytest.approx(best, abs=1e-12)


@given(scored(), st.sampled_from([0.1, 0.5, 0.8, 0.95, 1.0]))
def test_fpr_at_tpr_agrees_with_the_roc_curve(case: Scored, tpr: float) -> None:
    scores, labels = case
    fprs, tprs, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert fpr_at_tpr(scores, labels, tpr) == pytest.approx(fprs[tprs >= tpr][0], abs=1e-12)


@given(scored(), st.sampled_from([0.05, 0.3, 0.7]))
def test_partial_area_agrees_with_an_interpolated_trapezoid(case: Scored, limit: float) -> None:
    scores, labels = case
    fprs, tprs, _ = roc_curve(labels, scores, drop_intermediate=False)
    # At a jump of the curve the limit takes the upper value, which is the last of equal FPRs.
    inside = fprs <= limit
    xs, ys = fprs[inside], tprs[inside]
    if xs[-1] < limit:
        x1, y1 = fprs[len(xs)], tprs[len(xs)]
        ys = np.append(ys, ys[-1] + (limit - xs[-1]) * (y1 - ys[-1]) / (x1 - xs[-1]))
        xs = np.append(xs, limit)
    steps = threshold_steps(scores, labels)
    expected = np.trapezoid(ys, xs) / limit
    assert curve_area(steps.positives, steps.negatives, limit) == pytest.approx(expected, abs=1e-9)


@given(scored())
def test_only_the_order_counts(case: Scored) -> None:
    scores, labels = case
    ranks = np.unique(scores, return_inverse=True)[1].astype(np.float64)
    for transformed in (ranks, np.exp(ranks / 2), 1e6 * ranks - 3e7, np.arctan(ranks / 9)):
        for metric in (auroc, average_precision, f1_max, fpr_at_tpr):
            assert metric(transformed, labels) == metric(scores, labels)


@given(scored())
def test_turned_round_scores_or_labels_give_the_complement(case: Scored) -> None:
    scores, labels = case
    assert auroc(-scores, labels) == pytest.approx(1 - auroc(scores, labels), abs=1e-12)
    assert auroc(scores, ~labels) == pytest.approx(1 - auroc(scores, labels), abs=1e-12)


@given(scored())
def test_ranges(case: Scored) -> None:
    scores, labels = case
    assert 0 <= auroc(scores, labels) <= 1
    assert 0 < average_precision(scores, labels) <= 1
    assert f1_max(scores, labels) <= 1
    # Flagging everything is always possible.
    share = labels.mean()
    assert f1_max(scores, labels) >= 2 * share / (1 + share) - 1e-12
    assert 0 <= fpr_at_tpr(scores, labels) <= 1


def test_scores_are_not_squashed() -> None:
    # A sigmoid or a clamp to [0, 1] makes ties of these and loses the order.
    scores = [-1e6, -2.0, -1.0, 5.0, 6.0, 1e6]
    assert auroc(scores, [0, 0, 1, 0, 1, 1]) == 8 / 9
    assert auroc([1e6, 1e6 + 1, -1e6, -1e6 - 1], [0, 1, 1, 0]) == 0.75
    assert average_precision([1e6 + 1, 1e6, -1e6], [1, 0, 0]) == 1.0


def test_ties_count_one_half() -> None:
    assert auroc([1.0, 1.0, 1.0, 1.0], [0, 1, 0, 1]) == 0.5
    assert auroc([0.0, 1.0, 1.0], [0, 0, 1]) == 0.75
    assert average_precision([7.0, 7.0, 7.0, 7.0], [0, 1, 0, 0]) == 0.25


def test_float64_is_kept() -> None:
    # In float32 these are equal.
    assert auroc([1.0, 1.0 + 1e-12], [0, 1]) == 1.0


@pytest.mark.parametrize("metric", [auroc, average_precision, f1_max, fpr_at_tpr])
@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_refused(metric: type, label: int) -> None:
    kind = ["normal", "anomalous"][label]
    with pytest.raises(DataError, match=f"all 3 are {kind}"):
        metric([1.0, 2.0, 3.0], [label] * 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(DataError, match="score 1 is"):
        auroc([0.0, bad, 1.0], [0, 1, 0])


def test_malformed_input_is_refused() -> None:
    with pytest.raises(DataError, match="shape"):
        auroc([0.0, 1.0], [0, 1, 1])
    with pytest.raises(DataError, match="shape"):
        auroc([[0.0, 1.0]], [[0, 1]])
    with pytest.raises(DataError, match="labels must be"):
        auroc([0.0, 1.0], [-1, 1])
    with pytest.raises(DataError, match="all 0 are"):
        auroc([], [])
    with pytest.raises(UsageError, match="tpr is 0"):
        fpr_at_tpr([0.0, 1.0], [0, 1], 0)


def test_importing_the_package_does_not_load_torch() -> None:
    code = "import sys, oddlens.evaluation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
