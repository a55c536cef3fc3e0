"""The mask-conditioned restoration network of SSM: a U-Net whose decoder is told the mask.

SSM, section 4. The encoder sees the masked image only; a mask-attention block ahead of every
decoder stage tells the decoder which features rest on visible pixels. Two heads: the restored image
and the mask as the network perceives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MaskAttention(nn.Module):
    """Mask-attention block: a correction that acts at visible positions only.

    ``X = BN(F);  X = ReLU(BN(conv3x3([X, m])));  X = conv3x3(X);  out = F + m * X``, with m the
    mask resized to F's height and width by nearest neighbour (SSM, released code; the sign of the
    gating is SSM-U14).

    Args:
        channels: C, the channels of the feature map.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels + 1, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """``features (N, C, h, w)`` and ``mask (N, 1, H, W)``, 1 = visible, to ``(N, C, h, w)``."""
        visible = F.interpolate(mask, size=features.shape[-2:], mode="nearest")
        seen = torch.cat([self.bn1(features), visible.to(features.dtype)], dim=1)
        correction: Tensor = self.conv3(F.relu(self.bn2(self.conv2(seen))))
        return features + visible.to(features.dtype) * correction


class NoMaskAttention(nn.Module):
    """Stands where a mask-attention block would (ablation: no mask conditioning, which is RIAD)."""

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """The features as they are."""
        return features


class Down(nn.Module):
    """Encoder stage: two convolutions with batch normalisation; the first may halve the size."""

    def __init__(self, inputs: int, outputs: int, *, halve: bool) -> None:
        super().__init__()
        kernel, stride = (4, 2) if halve else (3, 1)
        self.conv1 = nn.Conv2d(inputs, outputs, kernel, stride, padding=1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """``(N, inputs, H, W)`` to ``(N, outputs, H or H / 2, W or W / 2)``."""
        features = F.relu(self.bn1(self.conv1(features)))
        return F.relu(self.bn2(self.conv2(features)))


class Up(nn.Module):
    """Decoder stage: nearest x2, 1 x 1 convolution, the skip beside it, two convolutions."""

    def __init__(self, inputs: int, outputs: int, skip: int) -> None:
        super().__init__()
        self.upconv = nn.Conv2d(inputs, outputs, 1)
        self.conv1 = nn.Conv2d(outputs + skip, outputs, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        """``(N, inputs, h, w)`` and the skip ``(N, skip, 2h, 2w)`` to ``(N, outputs, 2h, 2w)``."""
        # A 1 x 1 convolution and a nearest upsampling commute; convolving first costs a quarter.
        raised = F.interpolate(self.upconv(features), scale_factor=2, mode="nearest")
        features = torch.cat([raised, skip], dim=1)
        features = F.relu(self.bn1(self.conv1(features)))
        return F.relu(self.bn2(self.conv2(features)))


class MaskedUNet(nn.Module):
    """Restores hidden pixels; conditioned on the mask at every decoder stage.

    ``MaskedUNet((64, 128, 256, 512, 512))`` is the released network (33.30 M parameters, 11.01 M of
    them in mask-attention blocks). With ``stem`` 2 the image enters folded, each 2 x 2 block of
    pixels as channels, so that no convolution runs at full resolution: our choice for ``compact``,
    because full resolution with few channels is what costs on a CPU.

    Args:
        widths: channels of each encoder stage, fine to coarse.
        stem: 1, or the side of the pixel blocks that are folded into channels.
        mask_attention: False leaves the mask-attention blocks out (ablation).

    The side of an image must be divisible by ``network.multiple``.
    """

    def __init__(
        self, widths: Sequence[int], *, stem: int = 1, mask_attention: bool = True
    ) -> None:
        super().__init__()
        self.stem = stem
        self.multiple = stem * 2 ** (len(widths) - 1)
        block = MaskAttention if mask_attention else lambda channels: NoMaskAttention()
        inputs = (3 * stem**2, *widths)
        self.down = nn.ModuleList(
            Down(inputs[i], width, halve=i > 0) for i, width in enumerate(widths)
        )
        # Coarse to fine. A stage's output width is that of the skip it joins.
        coarse_to_fine = list(reversed(widths))
        self.up = nn.ModuleList(
            Up(before, width, width) for before, width in pairwise(coarse_to_fine)
        )
        self.mask = nn.ModuleList(block(width) for width in coarse_to_fine)
        self.head = nn.Conv2d(widths[0], 4 * stem**2, 3, padding=1)

    def forward(self, masked: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Restore masked images.

        Args:
            masked: ``(N, 3, H, W)`` float in [0, 1], already multiplied by the mask.
            mask: ``(N, 1, H, W)`` float, 1 = visible.

        Returns:
            The restored image ``(N, 3, H, W)`` and the predicted mask ``(N, 1, H, W)``, in (-1, 1).
        """
        features = F.pixel_unshuffle(masked, self.stem) if self.stem > 1 else masked
        features = features.contiguous(memory_format=torch.channels_last)
        skips = []
        for down in self.down:
            features = down(features)
            skips.append(features)
        features = self.mask[0](skips.pop(), mask)
        for up, attention in zip(self.up, self.mask[1:], strict=True):
            features = attention(up(features, skips.pop()), mask)
        output = self.head(features).float()
        if self.stem > 1:
            output = F.pixel_shuffle(output, self.stem)
        output = torch.tanh(output)
        return output[:, :3], output[:, 3:]
