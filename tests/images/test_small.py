"""Images smaller than the model are counted and told of."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from oddlens.images import ArraySource, SizeWatch, stream


class Mixed:
    """Images of given (height, width)."""

    def __init__(self, *sides: tuple[int, int]) -> None:
        self.sides = sides

    def __len__(self) -> int:
        return len(self.sides)

    def name(self, index: int) -> str:
        return f"{index}.png"

    def read(self, index: int) -> np.ndarray:
        return np.full((*self.sides[index], 3), index, np.uint8)


def test_small_images_are_counted() -> None:
    watch = SizeWatch(Mixed((64, 64), (32, 100), (100, 20), (32, 32), (31, 90)), 32)
    names = [name for batch in stream(watch, 32, 2, on_bad="raise") for name in batch.names]
    assert names == [f"{index}.png" for index in range(5)]
    with pytest.warns(UserWarning, match="enlarged") as told:
        watch.warn()
    assert str(told[0].message) == (
        "2 of 5 images are smaller than the model's 32 × 32 pixels (the smallest is 20 × 100) "
        "and were enlarged, which adds no detail"
    )


def test_one_image_is_told_of_in_the_singular() -> None:
    watch = SizeWatch(Mixed((64, 64), (8, 9)), 32)
    for index in range(2):
        watch.read(index)
    with pytest.warns(UserWarning, match="1 of 2 images is smaller .* and was enlarged"):
        watch.warn()


def test_images_that_are_large_enough_are_no_matter() -> None:
    watch = SizeWatch(ArraySource(np.zeros((3, 32, 32, 3), np.uint8)), 32)
    for index in range(3):
        assert watch.read(index).shape == (32, 32, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch.warn()
