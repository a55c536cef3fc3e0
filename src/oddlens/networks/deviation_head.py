"""A learned distance on deviation maps (AnoMem, section 7.2; its form is our choice, AM-U15)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class DeviationHead(nn.Module):
    """``D(x) = sqrt(||A e||^2 + 1) - 1``, e what convolutions make of the deviations.

    On each scale ``g_s``: 1 x 1 convolution, ReLU, 3 x 3 convolution, ReLU, largest over positions;
    ``e`` joins ``sqrt(lambda_s) g_s(sqrt(C_s) Delta_s)`` of all scales. It stays a distance: 0 at
    best, and growing without bound.

    Args:
        channels: of the scales.
        weights: lambda_s of the scales.
        width: channels within.
    """

    def __init__(self, channels: Sequence[int], weights: Sequence[float], width: int = 64) -> None:
        super().__init__()
        self.scales = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(each, width, 1),
                nn.ReLU(),
                nn.Conv2d(width, width, 3, padding=1),
                nn.ReLU(),
            )
            for each in channels
        )
        self.gains = [weight**0.5 for weight in weights]
        self.last = nn.Linear(width * len(channels), width, bias=False)

    def forward(self, deviations: Sequence[Tensor]) -> Tensor:
        """Deviations ``(N, C_s, H_s, W_s)``, shallow to deep, to distances ``(N,)``."""
        seen = [
            gain * scale(each.shape[1] ** 0.5 * each).amax(dim=(-2, -1))
            for gain, scale, each in zip(self.gains, self.scales, deviations, strict=True)
        ]
        squared = self.last(torch.cat(seen, dim=1)).float().square().sum(dim=1)
        # sqrt(1 + s) - 1, without cancelling where s is small.
        distance: Tensor = squared / ((squared + 1).sqrt() + 1)
        return distance


def distance_loss(distances: Tensor, normal: Tensor) -> Tensor:
    """``D`` of normal images and ``-log(1 - exp(-D) + 1e-6)`` of anomalies, each a mean, summed.

    Args:
        distances: ``(N,)``, at least 0.
        normal: ``(N,)`` bool; both kinds weigh the same, however many there are.
    """
    near = distances[normal]
    far = -torch.log(-torch.expm1(-distances[~normal]) + 1e-6)
    return sum((each.mean() for each in (near, far) if len(each)), distances.new_zeros(()))
