"""Small encoders for few CPU cores, in the place of WRN-16-4 and ResNet-18 (our choice).

A CPU multiplies matrices fast and moves memory slowly: the stem folds blocks of pixels at once, so
that nothing is computed at full resolution, and every layer has enough channels to fill the vector
units. What the large networks have and these keep: residual blocks, batch norm, a feature map whose
cells see most of the image.

Features are tapped before the last ReLU of a block: signed ones cover the whole sphere of
directions, those after it only the positive part (AnoMem, AM-U3).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.pool = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        kept: Tensor = self.shortcut(self.pool(x))
        inner: Tensor = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return kept + inner


class MultiScaleEncoder(nn.Module):
    """A strided stem and one residual block a stage; every stage after the first halves the side.

    Args:
        widths: channels of the stages.
        stem: pixels that the stem's stride folds into one.
        scales: how many of the last stages are shown.

    Attributes:
        channels: of the scales, shallow to deep.
    """

    def __init__(self, widths: Sequence[int], stem: int, scales: int) -> None:
        super().__init__()
        self.channels = tuple(widths[-scales:])
        # Kernels overlap, since a transform that shifts by a multiple of the stride would
        # otherwise be a shift of the feature map exactly.
        kernel, padding = (2 * stem, stem // 2) if stem > 1 else (3, 1)
        self.stem = nn.Conv2d(3, widths[0], kernel, stem, padding=padding, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        pairs = zip((widths[0], *widths), widths, strict=False)
        self.blocks = nn.ModuleList(
            _Block(a, b, 2 if stage else 1) for stage, (a, b) in enumerate(pairs)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images ``(N, 3, S, S)`` in [-1, 1] to signed features ``(N, C_s, H_s, W_s)``."""
        x = F.relu(self.norm(self.stem(images)))
        seen = []
        for block in self.blocks:
            features = block(x)
            seen.append(features)
            x = F.relu(features)
        return seen[-len(self.channels) :]
