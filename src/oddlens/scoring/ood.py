"""Mahalanobis distance within a classifier: is this how normal images are seen and answered?

Lee et al. 2018, as the discussion sections of MultiTask and MultiCue take it up (MC-U19): a mean
for each class and one covariance for all, of normal training images. Of what, the papers leave
open: the features before the head, as Lee et al. have it, or the logits. Not of probabilities:
those lie on a simplex, on which the covariance would be singular.
"""

from __future__ import annotations

import torch
from torch import Tensor

_RIDGE = 1e-4


class ClassMoments:
    """Running class means and pooled covariance of logits or features, in float64.

    Args:
        classes: K.
        entries: D of each value; None for logits, which have K.
    """

    def __init__(self, classes: int, entries: int | None = None) -> None:
        width = classes if entries is None else entries
        self._count = torch.zeros(classes, dtype=torch.float64)
        self._sum = torch.zeros(classes, width, dtype=torch.float64)
        self._outer = torch.zeros(width, width, dtype=torch.float64)

    def add(self, values: Tensor, labels: Tensor) -> None:
        """Take in ``(M, D)`` values and their ``(M,)`` true classes."""
        values, labels = values.detach().cpu().double(), labels.cpu()
        self._count += torch.bincount(labels, minlength=len(self._count))
        self._sum.index_add_(0, labels, values)
        self._outer += values.T @ values

    def statistics(self, *, shrink: bool = False) -> tuple[Tensor, Tensor]:
        """Class means ``(K, D)``, one a row, and the inverse covariance ``(D, D)``, float64.

        The covariance is that within classes, plus 0.0001 on its diagonal.

        Args:
            shrink: towards a multiple of the identity, by D / (D + M) for M values: hardly where
                there are many, so much where there are few that it can be inverted (our choice).
        """
        means = self._sum / self._count.clamp(min=1)[:, None]
        between = torch.einsum("k,ki,kj->ij", self._count, means, means)
        covariance = (self._outer - between) / self._count.sum().clamp(min=1)
        if shrink:
            width = means.shape[1]
            share = width / (width + float(self._count.sum()))
            round_ = covariance.diagonal().mean() * torch.eye(width, dtype=torch.float64)
            covariance = (1 - share) * covariance + share * round_
        ridge = _RIDGE * torch.eye(means.shape[1], dtype=torch.float64)
        return means, torch.linalg.inv(covariance + ridge)


def mahalanobis(values: Tensor, labels: Tensor, means: Tensor, precision: Tensor) -> Tensor:
    """``(z - mu_c)' Sigma^-1 (z - mu_c)`` to the true class c, in float64.

    Args:
        values: logits or features, ``(..., D)``.
        labels: int64, of a shape that broadcasts with ``...``.
        means: ``(K, D)`` of ``ClassMoments``.
        precision: ``(D, D)``, its inverse covariance.

    Returns:
        ``(...)``, at least 0; higher = more anomalous.
    """
    away = values.double() - means.to(values.device)[labels]
    return torch.einsum("...i,ij,...j->...", away, precision.to(values.device), away)
