"""Fusion: the standardised cues of one image become one score."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri_exp

from oddlens.errors import UsageError
from oddlens.scoring._arrays import FloatArray, as_scores
from oddlens.scoring.tails import log_tails

Fusion = Literal["mean", "median", "max", "min", "rank_product", "fisher", "stouffer", "min_p"]
RANKED = ("rank_product", "fisher", "stouffer", "min_p")
"""The rules that look at how rare a cue is among held-out normals, not at its size."""


def fuse(
    scores: Mapping[str, npt.ArrayLike],
    how: Fusion,
    reference: Mapping[str, npt.ArrayLike] | None = None,
) -> FloatArray:
    """Fuse cues into one score an image.

    Every rule is monotone: raising a cue never lowers the score. The result for an image does not
    depend, to the last bit, on the other images in the call or on the order of the cues.

    Args:
        scores: for each cue, (N,) standardised values, at least one cue.
        how: ``mean`` averages the evidence; ``median`` ignores a minority of odd cues; ``max``
            takes one cue's word for it; ``min`` asks all cues to agree. Four more turn each cue
            into a smooth conformal p-value first (``scoring.tails``): ``fisher`` is
            ``-2 sum log p``, ``stouffer`` the sum of normal quantiles over the root of their
            number, ``rank_product`` the negative log of the geometric mean of the ranks, which
            orders images as ``fisher`` does; ``min_p`` is the negative log of the smallest p.
        reference: for each cue, (n,) values of held-out normals; for those four.

    Returns:
        (N,) float64, higher = more anomalous, not clamped. With one cue, ``mean``, ``median``,
        ``max`` and ``min`` leave it unchanged.

    Raises:
        UsageError: an unknown ``how``, no cue, or cues with different N.
        DataError: a value, or the fused score, is not finite.
    """
    if how not in get_args(Fusion):
        raise UsageError(f"fusion {how!r} is unknown: choose one of {', '.join(get_args(Fusion))}")
    if not scores:
        raise UsageError("there is no cue to fuse")
    # Sorted by name: addition rounds, so that another order could give another last bit.
    arrays = [as_scores(scores[name], f"cue {name!r}") for name in sorted(scores)]
    sizes = {name: array.size for name, array in zip(sorted(scores), arrays, strict=True)}
    if len(set(sizes.values())) > 1:
        raise UsageError(f"cues of different numbers of images cannot be fused: {sizes}")
    if how in RANKED:
        if reference is None or any(name not in reference for name in scores):
            raise UsageError(
                f"fusion {how} ranks cues among held-out normals, and this detector kept none; "
                f"fit it with fusion={how}"
            )
        tails = [
            log_tails(array, reference[name])
            for name, array in zip(sorted(scores), arrays, strict=True)
        ]
        return as_scores(_combined(tails, how), f"{how} of the cues")
    with np.errstate(over="ignore"):  # An overflow is reported by the next line, as an error.
        fused = _RULES[how](arrays)
    return as_scores(fused, f"{how} of the cues")


def _mean(arrays: list[FloatArray]) -> FloatArray:
    # Not np.mean: it adds in another order for one image than for several.
    total = arrays[0].copy()
    for array in arrays[1:]:
        total += array
    return total / len(arrays)


def _median(arrays: list[FloatArray]) -> FloatArray:
    ranked = np.sort(np.stack(arrays), axis=0)
    middle = len(arrays) // 2
    upper: FloatArray = ranked[middle]
    return upper if len(arrays) % 2 else (ranked[middle - 1] + upper) / 2


def _max(arrays: list[FloatArray]) -> FloatArray:
    return reduce(np.maximum, arrays)


def _min(arrays: list[FloatArray]) -> FloatArray:
    return reduce(np.minimum, arrays)


def _combined(tails: list[tuple[FloatArray, FloatArray]], how: str) -> FloatArray:
    if how == "stouffer":
        # From the smaller tail: the other one is 0 to rounding.
        parts = [np.where(p < q, -ndtri_exp(p), ndtri_exp(q)) for p, q in tails]
        total: FloatArray = _mean(parts) * len(parts) ** 0.5
        return total
    if how == "min_p":
        return _max([-p for p, _ in tails])
    surprise = _mean([-p for p, _ in tails])
    return surprise * (2 * len(tails)) if how == "fisher" else surprise


_RULES: dict[str, Callable[[list[FloatArray]], FloatArray]] = {
    "mean": _mean,
    "median": _median,
    "max": _max,
    "min": _min,
}
