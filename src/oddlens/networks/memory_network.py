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
        whole: remember what an image shows on the mean over all its places, not at each of them.
    """

    def __init__(
        self,
        encoder: nn.Module,
        channels: Sequence[int],
        slots: int,
        beta: float,
        embedding: int = 128,
        *,
        whole: bool = False,
    ) -> None:
        super().__init__()
        self._whole = whole
        self.encoder = encoder
        self.memories = nn.ModuleList(PrototypeMemory(slots, each, beta) for each in channels)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(each, each), nn.ReLU(), nn.Linear(each, embedding))
            for each in (channels if embedding else ())
        )

    def forward(self, images: Tensor) -> list[Recall]:
        """What every memory makes of images ``(N, 3, S, S)`` in [0, 1], shallow to deep."""
        pairs = zip(self.memories, self._seen(images), strict=True)
        if self._whole:
            return [recalled_whole(memory, features) for memory, features in pairs]
        return [memory(features) for memory, features in pairs]

    def features(self, images: Tensor) -> list[Tensor]:
        """What is remembered of images ``(N, 3, S, S)`` in [0, 1], shallow to deep."""
        found = self._seen(images)
        return [_mean_over_places(each) for each in found] if self._whole else found

    def _seen(self, images: Tensor) -> list[Tensor]:
        found: list[Tensor] = self.encoder(images * 2 - 1)
        return found

    def embedded(self, maps: Tensor, scale: int) -> Tensor:
        """Unit vectors ``(N, C, H, W)`` or their recalls, averaged, to ``(N, embedding)``."""
        found: Tensor = self.heads[scale](maps.mean(dim=(-2, -1)))
        return found


def recalled_whole(memory: nn.Module, features: Tensor) -> Recall:
    """Recall the mean of ``(N, C, H, W)`` over its places, and tell what it is the mean of."""
    mean = _mean_over_places(features)
    recall: Recall = memory(mean)
    length = mean.norm(dim=1, keepdim=True).clamp_min(1e-12)  # as F.normalize has it
    return recall._replace(places=features / length)


def _mean_over_places(features: Tensor) -> Tensor:
    return features.mean(dim=(-2, -1), keepdim=True)
