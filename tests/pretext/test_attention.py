"""The attention map: density, entropy, use at pixels."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.stats
import torch

from oddlens.pretext.attention import density, entropy_share, to_pixels, uniform, warn_if_collapsed


def some(count: int = 3, pieces: int = 9) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, pieces, generator=generator).mul(2).softmax(dim=1)


def one_hot(pieces: int = 9) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor([4]), pieces).float()


def test_off_is_one_nth() -> None:
    assert uniform(2, 4, torch.device("cpu")).tolist() == [[0.25] * 4] * 2


def test_density_is_n_squared_times_the_variance() -> None:
    assert density(some()).item() == pytest.approx(
        81 * float(np.var(some().numpy(), axis=1).mean()), rel=1e-5
    )
    assert density(torch.full((2, 9), 1 / 9)).item() == pytest.approx(0, abs=1e-9)
    assert density(one_hot()).item() == pytest.approx(8)


def test_the_entropy_is_scipys() -> None:
    wanted = scipy.stats.entropy(some().numpy(), axis=1) / np.log(9)
    assert entropy_share(some()).tolist() == pytest.approx(wanted.tolist(), rel=1e-5)


def test_the_entropy_monitor_fires_on_a_one_hot_map_and_only_there() -> None:
    with pytest.warns(UserWarning, match="collapsed.*lambda_d"):
        assert warn_if_collapsed(entropy_share(one_hot()).item())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not warn_if_collapsed(entropy_share(uniform(1, 9, torch.device("cpu"))).item())


def test_at_pixels_the_map_has_mean_1_over_the_centre_and_no_gradient() -> None:
    attention = some().requires_grad_()
    pixels = to_pixels(attention, 36, 4)
    assert pixels.shape == (3, 28, 28)
    assert not pixels.requires_grad
    assert pixels.mean(dim=(1, 2)).tolist() == pytest.approx([1] * 3, rel=1e-5)
    assert torch.allclose(to_pixels(torch.full((1, 9), 1 / 9), 36, 4), torch.ones(1, 28, 28))


def test_at_pixels_weight_is_where_the_piece_is() -> None:
    corner = torch.nn.functional.one_hot(torch.tensor([2]), 9).float()
    pixels = to_pixels(corner, 36, 4)[0]
    assert pixels[0, -1] == pixels.max()
    assert pixels[-1, 0] == 0
