"""What training changes of an image: which changes, and that the generator decides them."""

from __future__ import annotations

import torch
from torch import Generator

from oddlens.pretext.augmentation import jittered, mirrored
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
    made = jittered(image.expand(300, -1, -1, -1), 2, seeded())
    assert {each[None].numpy().tobytes() for each in made} == every
    assert jittered(image, 0, seeded()) is image
    again = jittered(image.expand(300, -1, -1, -1), 2, seeded())
    assert torch.equal(made, again)
