"""The wide residual network WRN-16-4 of GeoTrans, MHRot and MultiTask (Zagoruyko et al. 2016).

Channels 16, 64, 128, 256, two blocks a stage, strides 1, 2, 2, a last BN-ReLU; 2.7 M parameters.
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class PreActivationBlock(nn.Module):
    """BN-ReLU-conv twice, plus the input; where shapes change, the input goes through a 1 x 1.

    Args:
        inputs: channels.
        outputs: channels.
        stride: of the first convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """``(N, inputs, H, W)`` to ``(N, outputs, ceil(H / stride), ceil(W / stride))``."""
        active = F.relu(self.norm1(x))
        # As in the ancestors: a changed shortcut starts from the activated input.
        kept = x if self.shortcut is None else self.shortcut(active)
        inner: Tensor = self.conv2(F.relu(self.norm2(self.conv1(active))))
        return inner + kept


class WideResNet(nn.Module):
    """WRN-depth-widen without its classifier.

    Args:
        depth: 6 n + 4, with n blocks a stage.
        widen: factor on the channels 16, 32, 64.
        channels: of the input.
    """

    def __init__(self, depth: int = 16, widen: int = 4, channels: int = 3) -> None:
        super().__init__()
        blocks = (depth - 4) // 6
        widths = (16, 16 * widen, 32 * widen, 64 * widen)
        self.features = widths[-1]
        self.stem = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        layers: list[nn.Module] = []
        for stage, (inputs, outputs) in enumerate(pairwise(widths)):
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                layers.append(PreActivationBlock(outputs if block else inputs, outputs, stride))
        self.blocks = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(self.features)
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(N, C, S, S)`` in [-1, 1] to feature maps ``(N, features, S / 4, S / 4)``."""
        return F.relu(self.norm(self.blocks(self.stem(images))))


def _initialise(network: nn.Module) -> None:
    """He's normal initialisation by fan-out, as the ancestors have it."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
