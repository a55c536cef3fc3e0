"""Smooth conformal p-values of a cue: how rare is such a value among held-out normals?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oddlens.errors import DataError
from oddlens.scoring._arrays import FloatArray


def log_tails(values: npt.ArrayLike, reference: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Log p and log (1 - p) of values against held-out ones, p the share that lies above.

    At a held-out value that n' others do not exceed, p is its conformal rank, (n - n') / (n + 1);
    between two of them log-odds are interpolated. Beyond the largest, where a rank says nothing
    more and anomalies are, p falls exponentially, by the mean excess of the upper half over the
    median; below the smallest 1 - p falls likewise (our choice: strictly monotone everywhere, and
    exact where ranks are).

    Args:
        values: (N,) finite.
        reference: (n,) finite, at least one.

    Returns:
        Two (N,) float64; p is strictly decreasing in the value.

    Raises:
        DataError: the reference is empty.
    """
    known, counts = np.unique(np.asarray(reference, dtype=np.float64), return_counts=True)
    if not known.size:
        raise DataError("there is no held-out normal image to rank a cue against")
    total = counts.sum()
    below = np.cumsum(counts) - counts / 2  # ties share the middle of their ranks
    share = (total - below + 0.5) / (total + 1)
    odds = np.log(share) - np.log1p(-share)
    every = np.repeat(known, counts)
    away = every - np.median(every)
    upper, lower = (
        float(half.mean()) if half.size else 1.0 for half in (away[away > 0], -away[away < 0])
    )
    x = np.asarray(values, dtype=np.float64)
    inside = np.interp(x, known, odds)
    log_p = -np.logaddexp(0.0, -inside) - np.maximum(x - known[-1], 0.0) / upper
    log_q = -np.logaddexp(0.0, inside) - np.maximum(known[0] - x, 0.0) / lower
    above, under = x > known[-1], x < known[0]
    log_q = np.where(above, _log1mexp(log_p), log_q)
    log_p = np.where(under, _log1mexp(log_q), log_p)
    return log_p, log_q


def _log1mexp(x: FloatArray) -> FloatArray:
    """log(1 - exp(x)) for x < 0, without loss at either end."""
    safe = np.minimum(x, -1e-300)
    with np.errstate(divide="ignore"):
        found: FloatArray = np.where(
            safe > -np.log(2), np.log(-np.expm1(safe)), np.log1p(-np.exp(safe))
        )
    return found
