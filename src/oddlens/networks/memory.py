"""A memory of normal prototypes: a modern Hopfield layer with learnable patterns.

AnoMem, section 3, reconstructed from its abstracts and public reviews. The maths is that of
Ramsauer et al., "Hopfield Networks is All You Need": one association of a query q with patterns k
is ``sum_m softmax_m(beta <q, k_m>) k_m``. Query and patterns are unit vectors and there are no
projections (AM-U4): a projection would let the recall leave the span of the prototypes, so that
the deviation would no longer be a distance from anything normal.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def associate(
    queries: Tensor, patterns: Tensor, beta: float, updates: int = 1
) -> tuple[Tensor, Tensor]:
    """Recall patterns.

    Args:
        queries: ``(..., C)``.
        patterns: ``(M, C)``.
        beta: inverse temperature; large recalls one pattern, 0 their mean.
        updates: associations in a row, each of what the one before recalled.

    Returns:
        Recalled ``(..., C)``, and the last association ``(..., M)``, which sums to 1.
    """
    recalled = queries
    for _ in range(updates):
        weights = (beta * recalled @ patterns.T).softmax(dim=-1)
        recalled = weights @ patterns
    return recalled, weights


class Recall(NamedTuple):
    """What a memory makes of feature maps.

    Attributes:
        observed: ``(N, C, H, W)``, the features as unit vectors, q.
        recalled: ``(N, C, H, W)``, r; no longer than 1.
        weights: ``(N, H, W, M)``, which prototypes were recalled.
        places: where the observed is the mean over an image, H = W = 1: what it is the mean of,
            ``(N, C, H_s, W_s)``; else None.
    """

    observed: Tensor
    recalled: Tensor
    weights: Tensor
    places: Tensor | None = None

    @property
    def deviation(self) -> Tensor:
        """``Delta = q - r``, ``(N, C, H, W)``: how the observed differs from the recalled."""
        return self.observed - self.recalled


class PrototypeMemory(nn.Module):
    """Prototypes of one scale, shared by all positions.

    Args:
        slots: M, how many prototypes (AM-U6).
        channels: C.
        beta: inverse temperature for unit vectors (AM-U5).
        updates: associations in a row; well-separated patterns need one.
    """

    def __init__(self, slots: int, channels: int, beta: float = 8.0, updates: int = 1) -> None:
        super().__init__()
        self.beta, self.updates = beta, updates
        # Rows of about unit length in random directions (AM-U7); only the direction counts.
        self.prototypes = nn.Parameter(torch.randn(slots, channels) / channels**0.5)

    @property
    def patterns(self) -> Tensor:
        """The prototypes as unit vectors, ``(M, C)``."""
        return F.normalize(self.prototypes, dim=1)

    def forward(self, features: Tensor) -> Recall:
        """Recall at every position of ``(N, C, H, W)``; in float32 under any autocast."""
        with torch.autocast(features.device.type, enabled=False):
            observed = F.normalize(features.float(), dim=1)
            queries = observed.permute(0, 2, 3, 1)
            recalled, weights = associate(queries, self.patterns, self.beta, self.updates)
            return Recall(observed, recalled.permute(0, 3, 1, 2), weights)


class MemoryState(NamedTuple):
    """Whether a memory is alive (AnoMem, section 10.4).

    Attributes:
        attention: perplexity of one position's recall, 1 to M, mean over positions; near M means
            that every position recalls the same mean of all prototypes.
        usage: perplexity of the mean recall, 1 to M: how many prototypes are in use.
        spread: deviation of the recalls over positions as a share of that of random unit vectors.
    """

    attention: float
    usage: float
    spread: float


def memory_state(recall: Recall) -> MemoryState:
    """Measure a memory on some normal images."""
    weights = recall.weights.detach().flatten(0, -2).double()
    each = torch.special.entr(weights).sum(dim=-1).exp().mean()
    usage = torch.special.entr(weights.mean(dim=0)).sum().exp()
    vectors = recall.recalled.detach().permute(0, 2, 3, 1).flatten(0, -2).double()
    spread = vectors.std(dim=0, correction=0).mean() * vectors.shape[1] ** 0.5
    return MemoryState(float(each), float(usage), float(spread))
