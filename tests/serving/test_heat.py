"""Map values in 16 bits: never above what they stand for, and hardly below."""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from oddlens.serving.heat import map_values, rounded_down

MOST = 65504.0
floats = st.floats(width=32, allow_nan=False, allow_infinity=True)


@given(arrays(np.float32, (3, 5), elements=floats))
def test_values_are_rounded_down_and_hardly(values: npt.NDArray[np.float32]) -> None:
    found = rounded_down(values)
    assert found.dtype == np.float16
    exact = np.clip(values.astype(np.float64), -MOST, MOST)
    less = exact - found.astype(np.float64)
    assert (less >= 0).all()
    assert (less <= np.maximum(np.abs(exact) * 2.0**-10, 2.0**-24)).all()


@given(st.floats(-60_000, 60_000, width=16))
def test_what_fits_stays_as_it_is(value: float) -> None:
    assert rounded_down(np.array([value], np.float32))[0] == value


@given(arrays(np.float32, 9, elements=st.floats(-MOST, MOST, width=32)))
def test_no_pixel_comes_above_a_threshold(values: npt.NDArray[np.float32]) -> None:
    before, after = (each.astype(np.float64) for each in (values, rounded_down(values)))
    for threshold in before:  # those are the hard ones
        assert not ((after > threshold) & ~(before > threshold)).any()


def test_no_number_stays_none() -> None:
    assert np.isnan(rounded_down(np.array([np.nan], np.float32))).all()


def test_a_pixel_takes_two_bytes() -> None:
    sent = map_values(np.zeros((4, 8), np.float32))
    assert (sent.width, sent.height, len(base64.b64decode(sent.data))) == (8, 4, 64)
