"""The U-Net of re-colorization."""

from __future__ import annotations

import pytest
import torch

from oddlens.networks.unet import UNet


@pytest.mark.parametrize("stem", [1, 2, 4])
@pytest.mark.parametrize("size", [16, 33, 36])
def test_any_size_comes_out_as_it_went_in(size: int, stem: int) -> None:
    network = UNet(4, 18, (8, 12, 16), stem=stem).eval()
    assert network(torch.rand(2, 4, size, size)).shape == (2, 18, size, size)


@pytest.mark.parametrize("stem", [1, 2])
def test_every_parameter_learns_and_skips_are_used(stem: int) -> None:
    torch.manual_seed(0)
    network = UNet(4, 6, (8, 12, 16), stem=stem)
    network(torch.rand(2, 4, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in network.parameters())


def test_a_corner_is_told_of_the_opposite_one() -> None:
    torch.manual_seed(0)
    network = UNet(4, 6, (8, 12, 16)).eval()
    images = torch.rand(1, 4, 16, 16, requires_grad=True)
    network(images)[0, :, 8, 8].sum().backward()
    assert images.grad is not None
    assert bool(images.grad[0, :, :2, :2].any())
    assert bool(images.grad[0, :, -2:, -2:].any())
