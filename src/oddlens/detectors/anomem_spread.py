"""How far a deviation is, measured by how normal images deviate there.

A squared length takes all directions and places alike. But where normal images differ (a print on a
shirt), a deviation says little, and in a direction in which they never do, a small one says much:
so each cell of a feature map has its own mean and covariance of normal deviations, as PaDiM has it
of features (Defard et al. 2021). Our choice (AM-U14): the original's distance is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELLS = 8
"""Most cells along a side; finer maps are averaged to it, which bounds statistics and noise."""
MOST_CHANNELS = 128
"""Kept of wider features, by a random projection: PaDiM found a random part of the channels to do
as well as all, and a covariance of each cell costs their square (88 MB for ResNet-18 at 256 pixels,
against 13 MB; our choice)."""
_SHRINK = 0.1
"""Of a covariance towards a multiple of the identity, at least; see ``shrinkage``."""


def shrinkage(entries: int, images: int) -> float:
    """Share of the identity in the covariance of a cell.

    ``D / (D + M)`` for M images and D entries, as for the deepest features (``ClassMoments``), so
    much where images are few that noise is not inverted, and a tenth where there are many (our
    choice).
    """
    return max(_SHRINK, entries / (entries + images))


class DeviationSpread(nn.Module):
    """Mean and whitening of the deviations at each cell of each scale.

    Until ``fitted`` it is a squared length.

    Args:
        channels: of the scales.
        sides: height and width of each scale's feature map.
    """

    def __init__(self, channels: Sequence[int], sides: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.sides = [(min(height, CELLS), min(width, CELLS)) for height, width in sides]
        self.channels = tuple(min(each, MOST_CHANNELS) for each in channels)
        self._projected = tuple(each > MOST_CHANNELS for each in channels)
        for scale, each in enumerate(channels):
            if self._projected[scale]:
                self.register_buffer(f"projection_{scale}", _projection(each))
        pairs = zip(count(), self.sides, self.channels, strict=False)
        for scale, (height, width), entries in pairs:
            cells = height * width
            self.register_buffer(f"mean_{scale}", torch.zeros(cells, 1, entries))
            eye = torch.eye(entries).expand(cells, entries, entries).clone()
            self.register_buffer(f"whitening_{scale}", eye)

    def forward(self, deviations: Sequence[Tensor]) -> list[Tensor]:
        """Deviations ``(N, C_s, H_s, W_s)`` to squared distances ``(N, h_s, w_s)``."""
        found = []
        for scale, each in enumerate(deviations):
            mean, whitening = (self.get_buffer(f"{name}_{scale}") for name in ("mean", "whitening"))
            away = (self.cells(each, scale) - mean) @ whitening
            height, width = self.sides[scale]
            found.append(away.square().sum(dim=-1).T.reshape(-1, height, width))
        return found

    def moments(self) -> SpreadMoments:
        """An empty sum, for normal images to come."""
        return SpreadMoments(self)

    def cells(self, deviation: Tensor, scale: int) -> Tensor:
        """``(N, C, H, W)`` to ``(h w, N, C')``, C' at most ``MOST_CHANNELS``."""
        pooled = F.adaptive_avg_pool2d(deviation.contiguous(), self.sides[scale])
        cells = pooled.flatten(2).permute(2, 0, 1)
        if self._projected[scale]:
            cells = cells @ self.get_buffer(f"projection_{scale}")
        return cells


def _projection(channels: int) -> Tensor:
    """Orthonormal columns in random directions, always the same, ``(C, MOST_CHANNELS)``."""
    drawn = torch.randn(channels, MOST_CHANNELS, generator=torch.Generator().manual_seed(0))
    found: Tensor = torch.linalg.qr(drawn).Q
    return found


class SpreadMoments:
    """Running sums of deviations, in float64.

    Args:
        spread: whose.
    """

    def __init__(self, spread: DeviationSpread) -> None:
        self._spread = spread
        self._count = 0
        shapes = [
            (height * width, entries)
            for (height, width), entries in zip(spread.sides, spread.channels, strict=True)
        ]
        self._sums = [torch.zeros(cells, n, dtype=torch.float64) for cells, n in shapes]
        self._outers = [torch.zeros(cells, n, n, dtype=torch.float64) for cells, n in shapes]

    def add(self, deviations: Sequence[Tensor]) -> None:
        """Take in deviations ``(N, C_s, H_s, W_s)`` of normal images."""
        self._count += len(deviations[0])
        for scale, each in enumerate(deviations):
            cells = self._spread.cells(each, scale).cpu().double()
            self._sums[scale] += cells.sum(dim=1)
            self._outers[scale] += cells.mT @ cells

    def fit(self) -> None:
        """Hand mean and whitening to the spread; at least one image must have been added."""
        for scale, (total, outer) in enumerate(zip(self._sums, self._outers, strict=True)):
            mean = total / self._count
            covariance = outer / self._count - mean[:, :, None] * mean[:, None, :]
            width = covariance.shape[-1]
            size = covariance.diagonal(dim1=-2, dim2=-1).mean(dim=-1).clamp(min=1e-12)
            eye = torch.eye(width, dtype=torch.float64)
            share = shrinkage(width, self._count)
            covariance = (1 - share) * covariance + share * size[:, None, None] * eye
            # ||x W||^2 = x' C^-1 x with W the Cholesky factor of the inverse.
            whitening = torch.linalg.cholesky(torch.linalg.inv(covariance))
            self._spread.get_buffer(f"mean_{scale}").copy_(mean[:, None])
            self._spread.get_buffer(f"whitening_{scale}").copy_(whitening)
