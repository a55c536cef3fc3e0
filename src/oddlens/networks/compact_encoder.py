"""The small encoder of the recognition methods: one scale, after its last ReLU (our choice)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from oddlens.networks.multi_scale import MultiScaleEncoder


class CompactEncoder(nn.Module):
    """The last stage of a ``MultiScaleEncoder``.

    Args:
        widths: channels of the stages; every one after the first halves the resolution.
        stem: pixels that the stem's stride folds into one.
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 128), stem: int = 2) -> None:
        super().__init__()
        self.features = widths[-1]
        self.stages = MultiScaleEncoder(widths, stem, scales=1)

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(N, 3, S, S)`` in [-1, 1] to feature maps ``(N, features, h, w)``."""
        (features,) = self.stages(images)
        return F.relu(features)
