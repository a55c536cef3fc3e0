"""Pixel metrics of many large anomaly maps, exact with ties and in bounded memory.

The three metrics come from the same counts. With anomalous pixels pooled over all images:

- pixel AUROC weighs each of them alike, and so does pixel AP;
- AUPRO (Bergmann et al. 2021, "The MVTec Anomaly Detection Dataset", section 5.2) averages the
  overlap per region. A region's overlap is the share of its pixels that are flagged, so the average
  is a true-positive rate in which a pixel weighs 1 / (area of its region x number of regions), and
  AUPRO is the area under the ROC curve with those weights, up to FPR 0.3, divided by 0.3.

So all that is needed for each distinct value that an anomalous pixel takes is: how many anomalous
pixels take it, with what weight, and how many normal pixels lie above it and at it. Only anomalous
pixels are ever held, at most ``max_pixels`` at a time; where there are more, the range of values is
cut into intervals, from an exact histogram of the values, and the maps are read again for each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from oddlens.errors import DataError, UsageError
from oddlens.evaluation.metrics import area_right_of_step

FPR_LIMIT = 0.3
MAX_PIXELS = 2**23  # anomalous pixels held at a time: at most about 0.8 GB

Keys = NDArray[np.uint32]
Mask = NDArray[np.bool_]
MapAndMask = tuple[NDArray[np.float32], Mask | None]
Progress = Callable[[str, int, int], None]

_LAST_KEY = 2**32 - 1
_COARSE = 2**16
_PHASE = "pixel metrics"


@dataclass(frozen=True)
class PixelMetrics:
    """Pixel metrics of one data set.

    Attributes:
        auroc: area under the ROC curve of all pixels of all images, ties one half, in [0, 1].
        ap: average precision of all pixels, step-wise as in scikit-learn, in (0, 1].
        aupro: area under the per-region overlap curve up to the FPR limit, normalised, in [0, 1].
        n_normal, n_anomalous: pixels.
        n_regions: 8-connected anomalous regions.
    """

    auroc: float
    ap: float
    aupro: float
    n_normal: int
    n_anomalous: int
    n_regions: int


@dataclass(frozen=True)
class ImagePixels:
    """The pixels of one image as order-preserving keys: comparing keys compares map values.

    Attributes:
        normal: (n,) uint32 keys of normal pixels.
        anomalous: (m,) uint32 keys of anomalous pixels.
        weights: (m,) float64, one over the area of each anomalous pixel's region.
        regions: how many 8-connected regions there are.
    """

    normal: Keys
    anomalous: Keys
    weights: NDArray[np.float64]
    regions: int


def pixel_metrics(
    pairs: Sequence[MapAndMask],
    *,
    fpr_limit: float = FPR_LIMIT,
    max_pixels: int = MAX_PIXELS,
    progress: Progress | None = None,
) -> PixelMetrics:
    """Pixel AUROC, pixel AP and AUPRO over all pixels of all images, exact with ties.

    A map of another size than its mask is resized bilinearly (pixel centres aligned, as torch's
    ``align_corners=False``) to the mask's size, where the metrics are computed; a mask of None
    says that all pixels of the map are normal.

    Args:
        pairs: one (map, mask) an image, read several times in order: map (H, W) float32, higher =
            more anomalous, finite; mask (H', W') bool, true = anomalous, or None.
        fpr_limit: where AUPRO's integral ends, in (0, 1].
        max_pixels: how many anomalous pixels to hold at a time (about 100 bytes each). It changes
            the number of passes over ``pairs`` (one, and two for each interval), not the result.
        progress: called with ("pixel metrics", images read, images to read).

    Raises:
        DataError: a map or mask has the wrong shape or type, a map has NaN or infinite values, or
            there are no anomalous or no normal pixels.
        UsageError: an option is out of range.
    """
    if not 0 < fpr_limit <= 1:
        raise UsageError(f"fpr_limit is {fpr_limit}, but must lie above 0 and at most at 1.")
    if max_pixels < 1:
        raise UsageError(f"max_pixels is {max_pixels}, but must be at least 1.")
    passes = 3
    normal = anomalous = regions = 0
    coarse = np.zeros(_COARSE, dtype=np.int64)
    for pixels in _read_all(pairs, progress, 0, passes):
        normal += pixels.normal.size
        anomalous += pixels.anomalous.size
        regions += pixels.regions
        coarse += np.bincount(pixels.anomalous >> 16, minlength=_COARSE)
    if not anomalous or not normal:
        lacking = "normal" if anomalous else "anomalous"
        raise DataError(
            f"pixel metrics need normal and anomalous pixels, but the masks of the {len(pairs)} "
            f"images have no {lacking} ones."
        )
    intervals = [(0, _LAST_KEY)]
    if anomalous > max_pixels:
        intervals = _cut(pairs, coarse, max_pixels)
    passes = 1 + 2 * len(intervals)
    found = 0
    roc, precision, pro = [], [], []  # summed exactly, so the number of intervals hardly matters
    for number, (first, last) in enumerate(intervals):
        reading = _read_all(pairs, progress, 1 + 2 * number, passes)
        values, counts, weights = _collect_anomalous(reading, first, last)
        reading = _read_all(pairs, progress, 2 + 2 * number, passes)
        above, at = _count_normal(reading, values)
        flagged = found + np.cumsum(counts)
        roc.append(float(np.sum(counts * area_right_of_step(above, at, normal))))
        precision.append(float(np.sum(counts * (flagged / (flagged + at)))))
        pro.append(float(np.sum(weights * area_right_of_step(above, at, fpr_limit * normal))))
        found = int(flagged[-1])
    return PixelMetrics(
        auroc=math.fsum(roc) / anomalous / normal,
        ap=math.fsum(precision) / anomalous,
        aupro=math.fsum(pro) / regions / (fpr_limit * normal),
        n_normal=normal,
        n_anomalous=anomalous,
        n_regions=regions,
    )


def read_pixels(pairs: Sequence[MapAndMask], index: int) -> ImagePixels:
    """Read, check and resize one map, and split its pixels (errors as `pixel_metrics`)."""
    values, mask = pairs[index]
    if values.ndim != 2 or not values.size or values.dtype != np.float32:
        raise DataError(
            f"map {index} is {values.dtype} of shape {values.shape}, but a map is float32 (H, W)."
        )
    if not np.isfinite(values).all():
        raise DataError(f"map {index} has NaN or infinite values, which pixel metrics cannot rank.")
    if mask is not None:
        if mask.ndim != 2 or not mask.size or mask.dtype != np.bool_:
            raise DataError(
                f"mask {index} is {mask.dtype} of shape {mask.shape}, but a mask is bool (H, W)."
            )
        values = resize_map(values, (mask.shape[0], mask.shape[1]))
    keys = sort_keys(values)
    if mask is None or not mask.any():
        nothing = np.zeros(0, dtype=np.uint32)
        return ImagePixels(keys.ravel(), nothing, np.zeros(0), 0)
    weights, regions = region_weights(mask)
    return ImagePixels(keys[~mask], keys[mask], weights, regions)


def resize_map(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize a map (H, W) float32 bilinearly to ``size`` (H', W'), antialiased where it shrinks."""
    if values.shape == size:
        return values
    # Pillow sums in double precision, so equal neighbours stay equal: no tie is broken or made.
    picture = Image.fromarray(np.ascontiguousarray(values))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def sort_keys(values: NDArray[np.float32]) -> Keys:
    """Unsigned integers in the order of the float32 values; equal (also -0 and 0) stay equal."""
    bits = (values + np.float32(0)).view(np.uint32)  # adding 0 turns -0.0 into 0.0
    # Negative floats run backwards as integers: turn them round, and set them below the positive.
    keys: Keys = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    return keys


def region_weights(mask: Mask) -> tuple[NDArray[np.float64], int]:
    """One over the area of its region for each true pixel, in C order, and the number of regions.

    Regions are 8-connected, as in the MVTec AD evaluation code.
    """
    labels, regions = ndimage.label(mask, structure=np.ones((3, 3), dtype=np.int8))
    inside = labels[mask]
    areas = np.bincount(inside, minlength=regions + 1)
    return 1.0 / areas[inside], int(regions)


def _read_all(
    pairs: Sequence[MapAndMask], progress: Progress | None, done: int, passes: int
) -> Iterator[ImagePixels]:
    """One pass over all images, of which ``done`` of ``passes`` passes came before."""
    count = len(pairs)
    for index in range(count):
        yield read_pixels(pairs, index)
        if progress is not None:
            progress(_PHASE, done * count + index + 1, passes * count)


def _collect_anomalous(
    images: Iterator[ImagePixels], first: int, last: int
) -> tuple[Keys, NDArray[np.int64], NDArray[np.float64]]:
    """Distinct keys of anomalous pixels in [first, last], highest first, with count and weight."""
    parts = []
    for pixels in images:
        wanted = (pixels.anomalous >= first) & (pixels.anomalous <= last)
        if wanted.any():
            keys = pixels.anomalous[wanted]
            parts.append(_merge(keys, np.ones(keys.size, np.int64), pixels.weights[wanted]))
    return _merge(
        np.concatenate([keys for keys, _, _ in parts]),
        np.concatenate([counts for _, counts, _ in parts]),
        np.concatenate([weights for _, _, weights in parts]),
    )


def _merge(
    keys: Keys, counts: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[Keys, NDArray[np.int64], NDArray[np.float64]]:
    """Add up what belongs to the same key; keys come out strictly decreasing."""
    order = np.argsort(keys, kind="stable")[::-1]
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return (
        keys[starts],
        np.add.reduceat(counts[order], starts),
        np.add.reduceat(weights[order], starts),
    )


def _count_normal(
    images: Iterator[ImagePixels], values: Keys
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Normal pixels strictly above, and at or above, each of the strictly decreasing values."""
    rising = values[::-1]
    # Slot 2i holds what lies between value i-1 and value i, slot 2i+1 what equals value i.
    slots = np.zeros(2 * rising.size + 1, dtype=np.int64)
    for pixels in images:
        if not pixels.normal.size:
            continue
        keys = np.sort(pixels.normal)  # sorted queries are what makes searchsorted fast
        place = np.searchsorted(rising, keys)
        equal = rising[np.minimum(place, rising.size - 1)] == keys
        slot = 2 * place + equal
        starts = np.flatnonzero(np.concatenate(([True], slot[1:] != slot[:-1])))
        slots[slot[starts]] += np.diff(np.append(starts, slot.size))
    falling = np.cumsum(slots[::-1])
    return falling[0:-1:2], falling[1::2]


def _cut(
    pairs: Sequence[MapAndMask], coarse: NDArray[np.int64], max_pixels: int
) -> list[tuple[int, int]]:
    """Intervals of keys, highest first, of at most ``max_pixels`` anomalous pixels each.

    An interval may hold more only where it is a single value; its pixels are then counted image by
    image, never held. Cut points come from an exact histogram, in two digits of 16 bits, rather
    than from sampled quantiles: the bound on memory then holds for certain.

    Args:
        pairs: as `pixel_metrics`.
        coarse: (65536,) anomalous pixels by the upper 16 bits of their key.
        max_pixels: the bound.
    """
    fine = {
        int(digit): np.zeros(_COARSE, np.int64) for digit in np.flatnonzero(coarse > max_pixels)
    }
    if fine:
        for pixels in _read_all(pairs, None, 0, 1):
            upper = pixels.anomalous >> 16
            for digit, histogram in fine.items():
                lower = pixels.anomalous[upper == digit] & (_COARSE - 1)
                np.add(histogram, np.bincount(lower, minlength=_COARSE), out=histogram)
    intervals: list[tuple[int, int]] = []
    held = 0
    for first, last, count in _cells(coarse, fine):
        if intervals and held + count <= max_pixels:
            intervals[-1] = (first, intervals[-1][1])
            held += count
        else:
            intervals.append((first, last))
            held = count
    return intervals


def _cells(
    coarse: NDArray[np.int64], fine: dict[int, NDArray[np.int64]]
) -> Iterator[tuple[int, int, int]]:
    """Filled histogram cells, highest first, as (first key, last key, count)."""
    for digit in np.flatnonzero(coarse)[::-1].tolist():
        start = digit * _COARSE
        if digit in fine:
            for lower in np.flatnonzero(fine[digit])[::-1].tolist():
                yield start + lower, start + lower, int(fine[digit][lower])
        else:
            yield start, start + _COARSE - 1, int(coarse[digit])
