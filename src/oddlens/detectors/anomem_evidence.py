"""What AnoMem calls odd on its maps: memory's deviations, and the baselines on the same encoder.

All kinds are measured in the same way, so that they differ in what is recalled alone:

- memory: the prototypes that were learned with the encoder;
- kmeans: as many prototypes, found by k-means afterwards ("SimCLR + k-means prototypes");
- features: nothing; the deviation is the feature itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import get_args

import torch
from torch import Tensor, nn

from oddlens.detectors.anomem_frozen import Frozen, OddMap
from oddlens.detectors.anomem_kmeans import set_prototypes
from oddlens.detectors.anomem_options import AnoMemOptions, Kind
from oddlens.detectors.anomem_spread import DeviationSpread, SpreadMoments
from oddlens.detectors.anomem_whole import Whole
from oddlens.images import ImageCache
from oddlens.networks.memory import PrototypeMemory, Recall
from oddlens.networks.memory_network import MemoryNetwork
from oddlens.networks.pretrained import FrozenEncoder

Recalls = Mapping[str, Sequence[Recall]]
"""By kind, what is recalled on each scale, shallow to deep."""


def kinds_of(config: AnoMemOptions) -> tuple[Kind, ...]:
    """The kinds of evidence that are asked for, in the order of ``Kind``."""
    return tuple(kind for kind in get_args(Kind) if kind in config.evidence)


class Baselines(nn.Module):
    """What else could be recalled on the scales of a network.

    Args:
        config: of the detector.
        channels: of the scales.
    """

    def __init__(self, config: AnoMemOptions, channels: Sequence[int]) -> None:
        super().__init__()
        self._kinds = kinds_of(config)
        with torch.random.fork_rng(devices=()):  # the rest of a fit is as without baselines
            self.kmeans = nn.ModuleList(
                PrototypeMemory(config.slots, each, config.beta)
                for each in (channels if "kmeans" in self._kinds else ())
            )

    def forward(self, recalls: Sequence[Recall]) -> dict[str, Sequence[Recall]]:
        """By kind, what is recalled where the learned memories recall ``recalls``."""
        made: dict[Kind, Callable[[], Sequence[Recall]]] = {
            "memory": lambda: recalls,
            "kmeans": lambda: [
                memory(each.observed)._replace(places=each.places)
                for memory, each in zip(self.kmeans, recalls, strict=True)
            ],
            "features": lambda: [
                each._replace(recalled=torch.zeros_like(each.observed)) for each in recalls
            ],
        }
        return {kind: made[kind]() for kind in self._kinds}

    def learn(
        self,
        network: MemoryNetwork,
        sample: ImageCache,
        batches: Callable[[ImageCache], Iterator[Tensor]],
    ) -> Iterator[int]:
        """Find the prototypes of ``kmeans``.

        Args:
            network: that has learned.
            sample: normal images, see ``set_prototypes``.
            batches: turns them into ``(N, 3, S, S)`` in [0, 1].
        """
        # Of the fit's seed alone, however training went on the way here.
        drawn = torch.Generator().manual_seed(torch.initial_seed())
        yield from set_prototypes(self.kmeans, network.features, sample, batches, drawn)


class ScaleMaps(nn.Module):
    """Of a trained encoder: a map, and a cue, for each scale.

    Args:
        config: of the detector.
        channels: of the scales.
        sides: ``(H, W)`` of their feature maps.
    """

    def __init__(
        self, config: AnoMemOptions, channels: Sequence[int], sides: Sequence[tuple[int, int]]
    ) -> None:
        super().__init__()
        kinds = kinds_of(config) if config.measure == "spread" else ()
        self.spreads = nn.ModuleDict({kind: DeviationSpread(channels, sides) for kind in kinds})

    def forward(self, recalls: Recalls) -> dict[str, OddMap]:
        """Squared distances by cue, ``(N, h_s, w_s)``; shown is what is judged."""
        found = {}
        for kind, each in recalls.items():
            deviations = [recall.deviation for recall in each]
            squared = (
                self.spreads[kind](deviations)
                if kind in self.spreads
                else [deviation.square().sum(dim=1) for deviation in deviations]
            )
            for scale, of_scale in enumerate(squared, start=1):
                found[scale_cue(kind, scale)] = OddMap(of_scale, of_scale)
        return found

    def moments(self) -> dict[str, SpreadMoments]:
        """Empty sums by kind, for normal images to come; none where lengths are measured."""
        found = {}
        for kind, spread in self.spreads.items():
            assert isinstance(spread, DeviationSpread)
            found[kind] = spread.moments()
        return found


def scale_cue(kind: str, scale: int) -> str:
    """What a cue of a trained encoder is called."""
    return f"scale {scale}" if kind == "memory" else f"{kind} scale {scale}"


class FrozenMaps(nn.Module):
    """Of a frozen encoder: a map, and a cue, for each kind.

    Args:
        config: of the detector.
        encoder: that the memories read.
    """

    def __init__(self, config: AnoMemOptions, encoder: FrozenEncoder) -> None:
        super().__init__()
        self._smoothing, self._size = config.smoothing, config.image_size
        deepest = config.judged_by == "deepest"

        def part() -> Frozen | Whole:
            if config.whole:
                return Whole(
                    encoder.channels,
                    config.sampled,
                    metric="metric" in config.statistics,
                    deepest=deepest,
                )
            return Frozen(
                encoder,
                config.slots,
                config.statistics,
                relative=config.subject == "surface",
                deepest=deepest,
            )

        self.kinds = nn.ModuleDict({kind: part() for kind in kinds_of(config)})

    def forward(self, recalls: Recalls) -> dict[str, OddMap]:
        """How unusual each pixel is, by cue, ``(N, S, S)``."""
        return {
            kind: part.maps(recalls[kind], self._size, self._smoothing)
            for kind, part in self._parts()
        }

    def images_to_fit(self, train: int) -> int:
        """How many images ``fit`` looks at, of so many."""
        return sum(part.images_to_fit(train) for _, part in self._parts())

    def fit(
        self,
        recalled: Callable[[Tensor], Recalls],
        train: ImageCache,
        batches: Callable[[ImageCache], Iterator[Tensor]],
    ) -> Iterator[int]:
        """See ``Frozen.fit``; ``recalled`` answers for all kinds."""
        for kind, part in self._parts():

            def of_kind(images: Tensor, kind: str = kind) -> Sequence[Recall]:
                return recalled(images)[kind]

            yield from part.fit(of_kind, train, batches)

    def _parts(self) -> Iterator[tuple[str, Frozen | Whole]]:
        for kind, part in self.kinds.items():
            assert isinstance(part, Frozen | Whole)
            yield kind, part
