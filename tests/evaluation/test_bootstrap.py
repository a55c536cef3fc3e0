"""The stratified bootstrap against scipy's, and how records name its ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from oddlens.errors import UsageError
from oddlens.evaluation.bootstrap import bootstrap, with_ends
from oddlens.evaluation.intervals import Interval

Groups = Sequence[NDArray[np.float64]]


def rates(groups: Groups) -> dict[str, float]:
    one, other = groups
    return {"share": float((one > 0).mean()), "gap": float((other < np.median(one)).mean())}


def drawn(sizes: tuple[int, int]) -> list[NDArray[np.float64]]:
    rng = np.random.default_rng(1)
    return [rng.normal(0, 1, sizes[0]), rng.normal(1, 1, sizes[1])]


def test_intervals_are_those_of_another_implementation() -> None:
    groups = drawn((300, 200))
    found = bootstrap(groups, rates, replicates=2000)
    for name, interval in found.items():
        expected = stats.bootstrap(
            groups,
            lambda one, other, name=name: rates([one, other])[name],
            vectorized=False,
            n_resamples=2000,
            method="percentile",
            random_state=9,
        ).confidence_interval
        assert interval == pytest.approx((expected.low, expected.high), abs=0.012)
        assert interval.low <= rates(groups)[name] <= interval.high


def test_each_group_keeps_its_size_and_the_seed_its_draw() -> None:
    seen: list[tuple[int, ...]] = []

    def sizes(groups: Groups) -> dict[str, float]:
        seen.append(tuple(map(len, groups)))
        return rates(groups)

    groups = drawn((7, 30))
    assert bootstrap(groups, sizes, replicates=5) == bootstrap(groups, sizes, replicates=5)
    assert {*seen} == {(7, 30)}
    groups = drawn((300, 200))
    one, other = (bootstrap(groups, rates, replicates=50, seed=seed) for seed in (1, 2))
    assert one != other


@pytest.mark.parametrize("option", [{"replicates": 0}, {"confidence": 1.0}])
def test_options_out_of_range_are_refused(option: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=next(iter(option))):
        bootstrap(drawn((3, 3)), rates, **option)


def test_an_end_never_takes_the_name_of_another_rate() -> None:
    points = {"of print": 0.5, "of print_low": 0.3}
    intervals = {"of print": Interval(0.4, 0.6), "of print_low": Interval(0.2, 0.35)}
    ends = {"of print_low_low": 0.2, "of print_low_high": 0.35}
    assert with_ends(points, intervals) == points | ends
