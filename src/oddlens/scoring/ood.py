"""Mahalanobis distance of a classifier's answers: is this how normal images are answered?

Lee et al. 2018, as the discussion sections of MultiTask and MultiCue take it up (MC-U19): a mean
for each class and one covariance for all, of the logits of normal training images. Logits and not
probabilities: those lie on a simplex, on which the covariance would be singular.
"""

from __future__ import annotations

import torch
from torch import Tensor

_RIDGE = 1e-4


class ClassMoments:
    """Running class means and pooled covariance of logits, in float64.

    Args:
        classes: K; logits have K entries as well.
    """

    def __init__(self, classes: int) -> None:
        self._count = torch.zeros(classes, dtype=torch.float64)
        self._sum = torch.zeros(classes, classes, dtype=torch.float64)
        self._outer = torch.zeros(classes, classes, dtype=torch.float64)

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Take in ``(M, K)`` logits and their ``(M,)`` true classes."""
        values, labels = logits.detach().cpu().double(), labels.cpu()
        self._count += torch.bincount(labels, minlength=len(self._count))
        self._sum.index_add_(0, labels, values)
        self._outer += values.T @ values

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Class means ``(K, K)``, one a row, and the inverse covariance ``(K, K)``, float64.

        The covariance is that within classes, plus 0.0001 on its diagonal.
        """
        means = self._sum / self._count.clamp(min=1)[:, None]
        between = torch.einsum("k,ki,kj->ij", self._count, means, means)
        covariance = (self._outer - between) / self._count.sum().clamp(min=1)
        ridge = _RIDGE * torch.eye(len(means), dtype=torch.float64)
        return means, torch.linalg.inv(covariance + ridge)


def mahalanobis(logits: Tensor, labels: Tensor, means: Tensor, precision: Tensor) -> Tensor:
    """``(z - mu_c)' Sigma^-1 (z - mu_c)`` to the true class c, in float64.

    Args:
        logits: ``(..., K)``.
        labels: int64, of a shape that broadcasts with ``...``.
        means: ``(K, K)`` of ``ClassMoments``.
        precision: ``(K, K)``, its inverse covariance.

    Returns:
        ``(...)``, at least 0; higher = more anomalous.
    """
    away = logits.double() - means.to(logits.device)[labels]
    return torch.einsum("...i,ij,...j->...", away, precision.to(logits.device), away)
