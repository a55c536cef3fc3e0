"""A deviation is measured within those of normal images at its place."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from oddlens.detectors import anomem_spread
from oddlens.detectors.anomem_spread import DeviationSpread


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
    share = anomem_spread._SHRINK
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
