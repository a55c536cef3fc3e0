"""An encoder, a memory for each of its scales, heads for contrast (AnoMem, sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from oddlens.networks.memory import PrototypeMemory, Recall


class MemoryNetwork(nn.Module):
    """See the module.

    Args:
        encoder: images in [-1, 1] to a list of feature maps, shallow to deep.
        channels: of its scales.
        slots: prototypes of each scale.
        beta: of the memories.
        embedding: entries of what is contrasted (AM-U8); 0 where nothing is.
    """

    def __init__(
        self,
        encoder: nn.Module,
        channels: Sequence[int],
        slots: int,
        beta: float,
        embedding: int = 128,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.memories = nn.ModuleList(PrototypeMemory(slots, each, beta) for each in channels)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(each, each), nn.ReLU(), nn.Linear(each, embedding))
            for each in (channels if embedding else ())
        )

    def forward(self, images: Tensor) -> list[Recall]:
        """What every memory makes of images ``(N, 3, S, S)`` in [0, 1], shallow to deep."""
        features = self.features(images)
        return [memory(each) for memory, each in zip(self.memories, features, strict=True)]

    def features(self, images: Tensor) -> list[Tensor]:
        """What the encoder sees in images ``(N, 3, S, S)`` in [0, 1], shallow to deep."""
        found: list[Tensor] = self.encoder(images * 2 - 1)
        return found

    def embedded(self, maps: Tensor, scale: int) -> Tensor:
        """Unit vectors ``(N, C, H, W)`` or their recalls, averaged, to ``(N, embedding)``."""
        found: Tensor = self.heads[scale](maps.mean(dim=(-2, -1)))
        return found
