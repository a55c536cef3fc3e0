"""Smooth conformal p-values: ranks where there are ranks, strictly monotone everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlens.errors import DataError
from oddlens.scoring.tails import log_tails

REFERENCES = st.lists(st.integers(-50, 50).map(float), min_size=1, max_size=30)


@given(REFERENCES)
def test_the_two_tails_add_up_to_one(reference: list[float]) -> None:
    values = np.linspace(-80, 80, 161)
    log_p, log_q = log_tails(values, reference)
    assert np.allclose(np.exp(log_p) + np.exp(log_q), 1)


def test_at_held_out_values_p_is_the_conformal_rank() -> None:
    reference = [3.0, 1.0, 2.0, 5.0]
    log_p, _ = log_tails([1, 2, 3, 5], reference)
    assert np.allclose(np.exp(log_p), [4 / 5, 3 / 5, 2 / 5, 1 / 5])


@given(REFERENCES, st.floats(-200, 200), st.floats(0.01, 50))
def test_a_larger_value_is_always_rarer(reference: list[float], value: float, more: float) -> None:
    log_p, log_q = log_tails([value, value + more], reference)
    assert log_p[1] < log_p[0] or log_q[1] > log_q[0]
    assert log_p[1] <= log_p[0]
    assert log_q[1] >= log_q[0]


def test_far_out_is_told_from_further_out() -> None:
    log_p, _ = log_tails([1e3, 1e4, 1e6], np.random.default_rng(0).normal(size=50))
    assert np.isfinite(log_p).all()
    assert log_p[0] > log_p[1] > log_p[2]


def test_without_held_out_values_there_is_no_rank() -> None:
    with pytest.raises(DataError, match="no held-out normal"):
        log_tails([1.0], [])
