"""What maps of normal images look like, pixel by pixel: where a normal image is hard to judge."""

from __future__ import annotations

import torch
from torch import Tensor


class PixelMoments:
    """Running mean and variance of maps over images."""

    def __init__(self) -> None:
        self.count = 0
        self.total = self.squares = torch.zeros((), dtype=torch.float64)

    def add(self, maps: Tensor) -> None:
        """Take in ``(K, N, layers, S, S)``."""
        self.count += maps.shape[1]
        self.total = self.total + maps.double().sum(dim=1)
        self.squares = self.squares + maps.double().square().sum(dim=1)

    def statistics(self, *, by_pixel: bool) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation, ``(K, layers, S, S)`` float32.

        By pixel, half of the variance comes from the pixel and half from the whole map: a plain
        per-pixel deviation would be tiny where normal images hardly differ, and every speck there
        an anomaly (our choice).
        """
        mean, squares = self.total / self.count, self.squares / self.count
        if not by_pixel:
            mean, squares = (
                each.mean(dim=(-2, -1), keepdim=True).expand_as(each) for each in (mean, squares)
            )
        variance = (squares - mean.square()).clamp(min=0)
        overall = variance.mean(dim=(-2, -1), keepdim=True)
        std = (0.5 * variance + 0.5 * overall).sqrt().clamp(min=1e-8)
        return mean.float().contiguous(), std.float()
