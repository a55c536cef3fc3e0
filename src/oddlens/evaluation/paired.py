"""Paired statistics: two methods on the same images, many tests at once, and the noise of seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

import numpy as np
from numpy.typing import ArrayLike

from oddlens.errors import DataError
from oddlens.evaluation.intervals import CONFIDENCE, check_options, delong_covariance


@dataclass(frozen=True)
class PairedDifference:
    """Two AUROCs on the same images.

    Attributes:
        difference: the second less the first, in [-1, 1].
        low, high: its confidence interval, in [-1, 1].
        p_value: two-sided; how often a difference as large comes about on another draw of such
            images where neither is better.
    """

    difference: float
    low: float
    high: float
    p_value: float


def delong_paired(
    first: ArrayLike, second: ArrayLike, labels: ArrayLike, *, confidence: float = CONFIDENCE
) -> PairedDifference:
    """DeLong's test of two correlated AUROCs (DeLong, DeLong and Clarke-Pearson 1988).

    The variance of the difference is c C cᵀ with c = (-1, 1) and C of ``delong_covariance``. It
    speaks of these two trained detectors and of other images; it does not know what another seed
    would have trained. Where both rank all pairs of images alike the variance is 0, and p is 1; a
    difference without variance (one is right of every pair, the other of none, or ties all) has
    p = 0, which with few images says more than they can.

    Args:
        first: (N,) finite scores, higher = more anomalous.
        second: (N,) of the same images, likewise.
        labels: (N,) true = anomalous; at least two images of either kind.
        confidence: of the interval, in (0, 1).

    Raises:
        DataError: the scores are not of the same images, or see ``delong_covariance``.
        UsageError: ``confidence`` is out of range.
    """
    check_options(1, confidence)
    rows = [np.asarray(each, dtype=np.float64) for each in (first, second)]
    if rows[0].shape != rows[1].shape or rows[0].ndim != 1:
        raise DataError(
            "paired scores are of the same images, a number for each, but have shapes "
            f"{rows[0].shape} and {rows[1].shape}"
        )
    areas, covariance = delong_covariance(np.stack(rows), labels)
    difference = float(areas[1] - areas[0])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    deviation = max(variance, 0.0) ** 0.5
    normal = NormalDist()
    reach = normal.inv_cdf((1 + confidence) / 2) * deviation
    # Rounding leaves a variance of some 1e-19 where the rankings are the same.
    if deviation < 1e-9:
        p_value = 1.0 if abs(difference) < 1e-9 else 0.0
    else:
        p_value = 2 * normal.cdf(-abs(difference) / deviation)
    return PairedDifference(
        difference, max(-1.0, difference - reach), min(1.0, difference + reach), p_value
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) adjusted p-values: below a level with that chance of any wrong one at all.

    Args:
        p_values: of M tests, each in [0, 1], in whatever way they depend on one another.

    Returns:
        M adjusted ones, in the same order, each in [0, 1] and none below its own.
    """
    order = np.argsort(p_values, kind="stable")
    count = len(p_values)
    adjusted = np.empty(count)
    highest = 0.0
    for place, at in enumerate(order):
        highest = max(highest, min(1.0, (count - place) * p_values[at]))
        adjusted[at] = highest
    return [float(value) for value in adjusted]


@dataclass(frozen=True)
class SeedNoise:
    """How much values differ between seeds, and between classes beyond that.

    Attributes:
        seed_deviation: of one value, over trainings of the same class.
        class_deviation: of classes, over what seeds make of them; 0 where seeds explain it all.
        mean_error: standard error that seeds alone give the mean over all classes, if what a seed
            does to one class is independent of what it does to another. Classes of a single seed
            take part, with the noise that the others showed.
        classes: with two seeds or more, which is what the deviations come from.
    """

    seed_deviation: float
    class_deviation: float
    mean_error: float
    classes: int


def seed_noise(values: Mapping[str, Mapping[int, float]]) -> SeedNoise | None:
    """Split the variance of values over classes and seeds: one-way analysis of variance.

    The textbook's random-effects model (Searle, Casella and McCulloch 1992, chapter 3), a value
    being a class's effect and a seed's, with its estimators by the mean squares, also where
    classes have different numbers of seeds; a negative variance of classes is 0.

    Args:
        values: by class and seed, such as AUROCs or their differences.

    Returns:
        The split, from classes with at least two seeds; None where there is none.
    """
    groups = [list(each.values()) for each in values.values() if len(each) > 1]
    if not groups:
        return None
    sizes = np.array([len(each) for each in groups], dtype=np.float64)
    count, total = len(groups), float(sizes.sum())
    means = np.array([fmean(each) for each in groups])
    within = sum(
        (value - mean) ** 2
        for each, mean in zip(groups, means.tolist(), strict=True)
        for value in each
    ) / (total - count)
    between = 0.0
    if count > 1:
        grand = float((sizes * means).sum()) / total
        mean_square = float((sizes * (means - grand) ** 2).sum()) / (count - 1)
        seeds_each = (total - float((sizes**2).sum()) / total) / (count - 1)
        between = max(0.0, (mean_square - within) / seeds_each)
    # Of the mean over classes of each class's mean over its seeds.
    every = [len(each) for each in values.values() if each]
    error = sum(within / size for size in every) ** 0.5 / len(every)
    return SeedNoise(within**0.5, between**0.5, error, count)
