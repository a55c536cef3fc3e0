from __future__ import annotations

import numpy as np
import pytest
import torch

from oddlens.images import prepare
from oddlens.images.prepare import squash, to_tensor

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(8, 8), (5, 9), (40, 30), (1, 1), (300, 7)])
def test_any_size_becomes_the_square(shape: tuple[int, int]) -> None:
    pixels = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    prepared = prepare(pixels, 8)
    assert prepared.shape == (3, 8, 8)
    assert prepared.dtype == np.uint8
    assert prepared.flags["C_CONTIGUOUS"]


def test_the_right_size_is_kept_to_the_bit() -> None:
    pixels = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(prepare(pixels, 8), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("shape", [(64, 64), (47, 90), (20, 20)])
def test_the_filter_is_the_antialiased_bilinear_one(shape: tuple[int, int]) -> None:
    pixels = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(torch.float64)
    wanted = torch.nn.functional.interpolate(
        planes, size=(24, 24), mode="bilinear", antialias=True, align_corners=False
    )
    assert np.abs(prepare(pixels, 24) - wanted[0].numpy()).max() <= 1  # two roundings to 8 bits


def test_a_fine_pattern_turns_grey_instead_of_aliasing() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(prepare(stripes, 16).astype(int)[:, :, 2:-2] - 127.5).max() < 8


def test_a_batch_is_float_between_0_and_1_and_channels_last() -> None:
    pixels = RNG.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    batch = to_tensor(pixels)
    assert batch.shape == (2, 3, 8, 8)
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(
        batch.numpy(), pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    )


def test_both_layouts_are_the_same_picture() -> None:
    pixels = RNG.integers(0, 256, (30, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(squash(pixels, 8).transpose(2, 0, 1), prepare(pixels, 8))
