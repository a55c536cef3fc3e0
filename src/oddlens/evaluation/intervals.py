"""95 % confidence intervals of the metrics: how much another test set of the same size would tell.

Images, not pixels, are what is drawn independently, so every bootstrap here resamples whole images,
within the anomalous and within the normal ones (stratified: the numbers of both stay as they are).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from oddlens.errors import DataError, UsageError
from oddlens.evaluation.metrics import (
    Floats,
    check_scores,
    curve_area,
    curve_f1,
    curve_precision,
)
from oddlens.evaluation.pixels import (
    FPR_LIMIT,
    Keys,
    MapAndMask,
    PixelMetrics,
    Progress,
    read_pixels,
)

CONFIDENCE = 0.95
REPLICATES = 1000

_CHUNK = 2**22  # numbers in one table of replicates: 32 MiB
_SAMPLE = 2**18  # pixels of each kind from which the common thresholds are taken
_PHASE = "pixel intervals"


class Interval(NamedTuple):
    """A confidence interval; both ends in [0, 1]."""

    low: float
    high: float


def image_intervals(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[str, Interval]:
    """Stratified percentile bootstrap over images.

    Percentiles of a resampled metric need not contain the metric itself (best F1 and AP are biased
    upwards by repeated images), so the interval is widened to it where it does not: our choice.
    Where the classes are separated without error, every resample is too, and the interval is
    [1, 1]: it then says nothing about sets much larger than this one.

    Args:
        scores: (N,) finite numbers, higher = more anomalous.
        labels: (N,) true = anomalous.
        replicates: number of resampled sets.
        seed: equal seeds give equal intervals.
        confidence: share of replicates inside, in (0, 1).

    Returns:
        Intervals under "image_auroc", "image_ap" and "image_f1_max".

    Raises:
        DataError: see `oddlens.evaluation.metrics.check_scores`.
        UsageError: an option is out of range.
    """
    check_options(replicates, confidence)
    values, truth = check_scores(scores, labels)
    order = np.argsort(-values, kind="stable")
    values, truth = values[order], truth[order]
    starts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    curves: dict[str, Callable[[Floats, Floats], Floats]] = {
        "image_auroc": curve_area,
        "image_ap": curve_precision,
        "image_f1_max": curve_f1,
    }
    drawn: dict[str, list[Floats]] = {name: [] for name in curves}
    for anomalous, normal in _resamples(int(truth.sum()), int((~truth).sum()), replicates, seed):
        counts = np.zeros((2, len(anomalous), truth.size))
        counts[0][:, truth] = anomalous
        counts[1][:, ~truth] = normal
        positives, negatives = np.add.reduceat(counts, starts, axis=-1)
        for name, curve in curves.items():
            drawn[name].append(curve(positives, negatives))
    ones = truth.astype(np.float64)
    positives, negatives = np.add.reduceat(np.stack([ones, 1 - ones]), starts, axis=-1)
    return {
        name: percentiles(
            np.concatenate(drawn[name]), float(curve(positives, negatives)), confidence
        )
        for name, curve in curves.items()
    }


def delong_covariance(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats]:
    """AUROCs of K detectors on the same images, and the covariance of their estimates.

    DeLong, DeLong and Clarke-Pearson (1988), by midranks (Sun and Xu 2014): O(K N log N).

    Args:
        scores: (K, N) or (N,) finite numbers, higher = more anomalous.
        labels: (N,) true = anomalous; at least two images of either kind.

    Returns:
        (K,) AUROCs and (K, K) covariance, float64.

    Raises:
        DataError: see `oddlens.evaluation.metrics.check_scores`, or fewer than two of one kind.
    """
    rows = [check_scores(row, labels) for row in np.atleast_2d(np.asarray(scores, np.float64))]
    truth = rows[0][1]
    values = np.stack([row for row, _ in rows])
    m, n = int(truth.sum()), int((~truth).sum())
    if min(m, n) < 2:
        raise DataError(
            f"DeLong's variance needs two images of either kind, but there are {m} anomalous and "
            f"{n} normal ones: use the bootstrap, or more images."
        )
    ranks = rankdata(values, axis=1)
    # For each image: the share of the other class that it is ranked rightly against, ties one half.
    right_positive = (ranks[:, truth] - rankdata(values[:, truth], axis=1)) / n
    right_negative = 1 - (ranks[:, ~truth] - rankdata(values[:, ~truth], axis=1)) / m
    covariance = (
        np.atleast_2d(np.cov(right_positive)) / m + np.atleast_2d(np.cov(right_negative)) / n
    )
    return right_positive.mean(axis=1), covariance


def delong_interval(
    scores: ArrayLike, labels: ArrayLike, *, confidence: float = CONFIDENCE
) -> Interval:
    """DeLong's normal interval of one AUROC, clipped to [0, 1]: an alternative to the bootstrap.

    Args:
        scores: (N,) finite numbers, higher = more anomalous.
        labels: (N,) true = anomalous; at least two images of either kind.
        confidence: in (0, 1).

    Raises:
        DataError: see `delong_covariance`.
        UsageError: ``confidence`` is out of range.
    """
    check_options(1, confidence)
    areas, covariance = delong_covariance(scores, labels)
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * float(np.sqrt(covariance[0, 0]))
    area = float(areas[0])
    return Interval(max(0.0, area - reach), min(1.0, area + reach))


@dataclass(frozen=True)
class _Histograms:
    """Per image and per bin between common thresholds, highest bin first.

    Attributes:
        normal: (A, T) and then (B, T): normal pixels of images with and without anomalous pixels.
        anomalous: (A, T) anomalous pixels.
        weights: (A, T) region weights.
    """

    normal: tuple[Floats, Floats]
    anomalous: Floats
    weights: Floats


def pixel_intervals(
    pairs: Sequence[MapAndMask],
    point: PixelMetrics,
    *,
    fpr_limit: float = FPR_LIMIT,
    replicates: int = REPLICATES,
    thresholds: int = 512,
    seed: int = 0,
    confidence: float = CONFIDENCE,
    progress: Progress | None = None,
) -> dict[str, Interval]:
    """Stratified percentile bootstrap over images, of pixel AUROC, pixel AP and AUPRO.

    Each image is reduced once to histograms between ``thresholds`` common thresholds (quantiles of
    a sample of normal and of anomalous pixels), so memory is ``images x thresholds`` whatever the
    size of the maps, and a replicate is a weighted sum of histograms. Binning moves each metric a
    little; all replicates are shifted by the difference between the exact metric and the binned
    one. Our choice. Widened to the metric itself as `image_intervals`.

    Args:
        pairs: as `oddlens.evaluation.pixels.pixel_metrics`; read twice.
        point: the exact metrics of the same ``pairs`` with the same ``fpr_limit``.
        fpr_limit: where AUPRO's integral ends.
        replicates: number of resampled sets.
        thresholds: how many common thresholds, at least 2.
        seed: equal seeds give equal intervals.
        confidence: share of replicates inside, in (0, 1).
        progress: called with ("pixel intervals", images read, images to read).

    Returns:
        Intervals under "pixel_auroc", "pixel_ap" and "aupro".

    Raises:
        DataError: as `pixel_metrics`.
        UsageError: an option is out of range.
    """
    check_options(replicates, confidence)
    if thresholds < 2:
        raise UsageError(f"thresholds is {thresholds}, but must be at least 2.")
    tables = _histograms(pairs, _common_thresholds(pairs, thresholds, seed, progress), progress)
    whole = (
        tables.anomalous.sum(axis=0),
        tables.weights.sum(axis=0),
        tables.normal[0].sum(axis=0) + tables.normal[1].sum(axis=0),
    )
    drawn = []
    sizes = (len(tables.normal[0]), len(tables.normal[1]))
    for with_anomaly, without in _resamples(*sizes, replicates, seed, width=thresholds):
        negatives = with_anomaly @ tables.normal[0] + without @ tables.normal[1]
        positives, weights = with_anomaly @ tables.anomalous, with_anomaly @ tables.weights
        drawn.append(_pixel_curves(positives, weights, negatives, fpr_limit))
    binned = _pixel_curves(*whole, fpr_limit)
    exact = {"pixel_auroc": point.auroc, "pixel_ap": point.ap, "aupro": point.aupro}
    return {
        name: percentiles(
            np.concatenate([part[name] for part in drawn]) + (exact[name] - binned[name]),
            exact[name],
            confidence,
        )
        for name in exact
    }


def _pixel_curves(
    positives: Floats, weights: Floats, negatives: Floats, fpr_limit: float
) -> dict[str, Floats]:
    return {
        "pixel_auroc": curve_area(positives, negatives),
        "pixel_ap": curve_precision(positives, negatives),
        "aupro": curve_area(weights, negatives, fpr_limit),
    }


def _common_thresholds(
    pairs: Sequence[MapAndMask], count: int, seed: int, progress: Progress | None
) -> Keys:
    """Rising distinct keys: half are quantiles of normal pixels, half of anomalous ones."""
    rng = np.random.default_rng(seed)
    each = max(16, _SAMPLE // len(pairs))
    samples: tuple[list[Keys], list[Keys]] = ([], [])
    for index in range(len(pairs)):
        pixels = read_pixels(pairs, index)
        for keys, sample in zip((pixels.normal, pixels.anomalous), samples, strict=True):
            sample.append(keys if keys.size <= each else rng.choice(keys, each))
        if progress is not None:
            progress(_PHASE, index + 1, 2 * len(pairs))
    levels = np.linspace(0, 1, count // 2)
    cuts = [np.quantile(np.concatenate(s), levels, method="nearest") for s in samples]
    return np.unique(np.concatenate(cuts)).astype(np.uint32)


def _histograms(
    pairs: Sequence[MapAndMask], thresholds: Keys, progress: Progress | None
) -> _Histograms:
    bins = thresholds.size + 1

    def count(keys: Keys, weights: Floats | None = None) -> Floats:
        place = np.searchsorted(thresholds, keys, side="right")
        return np.bincount(place, weights, minlength=bins)[::-1].astype(np.float64)

    normal: tuple[list[Floats], list[Floats]] = ([], [])
    anomalous, weights = [], []
    for index in range(len(pairs)):
        pixels = read_pixels(pairs, index)
        normal[0 if pixels.regions else 1].append(count(pixels.normal))
        if pixels.regions:
            anomalous.append(count(pixels.anomalous))
            weights.append(count(pixels.anomalous, pixels.weights))
        if progress is not None:
            progress(_PHASE, len(pairs) + index + 1, 2 * len(pairs))
    return _Histograms(
        (np.reshape(normal[0], (-1, bins)), np.reshape(normal[1], (-1, bins))),
        np.stack(anomalous),
        np.stack(weights),
    )


def _resamples(
    first: int, second: int, replicates: int, seed: int, width: int = 0
) -> Iterator[tuple[Floats, Floats]]:
    """How often each image of two strata is drawn: chunks of (r, first) and (r, second) counts.

    ``width`` is how many numbers a replicate will be turned into, where that is more than images.
    """
    generators = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2)]
    chunk = max(1, _CHUNK // max(first + second, width))
    for start in range(0, replicates, chunk):
        rows = min(chunk, replicates - start)
        one, two = (
            rng.multinomial(size, np.full(size, 1 / size), size=rows)
            if size
            else np.zeros((rows, 0), dtype=np.int64)
            for rng, size in zip(generators, (first, second), strict=True)
        )
        yield one.astype(np.float64), two.astype(np.float64)


def percentiles(drawn: Floats, point: float, confidence: float) -> Interval:
    """The middle ``confidence`` of what was drawn, NaN left out, widened to ``point``."""
    tail = 50 * (1 - confidence)
    known = drawn[~np.isnan(drawn)]
    low, high = np.percentile(known, [tail, 100 - tail]) if known.size else (point, point)
    return Interval(max(0.0, min(float(low), point)), min(1.0, max(float(high), point)))


def check_options(replicates: int, confidence: float) -> None:
    """Refuse options of a bootstrap that are out of range, as a UsageError."""
    if replicates < 1:
        raise UsageError(f"replicates is {replicates}, but must be at least 1.")
    if not 0 < confidence < 1:
        raise UsageError(f"confidence is {confidence}, but must lie between 0 and 1.")
