"""Ranking metrics of images, from raw scores: a small functional core in numpy.

Every metric is computed from *threshold steps*: the distinct score values, highest first, and how
many positives (anomalous) and negatives (normal) take each. Equal scores are one step, so ties are
exact, and only the order of the scores matters: nothing is clamped, squashed or binned. The
``curve_*`` functions work on the last axis, so one call also serves all bootstrap replicates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oddlens.errors import DataError, UsageError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Steps:
    """Threshold steps: a threshold at ``values[t]`` flags every score >= ``values[t]``.

    Attributes:
        values: (T,) float64, the distinct scores, strictly decreasing.
        positives: (T,) float64, how many anomalous images have exactly this score.
        negatives: (T,) float64, how many normal images have exactly this score.
    """

    values: Floats
    positives: Floats
    negatives: Floats


def check_scores(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Give scores as (N,) float64 and labels as (N,) bool, both classes present.

    Args:
        scores: (N,) numbers, higher = more anomalous; any finite range.
        labels: (N,) bool or 0/1, true = anomalous.

    Raises:
        DataError: the shapes differ, a score is NaN or infinite, a label is neither 0 nor 1, or
            only one class is present.
    """
    values = np.asarray(scores, dtype=np.float64)
    given = np.asarray(labels)
    if values.ndim != 1 or values.shape != given.shape:
        raise DataError(
            f"ranking metrics need one score and one label an image, "
            f"but the scores have shape {values.shape} and the labels {given.shape}."
        )
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise DataError(
            f"score {bad[0]} is {values[bad[0]]}: ranking metrics need finite scores, "
            f"and {bad.size} of {values.size} are not."
        )
    truth = given.astype(np.bool_)
    if not np.array_equal(truth, given):
        raise DataError("labels must be 0 (normal) or 1 (anomalous).")
    if truth.all() or not truth.any():
        kind = "anomalous" if truth.size and truth.all() else "normal"
        raise DataError(
            f"ranking metrics need normal and anomalous images, but all {truth.size} are {kind}."
        )
    return values, truth


def threshold_steps(scores: ArrayLike, labels: ArrayLike) -> Steps:
    """Count positives and negatives at each distinct score (see `check_scores` for the errors)."""
    values, truth = check_scores(scores, labels)
    distinct, place = np.unique(values, return_inverse=True)
    positives = np.bincount(place[truth], minlength=distinct.size).astype(np.float64)
    negatives = np.bincount(place[~truth], minlength=distinct.size).astype(np.float64)
    return Steps(distinct[::-1], positives[::-1], negatives[::-1])


def area_right_of_step(
    above: NDArray[Any], at: NDArray[Any], limit: NDArray[Any] | float
) -> Floats:
    """Area that one unit of true-positive weight adds under the ROC, up to ``limit`` negatives.

    A unit that is found at a step climbs linearly while the false positives grow from ``above``
    (negatives strictly above the threshold) to ``at`` (at or above it), and counts fully from
    there on to ``limit``. Linear within a step is what gives a tie one half.

    Args:
        above: negatives strictly above the threshold.
        at: negatives at or above it; broadcastable with ``above`` and not below it.
        limit: where the area ends, in negatives; it may cut a step.
    """
    left = np.maximum(np.subtract(limit, above, dtype=np.float64), 0.0)
    right = np.maximum(np.subtract(limit, at, dtype=np.float64), 0.0)
    width = np.subtract(at, above, dtype=np.float64)
    share = np.divide(left - right, width, out=np.ones_like(left), where=width > 0)
    area: Floats = (left + right) / 2 * share
    return area


def curve_area(weights: Floats, negatives: Floats, limit: float = 1.0) -> Floats:
    """Area under the ROC curve from FPR 0 to ``limit``, divided by ``limit``: in [0, 1].

    Args:
        weights: (..., T) true-positive weight of each step: counts for AUROC, region weights for
            the per-region overlap curve.
        negatives: (..., T) negatives of each step, highest threshold first.
        limit: FPR in (0, 1]; the curve is interpolated linearly there.

    Returns:
        (...) float64, NaN where there is no weight or no negative.
    """
    at = np.cumsum(negatives, axis=-1)
    end = limit * at[..., -1:]
    area = np.sum(weights * area_right_of_step(at - negatives, at, end), axis=-1)
    with np.errstate(invalid="ignore"):
        result: Floats = area / (np.sum(weights, axis=-1) * end[..., 0])
    return result


def curve_precision(positives: Floats, negatives: Floats) -> Floats:
    """Average precision, step-wise as in scikit-learn: sum of (R_t - R_{t-1}) P_t.

    Args:
        positives: (..., T) anomalous ones at each step, highest threshold first.
        negatives: (..., T) normal ones at each step.

    Returns:
        (...) float64 in (0, 1], NaN where there is no positive.
    """
    found = np.cumsum(positives, axis=-1)
    flagged = found + np.cumsum(negatives, axis=-1)
    precision = found / np.maximum(flagged, 1.0)
    with np.errstate(invalid="ignore"):
        result: Floats = np.sum(positives * precision, axis=-1) / found[..., -1]
    return result


def curve_f1(positives: Floats, negatives: Floats) -> Floats:
    """The best F1 over all thresholds; arguments and shapes as `curve_precision`."""
    found = np.cumsum(positives, axis=-1)
    flagged = found + np.cumsum(negatives, axis=-1)
    with np.errstate(invalid="ignore"):
        best: Floats = np.max(2 * found / (flagged + found[..., -1:]), axis=-1)
    return best


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve: P(anomalous > normal) + P(equal) / 2, in [0, 1].

    Args:
        scores: (N,) finite numbers, higher = more anomalous.
        labels: (N,) true = anomalous.

    Raises:
        DataError: see `check_scores`.
    """
    steps = threshold_steps(scores, labels)
    return float(curve_area(steps.positives, steps.negatives))


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Average precision (step-wise, no interpolation), in (0, 1]; arguments as `auroc`."""
    steps = threshold_steps(scores, labels)
    return float(curve_precision(steps.positives, steps.negatives))


def f1_max(scores: ArrayLike, labels: ArrayLike) -> float:
    """The best F1 that any threshold reaches, in (0, 1]; arguments as `auroc`.

    The threshold is chosen on the same labels, so this is an upper bound on what a threshold that
    is fixed beforehand reaches.
    """
    steps = threshold_steps(scores, labels)
    return float(curve_f1(steps.positives, steps.negatives))


def fpr_at_tpr(scores: ArrayLike, labels: ArrayLike, tpr: float = 0.95) -> float:
    """The lowest false-positive rate of any threshold that finds at least ``tpr`` of the anomalies.

    Steps are not interpolated: the rate is one that a real threshold gives.

    Args:
        scores: (N,) finite numbers, higher = more anomalous.
        labels: (N,) true = anomalous.
        tpr: wanted true-positive rate in (0, 1].

    Raises:
        UsageError: ``tpr`` is out of range.
        DataError: see `check_scores`.
    """
    if not 0 < tpr <= 1:
        raise UsageError(f"tpr is {tpr}, but must lie above 0 and at most at 1.")
    steps = threshold_steps(scores, labels)
    found = np.cumsum(steps.positives)
    first = int(np.argmax(found / found[-1] >= tpr))
    false = np.cumsum(steps.negatives)
    return float(false[first] / false[-1])
