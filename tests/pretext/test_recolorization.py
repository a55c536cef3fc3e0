"""Re-colorization: what the network is shown, and the likelihood of what it is not."""

from __future__ import annotations

import pytest
import skimage.color
import torch
from torch import Tensor

from oddlens.networks.unet import UNet
from oddlens.pretext.recolorization import (
    centre,
    chroma,
    colour_nll,
    default_alpha,
    over_the_whole,
    to_lab,
    visible_part,
)

SIZE, ALPHA = 16, 3


def images(seed: int = 0) -> Tensor:
    return torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def test_lab_is_skimages_scaled() -> None:
    wanted = torch.from_numpy(skimage.color.rgb2lab(images().movedim(1, -1).numpy())).movedim(-1, 1)
    found = to_lab(images())
    torch.testing.assert_close(50 * (found[:, 0] + 1), wanted[:, 0].float(), rtol=0, atol=0.02)
    torch.testing.assert_close(110 * found[:, 1:], wanted[:, 1:].float(), rtol=0, atol=0.02)


def test_grey_has_no_chroma_and_colour_has() -> None:
    assert float(chroma(images()[:, :1].expand(-1, 3, -1, -1)).max()) < 0.05
    assert float(chroma(images()).min()) > 10


def test_the_network_is_shown_luminance_everywhere_and_colour_on_the_border_alone() -> None:
    lab = to_lab(images())
    shown = visible_part(lab, ALPHA)
    assert shown.shape == (2, 4, SIZE, SIZE)
    assert torch.equal(shown[:, 0], lab[:, 0])
    inside = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    inside[ALPHA:-ALPHA, ALPHA:-ALPHA] = True
    assert not shown[:, 1:][..., inside].any()
    assert torch.equal(shown[:, 1:3][..., ~inside], lab[:, 1:][..., ~inside])
    assert bool((shown[:, 3][..., ~inside] == 1).all())


def test_the_output_depends_on_the_borders_colours_and_not_on_the_centres() -> None:
    torch.manual_seed(0)
    network = UNet(4, 18, (8, 16)).eval()
    lab = to_lab(images())
    output = network(visible_part(lab, ALPHA))
    other = lab.clone()
    centre(other[:, 1:], ALPHA).add_(0.2)
    assert torch.equal(network(visible_part(other, ALPHA)), output)
    other = lab.clone()
    other[:, 1:, 0, 0] += 0.2
    assert not torch.equal(network(visible_part(other, ALPHA)), output)


def test_the_likelihood_is_that_of_the_centre() -> None:
    lab = to_lab(images())
    output = torch.randn(2, 18, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    nll = colour_nll(output, lab, ALPHA)
    assert nll.shape == (2, SIZE - 2 * ALPHA, SIZE - 2 * ALPHA)
    border = lab.clone()
    border[:, 1:, 0] += 1
    assert torch.equal(colour_nll(output, border, ALPHA), nll)
    spot = lab.clone()
    spot[0, 1, ALPHA, ALPHA + 2] += 1
    changed = colour_nll(output, spot, ALPHA) != nll
    assert changed.nonzero().tolist() == [[0, 0, 2]]


def test_the_border_takes_the_nearest_value_of_the_centre() -> None:
    found = over_the_whole(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 1)
    assert found[0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


@pytest.mark.parametrize(("size", "alpha"), [(32, 4), (64, 8), (36, 4), (4, 1)])
def test_the_border_is_an_eighth(size: int, alpha: int) -> None:
    assert default_alpha(size) == alpha
