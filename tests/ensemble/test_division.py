"""What calibrates an ensemble has been met by no member; images of one fit keep their parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlens.ensemble.division import divide
from oddlens.errors import DataError
from oddlens.images import KnownImages, holdout_split


def named(indices: list[int]) -> frozenset[str]:
    return frozenset(map(str, indices))


def all_of(count: int) -> dict[int, str]:
    return {index: str(index) for index in range(count)}


@given(st.integers(4, 300), st.floats(0.05, 0.9), st.integers(0, 9), st.integers(0, 9))
def test_the_parts_of_a_fit_are_kept(count: int, share: float, seed: int, other: int) -> None:
    train, tune, calibration = holdout_split(count, share, seed)
    member = KnownImages(named(train), named(tune))
    found = divide(all_of(count), [member, member], other)
    assert found.trained == train
    assert found.calibration == calibration
    assert set(tune) <= set(found.scale) <= {*tune, *train}
    assert len(found.scale) == max(len(tune), min(8, len(tune) + len(train)))


KINDS = st.lists(st.sampled_from(["train", "tune", "fresh"]), min_size=1, max_size=60)


@given(KINDS.flatmap(lambda one: st.tuples(st.just(one), st.permutations(one))), st.integers(0, 99))
def test_what_calibrates_was_met_by_nobody(kinds: tuple[list[str], list[str]], seed: int) -> None:
    members = [
        KnownImages(*(named([i for i, k in enumerate(each) if k == w]) for w in ("train", "tune")))
        for each in kinds
    ]
    count = len(kinds[0])
    met = {i for i in range(count) if any(each[i] != "fresh" for each in kinds)}
    try:
        found = divide(all_of(count), members, seed)
    except DataError:
        assert count - len(met) <= 1
        return
    assert not met & {*found.calibration}
    assert not {*found.scale} & {*found.calibration}
    assert found.scale
    assert found == divide(all_of(count), members, seed)


def test_a_third_of_fresh_images_scales() -> None:
    stranger = KnownImages(frozenset({"x"}), frozenset({"y"}))
    found = divide(all_of(30), [stranger], seed=1)
    assert (len(found.trained), len(found.scale), len(found.calibration)) == (0, 10, 20)
    assert found.scale != divide(all_of(30), [stranger], seed=2).scale


def test_nothing_left_says_what_is_missing() -> None:
    member = KnownImages(named([0, 1]), named([2]))
    with pytest.raises(DataError, match=r"on 3 of the 3 normal images, which leaves 0"):
        divide(all_of(3), [member], 0)
    with pytest.raises(DataError, match="give at least two that no member has met"):
        divide(all_of(1), [KnownImages(frozenset(), frozenset())], 0)
