"""The seeded hold-out: normal images that training does not see."""

from __future__ import annotations

import numpy as np

from oddlens.errors import DataError, UsageError

SHARE = 0.2
"""The share that is held out where none is asked for."""
MOST = 2000
"""And the most images of it: 1,334 of them calibrate, which guarantees false-alarm rates down to
0.075 %; more would take minutes from training, for a fineness that nobody asked for (our choice).
Sets of up to 10,000 images are not touched by it."""
MIN_COUNT = 4
"""The fewest images that give each part one, with two to train on at the usual shares."""


def holdout_split(
    count: int, share: float | None, seed: int
) -> tuple[list[int], list[int], list[int]]:
    """Divide images into those to train on and those held out, at random.

    Of the held-out images a third (at least one) is for tuning (model selection, thresholds of
    a method, standardisation) and the rest for calibration, which must meet images that nothing
    was chosen on (our choice of thirds: the guarantee's fineness grows with the calibration part).

    Args:
        count: how many images there are.
        share: the share to hold out, in (0, 0.9], rounded to whole images, at least two; None for
            a fifth, and 2,000 images at most.
        seed: not negative; the same three arguments give the same parts.

    Returns:
        (train, tune, calibration): disjoint, sorted, together 0 .. count - 1, none empty.

    Raises:
        DataError: fewer than four images.
        UsageError: ``share`` or ``seed`` out of range.
    """
    if share is not None and not 0 < share <= 0.9:
        raise UsageError(f"the hold-out share is {share}; it must lie above 0 and at most at 0.9")
    if seed < 0:
        raise UsageError(f"the seed is {seed}; it must not be negative")
    if count < MIN_COUNT:
        images = "image" if count == 1 else "images"
        raise DataError(
            f"{count} {images} cannot be split into training and hold-out: "
            f"at least {MIN_COUNT} usable normal images are needed"
        )
    wanted = min(count * SHARE, MOST) if share is None else count * share
    held = min(max(round(wanted), 2), count - 1)
    tuning = max(held // 3, 1)
    order = np.random.default_rng(seed).permutation(count)
    parts = np.split(order, [tuning, held])
    tune, calibration, train = (np.sort(part).tolist() for part in parts)
    return train, tune, calibration
