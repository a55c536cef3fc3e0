"""Geometric transforms against numpy's own, and the lists of compositions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oddlens.pretext.geometric import (
    Rotation,
    Slide,
    Translation,
    composed,
    compositions,
    middle,
    shifted,
    turned,
)


@given(st.integers(-7, 7), st.integers(-7, 7))
def test_a_shift_is_a_roll_of_the_mirrored_image(down: int, right: int) -> None:
    images = torch.rand(2, 3, 8, 8)
    wide = np.pad(images.numpy(), ((0, 0), (0, 0), (7, 7), (7, 7)), mode="reflect")
    rolled = np.roll(wide, (down, right), axis=(-2, -1))[..., 7:-7, 7:-7]
    assert np.array_equal(shifted(images, down, right).numpy(), rolled)


@given(st.integers(0, 3))
def test_turns_add_up_to_the_identity(quarters: int) -> None:
    images = torch.rand(1, 3, 6, 6)
    assert torch.equal(turned(turned(images, quarters), 4 - quarters), images)
    assert np.array_equal(
        turned(images, quarters).numpy(), np.rot90(images.numpy(), quarters, axes=(2, 3))
    )


@pytest.mark.parametrize("name", ["vertical", "horizontal"])
def test_a_translation_moves_along_its_axis(name: str) -> None:
    image = torch.zeros(1, 1, 9, 9)
    image[..., 4, 4] = 1
    untouched, back, forth = Translation(name, 2).transforms(image, None)  # type: ignore[arg-type]
    assert torch.equal(untouched, image)
    places = {"vertical": ((2, 4), (6, 4)), "horizontal": ((4, 2), (4, 6))}[name]
    for made, place in zip((back, forth), places, strict=True):
        assert made[(0, 0, *place)] == 1
        assert made.sum() == 1


@pytest.mark.parametrize("name", ["vertical", "horizontal"])
def test_a_slide_is_a_translation_that_uncovers_more_of_the_image(name: str) -> None:
    """Where a translation mirrors, the image goes on; where it does not, both show the same."""
    images, rim = torch.rand(2, 3, 14, 14), 2
    within = middle(images, rim)
    assert within.shape == (2, 3, 10, 10)
    slid = Slide(name, rim).transforms(images, None)  # type: ignore[arg-type]
    moved = Translation(name, rim).transforms(within, None)  # type: ignore[arg-type]
    assert slid.shape == moved.shape
    assert torch.equal(slid[0], within)
    if name == "horizontal":
        slid, moved, images = slid.mT, moved.mT, images.mT
    assert torch.equal(slid[1, ..., :-rim, :], moved[1, ..., :-rim, :])
    assert torch.equal(slid[2, ..., rim:, :], moved[2, ..., rim:, :])
    assert torch.equal(slid[1, ..., -rim:, :], images[..., -rim:, rim:-rim])
    assert torch.equal(slid[2, ..., :rim, :], images[..., :rim, rim:-rim])


def test_a_rotation_has_four_answers() -> None:
    image = torch.rand(2, 3, 5, 5)
    made = Rotation().transforms(image, None)
    assert made.shape == (4, 2, 3, 5, 5)
    assert torch.equal(made[0], image)
    assert torch.equal(made[2], image.flip(-1, -2))


@pytest.mark.parametrize(("flips", "count"), [(False, 36), (True, 72)])
def test_every_composition_is_another_image(flips: bool, count: int) -> None:
    moves = compositions(flips=flips)
    assert len(set(moves)) == len(moves) == count
    made = composed(torch.rand(1, 1, 12, 12), moves, 3)
    assert len(np.unique(made.flatten(1).numpy(), axis=0)) == count


def test_the_first_composition_touches_nothing() -> None:
    image = torch.rand(1, 3, 12, 12)
    assert torch.equal(composed(image, compositions(flips=True), 3)[0], image)
