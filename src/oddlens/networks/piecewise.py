"""MultiCue's discriminative branch: one encoder, heads for every slot, an attention map (MC-U2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PieceAnswers(NamedTuple):
    """What the network says of every slot.

    Attributes:
        position: ``(N, n, n)`` logits, of the original position.
        tint: ``(N, n, m)`` logits, of the angle.
        attention: ``(N, n)`` logits of P.
        features: ``(N, n, features)``, what the encoder saw of it.
    """

    position: Tensor
    tint: Tensor
    attention: Tensor
    features: Tensor


class PieceNetwork(nn.Module):
    """Encoder, pooling to the grid, and three heads, in one pass.

    The pooled map is flattened and not averaged: an average would forget which slot a piece is in
    (MC-U2).

    Args:
        encoder: images ``(N, 3, S, S)`` in [-1, 1] to a map ``(N, features, h, w)``.
        features: its channels.
        grid: g; there are n = g * g slots.
        angles: m.
    """

    def __init__(self, encoder: nn.Module, features: int, grid: int, angles: int) -> None:
        super().__init__()
        self.grid, self.angles, self.features = grid, angles, features
        pieces = grid**2
        self.encoder = encoder
        self.position = nn.Linear(pieces * features, pieces * pieces)
        self.tint = nn.Linear(pieces * features, pieces * angles)
        self.attention = nn.Conv2d(features, 1, 1)
        nn.init.zeros_(self.attention.weight)  # P begins uniform: no piece is preferred by chance

    def forward(self, images: Tensor, *, detach_attention: bool = False) -> PieceAnswers:
        """Ask of every slot.

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
            detach_attention: let the attention map read the features without shaping them.
        """
        features = F.adaptive_avg_pool2d(self.encoder(images * 2 - 1), self.grid)
        if features.requires_grad:
            # The heads flatten, and pooling runs back slowly from gradients of that layout.
            features.register_hook(_channels_last)  # type: ignore[no-untyped-call]
        flat = features.flatten(1)
        pieces = self.grid**2
        seen = features.detach() if detach_attention else features
        return PieceAnswers(
            self.position(flat).unflatten(1, (pieces, pieces)).float(),
            self.tint(flat).unflatten(1, (pieces, self.angles)).float(),
            self.attention(seen).flatten(1).float(),
            features.flatten(2).transpose(1, 2).float(),
        )


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)
