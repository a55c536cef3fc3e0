"""Maps standardised place by place: some places are hard on every image, which is not odd.

Our choice: an object that always lies the same way has places (an edge, a reflection, a corner that
is never told from another) at which every image, normal or not, gets a high value. What is odd is a
value that is high for its place. Where objects lie at random, all places are alike and this changes
nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PlaceMoments:
    """Running mean and variance of maps at every place, in float64."""

    def __init__(self) -> None:
        self._count = 0
        self._sum: Tensor | None = None
        self._squares: Tensor | None = None

    def add(self, maps: Tensor) -> None:
        """Take in maps ``(N, H, W)``."""
        values = maps.detach().double()
        total, squares = values.sum(dim=0), values.square().sum(dim=0)
        self._sum = total if self._sum is None else self._sum + total
        self._squares = squares if self._squares is None else self._squares + squares
        self._count += len(maps)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, ``(H, W)`` each, float64.

        The variance of a place is taken half way to the mean over places: at one where normal
        images never differ, an image that differs by next to nothing would else be the oddest.

        Raises:
            ValueError: nothing was added.
        """
        if self._sum is None or self._squares is None:
            raise ValueError("no map was added")
        mean = self._sum / self._count
        variance = (self._squares / self._count - mean.square()).clamp(min=0)
        scale = ((variance + variance.mean()) / 2).sqrt()
        return mean, torch.where(scale > 0, scale, torch.ones_like(scale))


class Places(nn.Module):
    """Standardises one map; leaves it as it is until it has seen normal ones.

    Args:
        size: ``(H, W)`` of the map.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def learn(self, moments: PlaceMoments) -> None:
        """Take over the statistics of normal images."""
        mean, scale = moments.statistics()
        self.mean.copy_(mean)
        self.scale.copy_(scale)

    def forward(self, maps: Tensor) -> Tensor:
        """``(N, H, W)`` to deviations from what is normal at each place, in standard deviations."""
        standardised: Tensor = (maps - self.mean) / self.scale
        return standardised
