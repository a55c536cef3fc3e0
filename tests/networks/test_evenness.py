"""Images without their light."""

from __future__ import annotations

import torch

from oddlens.networks.evenness import evened


def grain(side: int = 64) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randn(1, 1, side, side, generator=random)


def test_light_and_strength_of_the_grain_do_not_count() -> None:
    slope = torch.linspace(0, 0.3, 64)
    dim = evened(0.2 + slope + 0.03 * grain())
    bright = evened(0.4 - slope / 2 + 0.06 * grain())
    inner = (..., slice(8, -8), slice(8, -8))
    assert float(dim[inner].mean()) - 0.5 < 0.01
    both = torch.stack([dim[inner].flatten(), bright[inner].flatten()])
    assert float(torch.corrcoef(both)[0, 1]) > 0.98
    assert 0.08 < float(bright[inner].std()) < 0.16


def test_a_spot_stays_and_a_flat_image_is_grey() -> None:
    image = 0.5 + 0.02 * grain()
    image[..., 30:34, 30:34] -= 0.3
    found = evened(image)[0, 0]
    assert float(found[30:34, 30:34].max()) < float(found[:20, :20].min())
    assert torch.allclose(evened(torch.full((1, 3, 32, 32), 0.7)), torch.tensor(0.5), atol=1e-4)
