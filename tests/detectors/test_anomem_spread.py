"""A deviation is measured within those of normal images at its place."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from oddlens.detectors.anomem_spread import MOST_CHANNELS, DeviationSpread, shrinkage


def some(count: int, seed: int = 0) -> list[Tensor]:
    generator = Generator().manual_seed(seed)
    sides = ((3, 4), (2, 9, 12))
    channels = sides[0]
    return [
        torch.randn(count, channels[0], 2, 3, generator=generator),
        torch.randn(count, channels[1], sides[1][1], sides[1][2], generator=generator),
    ]


def fitted(normal: list[Tensor]) -> DeviationSpread:
    spread = DeviationSpread((3, 4), [(2, 3), (9, 12)])
    moments = spread.moments()
    for start in range(0, len(normal[0]), 7):  # batches make no difference
        moments.add([each[start : start + 7] for each in normal])
    moments.fit()
    return spread


def test_it_is_the_mahalanobis_distance_at_each_cell() -> None:
    normal, other = some(50), some(5, seed=1)
    found = fitted(normal)(other)
    assert [tuple(each.shape) for each in found] == [(5, 2, 3), (5, 8, 8)]
    values = normal[0][:, :, 1, 2].double()
    covariance = torch.cov(values.T, correction=0)
    share = 0.1  # of 50 images of 3 channels
    covariance = (1 - share) * covariance + share * covariance.diagonal().mean() * torch.eye(3)
    away = other[0][:, :, 1, 2].double() - values.mean(dim=0)
    expected = torch.einsum("ni,ij,nj->n", away, torch.linalg.inv(covariance), away)
    assert torch.allclose(found[0][:, 1, 2].double(), expected, rtol=1e-4)


def test_until_it_is_fitted_it_is_a_squared_length() -> None:
    other = some(4)
    found = DeviationSpread((3, 4), [(2, 3), (9, 12)])(other)
    assert torch.allclose(found[0], other[0].square().sum(dim=1))


def test_where_normal_images_deviate_a_deviation_says_less() -> None:
    normal = some(80)
    normal[0][:, :, 0, 0] *= 10
    found = fitted(normal)([torch.ones(1, 3, 2, 3), torch.ones(1, 4, 9, 12)])[0][0]
    assert float(found[0, 0]) < 0.1 * float(found[1, 1])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_images_than_channels_are_enough(count: int) -> None:
    found = fitted(some(count))(some(4, seed=1))
    assert all(bool((each > 0).all()) and bool(each.isfinite().all()) for each in found)


def test_images_that_are_all_alike_are_no_trouble() -> None:
    normal = [each[:1].expand(6, -1, -1, -1) for each in some(1)]
    spread = fitted(normal)
    assert all(bool(each.isfinite().all()) for each in spread(some(2, seed=1)))
    assert all(float(each.abs().max()) < 0.1 for each in spread(normal))


def test_it_shrinks_more_where_images_are_few_and_hardly_where_they_are_many() -> None:
    assert shrinkage(128, 20) == pytest.approx(128 / 148)
    assert shrinkage(128, 1000) == pytest.approx(0.1, abs=0.02)
    assert shrinkage(32, 1000) == shrinkage(32, 10**6) == 0.1


def test_of_few_images_noise_is_not_inverted() -> None:
    normal = torch.randn(20, 64, 1, 1, generator=Generator().manual_seed(0))
    other = torch.randn(200, 64, 1, 1, generator=Generator().manual_seed(1))
    spread = DeviationSpread((64,), [(1, 1)])
    moments = spread.moments()
    moments.add([normal])
    moments.fit()
    (near,), (far,) = spread([normal]), spread([other])
    # The same noise, seen and not seen before: with a tenth it is eight times as far.
    assert float(far.mean()) < 3 * float(near.mean())


def test_wide_features_are_projected_and_lengths_kept_on_average() -> None:
    wide = 4 * MOST_CHANNELS
    spread = DeviationSpread((wide,), [(2, 2)])
    kept = sum(each.numel() for each in spread.buffers())
    assert kept < 4 * (MOST_CHANNELS**2 + MOST_CHANNELS) + wide * MOST_CHANNELS + 1
    other = torch.randn(50, wide, 2, 2, generator=Generator().manual_seed(0))
    (found,) = spread([other])
    share = float(found.mean() / other.square().sum(dim=1).mean())
    assert share == pytest.approx(MOST_CHANNELS / wide, rel=0.1)
