from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlens.errors import DataError, UsageError
from oddlens.images import holdout_split

SHARES = st.floats(0, 0.9, exclude_min=True)


@given(st.integers(4, 3000), SHARES, st.integers(0, 2**40))
def test_the_parts_are_disjoint_complete_and_never_empty(
    count: int, share: float, seed: int
) -> None:
    parts = holdout_split(count, share, seed)
    train, tune, calibration = parts
    assert sorted(train + tune + calibration) == list(range(count))
    assert all(part and part == sorted(part) for part in parts)
    held = len(tune) + len(calibration)
    assert held == min(max(round(count * share), 2), count - 1)
    assert len(tune) == max(held // 3, 1)
    assert parts == holdout_split(count, share, seed)


def test_the_split_of_an_artifact_can_be_made_again() -> None:
    # artifacts name a seed: a change here moves images between training and calibration
    assert holdout_split(10, 0.3, 7) == ([1, 2, 3, 4, 5, 6, 9], [8], [0, 7])
    assert holdout_split(200, 0.2, 0)[1] != holdout_split(200, 0.2, 1)[1]


def test_every_image_is_held_out_about_equally_often() -> None:
    held = [0] * 20
    for seed in range(500):
        _, tune, calibration = holdout_split(20, 0.25, seed)
        for index in tune + calibration:
            held[index] += 1
    # binomial(500, 1/4) has a standard deviation of 9.7
    assert all(125 - 48 < times < 125 + 48 for times in held)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_too_few_images_are_refused_with_the_minimum(count: int) -> None:
    with pytest.raises(DataError, match=f"^{count} image.*at least 4 usable normal images"):
        holdout_split(count, 0.2, 0)


@pytest.mark.parametrize("share", [0, -0.1, 0.91, 1, 20, float("nan")])
def test_a_share_out_of_range_is_a_wrong_call(share: float) -> None:
    with pytest.raises(UsageError, match="hold-out share"):
        holdout_split(100, share, 0)


def test_a_negative_seed_is_a_wrong_call() -> None:
    with pytest.raises(UsageError, match="seed is -1"):
        holdout_split(100, 0.2, -1)


def test_without_a_share_it_is_a_fifth_and_2000_images_at_most() -> None:
    for count in (4, 777, 5000, 6000, 10_000):
        assert holdout_split(count, None, 3) == holdout_split(count, 0.2, 3)
    for count in (10_001, 60_000):
        train, tune, calibration = holdout_split(count, None, 3)
        assert (len(tune), len(calibration)) == (666, 1334)
        assert len(train) == count - 2000
    assert sum(map(len, holdout_split(60_000, 0.2, 3)[1:])) == 12_000
