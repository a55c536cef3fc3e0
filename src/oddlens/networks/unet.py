"""The re-colorization network of MultiCue: a U-Net from 4 channels to a mixture's parameters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _block(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3 x 3 convolutions with batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    """U-Net with batch normalisation, ReLU, max pooling, bilinear up-sampling and skips (MC-U3).

    ``UNet(4, 6 * K, (32, 64, 128))`` is the ``paper`` preset's. With ``stem`` 2 each 2 x 2 block of
    pixels enters as channels and leaves as such, so that no convolution runs at full resolution,
    where few channels waste a CPU's time: our choice for ``compact``.

    Args:
        inputs: channels of the input.
        outputs: channels of the output.
        widths: channels of the levels, fine to coarse.
        stem: 1, or the side of the pixel blocks that are folded into channels.
    """

    def __init__(self, inputs: int, outputs: int, widths: Sequence[int], *, stem: int = 1) -> None:
        super().__init__()
        self.stem = stem
        self.multiple = stem * 2 ** (len(widths) - 1)
        first = inputs * stem**2
        self.down = nn.ModuleList(_block(a, b) for a, b in pairwise((first, *widths)))
        coarse_to_fine = list(reversed(widths))
        self.up = nn.ModuleList(_block(a + b, b) for a, b in pairwise(coarse_to_fine))
        self.head = nn.Conv2d(widths[0], outputs * stem**2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """``(N, inputs, H, W)``, any H and W, to ``(N, outputs, H, W)``."""
        height, width = images.shape[-2:]
        features = self._padded(images)
        if self.stem > 1:
            features = F.pixel_unshuffle(features, self.stem)
        features = features.contiguous(memory_format=torch.channels_last)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else F.max_pool2d(features, 2))
            skips.append(features)
        skips.pop()
        for block in self.up:
            raised = F.interpolate(features, scale_factor=2, mode="bilinear", align_corners=False)
            features = block(torch.cat([raised, skips.pop()], dim=1))
        output: Tensor = self.head(features)
        if self.stem > 1:
            output = F.pixel_shuffle(output, self.stem)
        return output[..., :height, :width]

    def _padded(self, images: Tensor) -> Tensor:
        """Extend right and bottom to the next size that the levels divide."""
        height, width = images.shape[-2:]
        right, below = -width % self.multiple, -height % self.multiple
        return F.pad(images, (0, right, 0, below), mode="replicate") if right or below else images
