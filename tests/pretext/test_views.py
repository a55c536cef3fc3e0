"""Views: the same from the same seed, in range, and the image itself where nothing is drawn."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Generator

from oddlens.pretext.views import Views

STILL = Views(smallest=1.0, stretch=1.0, jitter=0.0, grey=0.0)


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_views_depend_on_the_generator_and_nothing_else() -> None:
    images = torch.rand(6, 3, 20, 24, generator=seeded(1))
    torch.manual_seed(1)
    first = Views(flips="horizontal").draw(images, seeded())
    torch.manual_seed(2)
    again, other = (Views(flips="horizontal").draw(images, seeded(seed)) for seed in (0, 5))
    assert first.shape == images.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1


def test_with_no_strength_a_view_is_the_image() -> None:
    images = torch.rand(4, 3, 17, 17, generator=seeded(1))
    assert torch.allclose(STILL.draw(images, seeded()), images, atol=1e-5)
    weak = replace(STILL, jitter=1.0, brightness=0, contrast=0, saturation=0, hue=0)
    assert torch.allclose(weak.draw(images, seeded()), images, atol=1e-4)


def test_a_crop_shows_part_of_the_image_enlarged() -> None:
    ramp = torch.linspace(0, 1, 64).expand(200, 3, 64, 64)
    found = replace(STILL, smallest=0.25).draw(ramp, seeded())
    spans = (found[..., -1] - found[..., 0]).mean(dim=(1, 2))
    assert 0.49 < float(spans.min()) < 0.6
    assert 0.9 < float(spans.max()) <= 1
    starts = found[..., 0].mean(dim=(1, 2))
    assert float(starts.max() - starts.min()) > 0.3


def test_grey_views_have_no_colour_and_as_many_as_asked_for() -> None:
    images = torch.rand(400, 3, 4, 4, generator=seeded(1))
    found = replace(STILL, grey=0.2).draw(images, seeded())
    grey = (found.amax(dim=1) - found.amin(dim=1)).amax(dim=(1, 2)) < 1e-6
    assert 0.14 < float(grey.double().mean()) < 0.26
