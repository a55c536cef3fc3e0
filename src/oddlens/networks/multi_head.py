"""One encoder shared by several tasks, one dense layer for each (MultiTask, section 4)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


class MultiHead(nn.Module):
    """Pools an encoder's features over the image and asks every head.

    Args:
        encoder: images ``(N, 3, S, S)`` in [-1, 1] to features ``(N, features, h, w)``.
        features: its channels.
        heads: name to number of classes.
    """

    def __init__(self, encoder: nn.Module, features: int, heads: Mapping[str, int]) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict(
            {name: nn.Linear(features, classes) for name, classes in heads.items()}
        )

    def pooled(self, images: Tensor) -> Tensor:
        """Images ``(N, 3, S, S)`` in [0, 1] to ``(N, features)``; scaled to [-1, 1] on the way."""
        features: Tensor = self.encoder(images * 2 - 1)
        return features.mean(dim=(-2, -1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images ``(N, 3, S, S)`` in [0, 1] to logits ``(N, classes)``, by head."""
        pooled = self.pooled(images)
        return {name: head(pooled) for name, head in self.heads.items()}
