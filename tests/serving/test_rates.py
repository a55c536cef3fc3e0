"""The false-alarm rates of the slider: those that can be guaranteed, and not too many."""

from __future__ import annotations

import numpy as np
import pytest

from oddlens.scoring import Calibration
from oddlens.serving.rates import ranks_offered


@pytest.mark.parametrize("held_out", [1, 2, 7, 99, 250, 4000, 10**6])
def test_ranks_are_the_small_ones_and_ever_fewer_up_to_a_half(held_out: int) -> None:
    ranks = ranks_offered(held_out)
    assert ranks[0] == 1
    assert ranks == sorted(set(ranks))
    assert max(1, 0.45 * (held_out + 1) - 1) <= ranks[-1] <= max(1, (held_out + 1) / 2)
    assert ranks[:10] == list(range(1, len(ranks[:10]) + 1))
    assert len(ranks) < 130


@pytest.mark.parametrize("held_out", [1, 7, 99, 250, 1333])
def test_a_ranks_rate_is_guaranteed_and_its_threshold_is_the_kth_largest(held_out: int) -> None:
    values = np.random.default_rng(held_out).normal(size=held_out)
    calibration = Calibration(values, values)
    for rank in ranks_offered(held_out):
        threshold = calibration.pixel_threshold(rank / (held_out + 1))
        assert threshold.guaranteed == rank / (held_out + 1)
        assert threshold.value == np.sort(values)[-rank]
