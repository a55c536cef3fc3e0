"""Mahalanobis statistics against scikit-learn and scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis as distance
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from oddlens.scoring.ood import ClassMoments, mahalanobis


def answers(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(3).repeat(40)
    centres = 3 * torch.randn(3, 3, generator=generator)
    return centres[labels] + torch.randn(120, 3, generator=generator), labels


def fitted(logits: torch.Tensor, labels: torch.Tensor) -> ClassMoments:
    moments = ClassMoments(3)
    for start in range(0, len(logits), 50):
        moments.add(logits[start : start + 50], labels[start : start + 50])
    return moments


@given(st.integers(0, 2**31))
def test_means_and_covariance_are_those_of_linear_discriminant_analysis(seed: int) -> None:
    logits, labels = answers(seed)
    means, precision = fitted(logits, labels).statistics()
    oracle = LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True)
    oracle.fit(logits.double().numpy(), labels.numpy())
    assert np.allclose(means, oracle.means_, atol=1e-9)
    covariance = oracle.covariance_ + 1e-4 * np.eye(3)
    assert np.allclose(precision, np.linalg.inv(covariance), rtol=1e-6)


def test_features_may_have_more_entries_than_there_are_classes() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(40)
    features = torch.randn(120, 7, generator=generator) + labels[:, None]
    moments = ClassMoments(3, 7)
    moments.add(features, labels)
    means, precision = moments.statistics()
    oracle = LinearDiscriminantAnalysis(solver="lsqr", store_covariance=True)
    oracle.fit(features.double().numpy(), labels.numpy())
    assert np.allclose(means, oracle.means_, atol=1e-9)
    assert np.allclose(precision, np.linalg.inv(oracle.covariance_ + 1e-4 * np.eye(7)), rtol=1e-6)


def test_shrinkage_makes_few_values_usable_and_many_as_they_are() -> None:
    generator = torch.Generator().manual_seed(0)
    few, many = ClassMoments(2, 64), ClassMoments(2, 64)
    values = torch.randn(20_000, 64, generator=generator)
    labels = torch.arange(20_000) % 2
    few.add(values[:20], labels[:20])
    many.add(values, labels)
    # By hand: 64 / (64 + 20) of the way to the mean variance, which is about 18 / 20.
    plain, shrunk = (few.statistics(shrink=shrink)[1] for shrink in (False, True))
    assert float(torch.linalg.eigvalsh(plain).max()) == pytest.approx(1e4, rel=0.01)
    assert float(torch.linalg.eigvalsh(shrunk).max()) < 2
    as_they_are, hardly = (many.statistics(shrink=shrink)[1] for shrink in (False, True))
    assert torch.allclose(as_they_are, hardly, atol=0.01)


def test_the_distance_is_the_squared_one_of_scipy() -> None:
    logits, labels = answers(0)
    means, precision = fitted(logits, labels).statistics()
    found = mahalanobis(logits, labels, means, precision)
    assert found.dtype == torch.float64
    for z, c, value in zip(logits.double().numpy(), labels, found, strict=True):
        assert np.isclose(distance(z, means[c].numpy(), precision.numpy()) ** 2, float(value))


def test_answers_that_never_vary_have_a_finite_distance() -> None:
    moments = ClassMoments(3)
    moments.add(torch.eye(3), torch.arange(3))
    means, precision = moments.statistics()
    assert mahalanobis(torch.eye(3), torch.arange(3), means, precision).tolist() == [0, 0, 0]
    away = mahalanobis(torch.eye(3) + 0.1, torch.arange(3), means, precision)
    assert bool(away.isfinite().all())
    assert bool((away > 0).all())
