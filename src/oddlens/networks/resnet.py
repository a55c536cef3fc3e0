"""ResNet-18 (He et al. 2016), its features shown at the last stages, before their last ReLU."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

_WIDTHS = (64, 64, 128, 256, 512)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut; without the last ReLU.

    Args:
        inputs: channels.
        outputs: channels.
        stride: of the first convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        kept: Tensor = self.shortcut(x)
        inner: Tensor = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return kept + inner


class ResNet18(nn.Module):
    """ResNet-18 without its classifier.

    Args:
        scales: how many of the last stages are shown, 1 to 4.
        small: a 3 x 3 stem of stride 1 and no pooling, for images below 96 pixels (AM-U1).

    Attributes:
        channels: of the scales, shallow to deep.
    """

    def __init__(self, scales: int = 3, *, small: bool = True) -> None:
        super().__init__()
        self.channels = _WIDTHS[-scales:]
        kernel, stride = (3, 1) if small else (7, 2)
        self.stem = nn.Conv2d(3, 64, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(64)
        self.pool = nn.Identity() if small else nn.MaxPool2d(3, 2, padding=1)
        pairs = list(enumerate(pairwise(_WIDTHS)))
        self.first = nn.ModuleList(BasicBlock(a, b, 2 if at else 1) for at, (a, b) in pairs)
        self.second = nn.ModuleList(BasicBlock(b, b, 1) for _, (_, b) in pairs)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images ``(N, 3, S, S)`` in [-1, 1] to signed features ``(N, C_s, H_s, W_s)``."""
        x = self.pool(F.relu(self.norm(self.stem(images))))
        seen = []
        for first, second in zip(self.first, self.second, strict=True):
            features = second(F.relu(first(x)))
            seen.append(features)
            x = F.relu(features)
        return seen[-len(self.channels) :]
