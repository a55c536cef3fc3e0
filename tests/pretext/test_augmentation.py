"""What training changes of an image: which changes, and that the generator decides them."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from oddlens.pretext.augmentation import Flips, mirrored, varied
from oddlens.pretext.geometric import shifted


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_half_of_the_images_are_mirrored() -> None:
    images = torch.rand(400, 1, 4, 4)
    for flips, axes in (("horizontal", [(-1,)]), ("both", [(-1,), (-2,), (-1, -2)])):
        made = mirrored(images, flips, seeded())  # type: ignore[arg-type]
        kept = (made == images).flatten(1).all(dim=1)
        shares = [
            float((made == images.flip(axis)).flatten(1).all(1).float().mean()) for axis in axes
        ]
        expected = 1 / (len(axes) + 1)
        for share in (float(kept.float().mean()), *shares):
            assert abs(share - expected) < 0.1
        assert abs(float(kept.float().mean()) + sum(shares) - 1) < 1e-6
    assert mirrored(images, "none", seeded()) is images


def test_each_image_is_shifted_by_its_own_draw() -> None:
    image = torch.rand(1, 3, 9, 9)
    every = {
        shifted(image, down, right).numpy().tobytes()
        for down in range(-2, 3)
        for right in range(-2, 3)
    }
    made = varied(image.expand(300, -1, -1, -1), "none", 2, seeded())
    assert {each[None].numpy().tobytes() for each in made} == every
    assert varied(image, "none", 0, seeded()) is image
    again = varied(image.expand(300, -1, -1, -1), "none", 2, seeded())
    assert torch.equal(made, again)


@pytest.mark.parametrize("flips", ["none", "horizontal", "both"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_images_are_mirrored_first_and_then_shifted(
    flips: Flips, layout: torch.memory_format
) -> None:
    images = torch.rand(40, 3, 6, 9).contiguous(memory_format=layout)
    generator = seeded(3)
    wanted = mirrored(images, flips, generator)
    moves = torch.randint(-2, 3, (40, 2), generator=generator).tolist()
    made = varied(images, flips, 2, seeded(3))
    for image, mirror, (down, right) in zip(made, wanted, moves, strict=True):
        assert torch.equal(image[None], shifted(mirror[None], down, right))
