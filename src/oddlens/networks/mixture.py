"""A mixture of two-dimensional Gaussians at every pixel, and its likelihood.

MultiCue's re-colorization (third-party summary): p(A, B) = sum_k pi_k N((A, B); mu_k, Sigma_k),
with positive definite Sigma_k through a Cholesky factor. How it is parametrised is our choice
(MC-U16).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

PER_COMPONENT = 6
"""Channels of a component: logit, two means, three entries of the Cholesky factor."""
FLOOR = 0.02
"""Least diagonal of a Cholesky factor, in units of AB / 110: without it the likelihood has no bound
on flat colour (MC-U16)."""
REACH = 1.1
"""Means lie in (-1.1, 1.1): all of AB / 110, with room at the ends (MC-U16)."""


class Mixture(NamedTuple):
    """K components at every pixel; each field is ``(N, K, H, W)``.

    Attributes:
        log_weight: log pi, whose exponentials sum to 1 over K.
        mean_a: of the first coordinate.
        mean_b: of the second.
        l11: first diagonal entry of the lower Cholesky factor, at least ``FLOOR``.
        l21: entry below the diagonal, 0 for a diagonal covariance.
        l22: second diagonal entry, at least ``FLOOR``.
    """

    log_weight: Tensor
    mean_a: Tensor
    mean_b: Tensor
    l11: Tensor
    l21: Tensor
    l22: Tensor

    @classmethod
    def of(cls, output: Tensor, *, diagonal: bool = False) -> Mixture:
        """Read a network's output ``(N, 6 K, H, W)``: logits, means, Cholesky entries.

        Args:
            output: unconstrained; taken in float32 at least.
            diagonal: leave l21 out (ablation).
        """
        output = output if output.dtype == torch.float64 else output.float()
        # Channel by channel in memory: what follows goes through each at several times the speed.
        output = output.contiguous()
        logit, mean_a, mean_b, l11, l21, l22 = output.chunk(PER_COMPONENT, dim=1)
        return cls(
            logit.log_softmax(dim=1),
            REACH * mean_a.tanh(),
            REACH * mean_b.tanh(),
            F.softplus(l11) + FLOOR,
            torch.zeros_like(l21) if diagonal else l21,
            F.softplus(l22) + FLOOR,
        )

    def joint(self, ab: Tensor) -> Tensor:
        """Log pi_k + log N_k of the colours ``(N, 2, H, W)``: ``(N, K, H, W)``."""
        first = (ab[:, :1] - self.mean_a) / self.l11
        second = (ab[:, 1:] - self.mean_b - self.l21 * first) / self.l22
        distance = first.square() + second.square()
        scale = self.l11.log() + self.l22.log() + math.log(2 * math.pi)
        return self.log_weight - 0.5 * distance - scale

    def log_likelihood(self, ab: Tensor) -> Tensor:
        """Log p of the colours ``(N, 2, H, W)`` in units of AB / 110: ``(N, H, W)``, in nats."""
        return self.joint(ab).logsumexp(dim=1)
