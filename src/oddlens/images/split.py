"""The seeded hold-out: normal images that training does not see."""

from __future__ import annotations

import numpy as np

from oddlens.errors import DataError, UsageError

MIN_COUNT = 4
"""The fewest images that give each part one, with two to train on at the usual shares."""


def holdout_split(count: int, share: float, seed: int) -> tuple[list[int], list[int], list[int]]:
    """Divide images into those to train on and those held out, at random.

    Of the held-out images a third (at least one) is for tuning (model selection, thresholds of
    a method, standardisation) and the rest for calibration, which must meet images that nothing
    was chosen on (our choice of thirds: the guarantee's fineness grows with the calibration part).

    Args:
        count: how many images there are.
        share: the share to hold out, in (0, 0.9], rounded to whole images, at least two.
        seed: not negative; the same three arguments give the same parts.

    Returns:
        (train, tune, calibration): disjoint, sorted, together 0 .. count - 1, none empty.

    Raises:
        DataError: fewer than four images.
        UsageError: ``share`` or ``seed`` out of range.
    """
    if not 0 < share <= 0.9:
        raise UsageError(f"the hold-out share is {share}; it must lie above 0 and at most at 0.9")
    if seed < 0:
        raise UsageError(f"the seed is {seed}; it must not be negative")
    if count < MIN_COUNT:
        images = "image" if count == 1 else "images"
        raise DataError(
            f"{count} {images} cannot be split into training and hold-out: "
            f"at least {MIN_COUNT} usable normal images are needed"
        )
    held = min(max(round(count * share), 2), count - 1)
    tuning = max(held // 3, 1)
    order = np.random.default_rng(seed).permutation(count)
    parts = np.split(order, [tuning, held])
    tune, calibration, train = (np.sort(part).tolist() for part in parts)
    return train, tune, calibration
