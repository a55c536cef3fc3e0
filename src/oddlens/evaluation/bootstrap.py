"""A stratified bootstrap of any rates of scores: drawn anew within each group of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from oddlens.evaluation.intervals import (
    CONFIDENCE,
    REPLICATES,
    Interval,
    check_options,
    percentiles,
)
from oddlens.evaluation.metrics import Floats

Rates = Callable[[Sequence[Floats]], dict[str, float]]
"""From the groups' scores to rates in [0, 1], each time under the same names."""


def bootstrap(
    groups: Sequence[Floats],
    rates: Rates,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> dict[str, Interval]:
    """Percentile intervals; each replicate draws as many of each group as there are.

    Widened to the rates themselves as `oddlens.evaluation.intervals.image_intervals`.

    Args:
        groups: (N_i,) finite scores of each group, none of them empty.
        rates: what is measured.
        replicates: number of resampled sets.
        seed: equal seeds give equal intervals.
        confidence: share of replicates inside, in (0, 1).

    Returns:
        An interval for each rate.

    Raises:
        UsageError: an option is out of range.
    """
    check_options(replicates, confidence)
    rng = np.random.default_rng(seed)
    drawn = [rates([rng.choice(one, len(one)) for one in groups]) for _ in range(replicates)]
    return {
        name: percentiles(np.array([one[name] for one in drawn]), point, confidence)
        for name, point in rates(groups).items()
    }


def with_ends(points: Mapping[str, float], intervals: Mapping[str, Interval]) -> dict[str, float]:
    """Metrics as records hold them: each under its name, its interval as ``_low`` and ``_high``.

    A kind of attack may be called so that its rate has the name of another's end; that other one
    then goes without an interval.
    """
    found = dict(points)
    for name, interval in intervals.items():
        ends = {f"{name}_low": interval.low, f"{name}_high": interval.high}
        if not ends.keys() & points.keys():
            found |= ends
    return found
