"""The encoders that methods share, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from oddlens.networks.compact_encoder import CompactEncoder
from oddlens.networks.wide_resnet import WideResNet

EncoderName = Literal["compact", "wrn"]


def make_encoder(name: EncoderName, widths: Sequence[int], stem: int) -> tuple[nn.Module, int]:
    """An encoder and the channels of its features.

    Args:
        name: ``"compact"`` is for CPUs, ``"wrn"`` is WRN-16-4, as published.
        widths: channels of the compact encoder's stages.
        stem: stride of its first layer.
    """
    if name == "wrn":
        wide = WideResNet()
        return wide, wide.features
    compact = CompactEncoder(widths, stem)
    return compact, compact.features
