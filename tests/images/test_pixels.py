from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from oddlens.errors import ImageError
from oddlens.images.pixels import over_black, to_rgb, to_uint8


def test_every_16_bit_value_goes_to_the_nearest_8_bit_one() -> None:
    values = np.arange(65536, dtype=np.uint16)
    exact = (values.astype(np.int64) * 2 + 257) // 514  # round(v / 257) in whole numbers
    np.testing.assert_array_equal(to_uint8(values, "x"), exact)


def test_every_8_bit_value_survives_the_way_over_float_and_16_bits() -> None:
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(values / 255, "x"), values)
    np.testing.assert_array_equal(to_uint8((values / 255).astype(np.float32), "x"), values)
    np.testing.assert_array_equal(to_uint8((values / 255).astype(np.float16), "x"), values)
    np.testing.assert_array_equal(to_uint8(values.astype(np.uint16) * 257, "x"), values)


def test_bool_is_black_and_white() -> None:
    assert to_uint8(np.array([False, True]), "x").tolist() == [0, 255]


def test_rounding_slack_is_clipped_not_refused() -> None:
    values = np.array([-1e-6, 1 + 1e-6], dtype=np.float32)
    assert to_uint8(values, "x").tolist() == [0, 255]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([0.0, 255.0]), "from 0 to 255"),
        (np.array([-0.1, 0.5]), "from -0.1 to 0.5"),
        (np.array([0.1, np.nan]), "NaN"),
        (np.array([0.1, np.inf]), "infinite"),
        (np.array([1, 2]), "int64"),
        (np.array([1j]), "complex128"),
    ],
)
def test_values_without_a_known_scale_are_refused(values: np.ndarray, words: str) -> None:
    with pytest.raises(ImageError, match=f"^image 7: .*{words}"):
        to_uint8(values, "image 7")


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=4, max_side=9)),
)
def test_grey_in_any_layout_is_the_same_picture(grey: np.ndarray) -> None:
    wanted = np.stack([grey] * 3, axis=2)
    for values in (grey, grey[:, :, None], grey[None], wanted, wanted.transpose(2, 0, 1)):
        for channels_first in (False, True):
            rgb = to_rgb(values, "x", channels_first=channels_first)
            np.testing.assert_array_equal(rgb, wanted)
            assert rgb.flags["C_CONTIGUOUS"]


def test_a_shape_that_fits_both_layouts_is_read_as_told() -> None:
    values = np.arange(3 * 5 * 3, dtype=np.uint8).reshape(3, 5, 3)
    np.testing.assert_array_equal(to_rgb(values, "x", channels_first=False), values)
    np.testing.assert_array_equal(
        to_rgb(values, "x", channels_first=True), values.transpose(1, 2, 0)
    )


@pytest.mark.parametrize("shape", [(5,), (4, 5, 6), (4, 5, 4), (1, 2, 3, 4), (0, 5), (0, 5, 3)])
def test_shapes_that_are_no_image_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="has shape"):
        to_rgb(np.zeros(shape, dtype=np.uint8), "x")


@given(st.integers(0, 255), st.integers(0, 255))
def test_transparency_is_composited_over_black(colour: int, alpha: int) -> None:
    rgba = np.array([[[colour, 0, 255, alpha]]], dtype=np.uint8)
    wanted = [round(colour * alpha / 255), 0, alpha]
    assert over_black(rgba)[0, 0].tolist() == wanted
