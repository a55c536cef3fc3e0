"""The one gate through which numbers enter scoring: float64, one-dimensional, finite."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oddlens.errors import DataError, UsageError

FloatArray = npt.NDArray[np.float64]


def as_scores(values: npt.ArrayLike, what: str) -> FloatArray:
    """Copy ``values`` into a float64 array and refuse what has no rank.

    Args:
        values: (N,) numbers; N may be 0.
        what: the subject of the error's sentence, such as ``cue 'gms'``.

    Returns:
        (N,) float64, the caller's own copy.

    Raises:
        UsageError: not numbers, or not one-dimensional.
        DataError: a value is NaN or infinite: it has no place in a ranking, and letting it through
            would silently decide a verdict.
    """
    try:
        array = np.asarray(values, dtype=np.float64).copy()
    except (TypeError, ValueError) as error:
        raise UsageError(f"{what}: expected a list of numbers ({error})") from error
    if array.ndim != 1:
        raise UsageError(f"{what}: expected one number an image, got shape {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise DataError(
            f"{what}: {bad.size} of {array.size} scores are not finite (the first is number "
            f"{bad[0]}: {array[bad[0]]}); the detector has diverged, fit it again"
        )
    return array
