"""AnoMem: multi-scale contrasted memory, from no to a few labelled anomalies.

Jezequel, Vu, Beaudet, Histace, "Anomaly Detection via Multi-Scale Contrasted Memory", 2022, arXiv
2211.09041. AnoMem-style, reconstructed from the abstracts and public reviews; its equations and
hyper-parameters are not known to us, and details named AM-Un are our choice. An encoder and, on
each of its scales, a memory of normal prototypes are learned together by contrast: a view of an
image must be told from all others by what memory recalls of its other view. What deviates from
what is recalled is odd. Where there are labelled anomalies, they never write into the memory, and
a distance on the deviations is learned from them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from oddlens.detector import Detector
from oddlens.detectors import anomem_training as training
from oddlens.detectors.anomem_evidence import Baselines, FrozenMaps, ScaleMaps, kinds_of, scale_cue
from oddlens.detectors.anomem_frozen import resized
from oddlens.detectors.anomem_kmeans import set_prototypes
from oddlens.detectors.anomem_options import AnoMemOptions
from oddlens.errors import TrainingError, UsageError
from oddlens.images import ImageCache
from oddlens.networks.deviation_head import DeviationHead
from oddlens.networks.layout import channels_last
from oddlens.networks.memory import MemoryState, Recall, memory_state
from oddlens.networks.memory_network import MemoryNetwork
from oddlens.networks.multi_scale import MultiScaleEncoder
from oddlens.networks.pretrained import FrozenEncoder
from oddlens.networks.resnet import ResNet18
from oddlens.options import DetectorOptions
from oddlens.scoring import Cues
from oddlens.scoring.ood import ClassMoments, mahalanobis
from oddlens.training.stage import Stage

_LEAST_SPREAD = 0.1
"""Of recalls, as a share of its target, below which a memory has collapsed (section 10.4)."""

ENOUGH_ANOMALIES = 20
"""From which the learned distance alone is the score; of fewer it is learned too well (7.2)."""


class AnoMem(Detector):
    """Prototypes of normal images on several scales; detects and localizes.

    Args:
        options: see ``AnoMemOptions``; every option is a keyword.
    """

    method: ClassVar[str] = "anomem"
    learns_from_anomalies: ClassVar[bool] = True
    Options: ClassVar[type[DetectorOptions]] = AnoMemOptions
    config: AnoMemOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        config = self.config
        encoder: MultiScaleEncoder | ResNet18 | FrozenEncoder
        if config.frozen:
            encoder = FrozenEncoder(
                config.encoder,
                config.scales,
                config.image_size,
                1 if config.whole else config.locality,
                even=config.subject == "surface",
                deepest=config.whole,
                mirrored=config.mirrored,
            )
        elif config.encoder == "resnet18":
            encoder = ResNet18(config.scales, small=config.image_size < 96)
        else:
            encoder = MultiScaleEncoder(config.widths, config.stem, config.scales)
        self.network = MemoryNetwork(
            encoder,
            encoder.channels,
            config.slots,
            config.beta,
            embedding=0 if config.frozen else 128,
            whole=config.whole,
        )
        channels_last(self.network)
        self.head = DeviationHead(encoder.channels, config.weights)
        self.baselines = Baselines(config, encoder.channels)
        self.maps: ScaleMaps | FrozenMaps
        if isinstance(encoder, FrozenEncoder):
            self.maps = FrozenMaps(config, encoder)
        else:
            self.maps = ScaleMaps(config, encoder.channels, self._sides())
        self.has_head: Tensor
        self.register_buffer("has_head", torch.tensor(False))
        deepest = encoder.channels[-1]
        self.feature_mean: Tensor
        self.feature_precision: Tensor
        self.register_buffer("feature_mean", torch.zeros(1, deepest).double())
        self.register_buffer("feature_precision", torch.eye(deepest).double())

    def _sides(self) -> list[tuple[int, int]]:
        """Height and width of each scale's feature map."""
        size = self.config.image_size
        self.eval()
        with torch.no_grad():
            recalls = self.network(torch.zeros(1, 3, size, size))
        self.train()
        return [(each.observed.shape[2], each.observed.shape[3]) for each in recalls]

    # --- training -----------------------------------------------------------------------------

    def prepare(self, train: ImageCache) -> None:
        """Learn a distance where there are labelled anomalies; start on a frozen encoder.

        Raises:
            UsageError: the distance is the only evidence, and there are none.
        """
        if self.anomalies is None and set(self.config.evidence) == {"distance"}:
            raise UsageError(
                "evidence=[distance] is learned from labelled anomalies: give anomalies, or add "
                "memory to the evidence"
            )
        self.has_head.fill_(self.anomalies is not None and "distance" in self.config.evidence)
        if isinstance(self.network.encoder, FrozenEncoder):
            self.network.encoder.load_pretrained()
            if self._recalls or len(self.baselines.kmeans):
                for _ in set_prototypes(
                    self.network.memories,
                    self.network.features,
                    train.evenly(self.config.sampled),
                    self.batches,
                    fewer=self.config.whole,
                ):
                    pass
            if len(self.baselines.kmeans):  # what the memories are before they learn
                self.baselines.kmeans.load_state_dict(self.network.memories.state_dict())

    @property
    def _recalls(self) -> bool:
        """Whether anything is told by the memories."""
        return "memory" in self.config.evidence or bool(self.has_head)

    def stages(self) -> list[Stage]:
        """Encoder, memories and heads together; then, with anomalies, the distance alone.

        With a frozen encoder the memories alone are learned, where ``memory`` asks for it.
        """
        stages = []
        if not self.config.frozen:
            stages.append(training.remembering(self.network, self.config, self.loss, self.states))
        elif self.config.memory and self._recalls:
            stages.append(training.recalling(self.network, self.config))
        if bool(self.has_head):
            stages.append(training.measuring(self.head, self.config, self.measuring_loss))
        return stages

    def loss(self, images: Tensor, generator: Generator) -> dict[str, Tensor]:
        """Contrast and variance of normal images and of anomalies, where there are some.

        Args:
            images: normal ones, ``(N, 3, S, S)`` in [0, 1].
            generator: draws anomalies, and the two views of each image.
        """
        both, normal = training.with_anomalies(
            images, self.anomalies, self.config.anomalies_a_step, generator
        )
        return training.contrast_loss(self.network, both, normal, generator, self.config)

    def measuring_loss(self, images: Tensor, generator: Generator) -> dict[str, Tensor]:
        """The learned distance of normal images and of as many anomalies.

        Args:
            images: normal ones, ``(N, 3, S, S)`` in [0, 1].
            generator: draws anomalies and views.
        """
        both, normal = training.with_anomalies(images, self.anomalies, len(images), generator)
        return training.measured_loss(self.network, self.head, both, normal, generator, self.config)

    def states(self, images: Tensor, generator: Generator) -> dict[str, float]:
        """Whether the memories are alive, on images ``(N, 3, S, S)``; see ``MemoryState``."""
        found = {}
        for scale, recall in enumerate(self.network(images), start=1):
            for name, value in memory_state(recall)._asdict().items():
                found[f"scale {scale}: {name}"] = value
        return found

    # --- scoring ------------------------------------------------------------------------------

    def cues(self, images: Tensor) -> Cues:
        """How far each scale is from what it recalls, with its map.

        The mean over positions of ``||Delta_s(p)||^2``, or of the squared distance within the
        deviations of normal images there (``DeviationSpread``). Closed form (section 7.1, default
        A): standardised on held-out normals and averaged, they are the score where there are no
        labelled anomalies. And the learned distance, where anomalies taught one (7.2): with enough
        of them it is the score, with few it has half of it (``weighed_cue``).

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
        """
        recalls = self.network(images)
        scores: dict[str, Tensor] = {}
        maps: dict[str, Tensor] = {}
        for name, odd in self.maps(self.baselines(recalls)).items():
            scores[name] = self._pooled(odd.judged)
            maps[name] = _as_large(odd.shown, images)
        if bool(self.has_head):
            scores["distance"] = self.head([recall.deviation for recall in recalls]).double()
        if "mahalanobis" in self.config.evidence:
            labels = torch.zeros(images.shape[0], dtype=torch.int64, device=images.device)
            scores["mahalanobis"] = mahalanobis(
                _deepest(recalls), labels, self.feature_mean, self.feature_precision
            )
        return Cues(scores, maps)

    def _pooled(self, squared: Tensor) -> Tensor:
        flat = squared.flatten(1).double()
        part = {"mean": 1, "top": 10, "peak": 100}[self.config.pooling]
        if part > 1:
            flat = flat.topk(max(1, flat.shape[1] // part), dim=1).values
        return flat.mean(dim=1)

    def weighed_cue(self) -> tuple[str, float] | None:
        """The learned distance, which anomalies taught; see the option ``distance_weight``."""
        if not bool(self.has_head):
            return None
        weight = self.config.distance_weight
        if weight == "auto":
            count = 0 if self.anomalies is None else len(self.anomalies)
            weight = 1.0 if count >= ENOUGH_ANOMALIES else 0.5
        return "distance", weight

    def cue_groups(self) -> list[tuple[str, ...]]:
        """The scales of each kind of evidence."""
        if self.config.frozen:
            return []
        scales = range(1, self.config.scales + 1)
        return [tuple(scale_cue(kind, s) for s in scales) for kind in kinds_of(self.config)]

    # --- statistics of normal images ----------------------------------------------------------

    def images_to_adapt(self, train: int, tune: int) -> int:
        """Held-out images for the memories' state; training images for statistics."""
        seen = tune
        if isinstance(self.maps, FrozenMaps):
            seen += self.maps.images_to_fit(train)
        elif len(self.baselines.kmeans):
            seen += min(train, self.config.statistics_images)
        return seen + min(train, self._sampled())

    def _sampled(self) -> int:
        spreads = isinstance(self.maps, ScaleMaps) and len(self.maps.spreads) > 0
        needed = spreads or "mahalanobis" in self.config.evidence
        return self.config.statistics_images if needed else 0

    def adapt(self, train: ImageCache, tune: ImageCache, tell: Callable[[int, int], None]) -> None:
        """Fit the statistics of deviations and features; see whether the memories are alive.

        Raises:
            TrainingError: a memory has collapsed; says what to change. With ``collapse=tell`` a
                ``UserWarning`` says the same.
        """
        total, done = self.images_to_adapt(len(train), len(tune)), 0
        found: dict[str, float] = {}
        for count in chain(self._learn_statistics(train), self._look_at_memories(tune, found)):
            done += count
            tell(done, total)
        self.diagnostics["memories on held-out normals"] = {
            name: round(value, 3) for name, value in found.items()
        }
        weighed = self.weighed_cue()
        if weighed is not None and set(self.config.evidence) != {"distance"}:
            self.diagnostics["weight of the learned distance"] = weighed[1]
        # Nothing collapses that starts from k-means on fixed features; alike features are no fault.
        if not self.config.frozen and self.config.memory and "memory" in self.config.evidence:
            for scale in range(1, self.config.scales + 1):
                state = {name: found[f"scale {scale}: {name}"] for name in MemoryState._fields}
                self._refuse_dead(scale, MemoryState(**state))

    def _look_at_memories(self, tune: ImageCache, found: dict[str, float]) -> Iterator[int]:
        """Put the mean of ``states`` into ``found``; tells after each batch how many were seen."""
        for images in self.batches(tune):
            for name, value in self.states(images, Generator()).items():
                found[name] = found.get(name, 0.0) + value * len(images) / len(tune)
            yield len(images)

    def _learn_statistics(self, train: ImageCache) -> Iterator[int]:
        """Of deviations and of the deepest features; tells after each batch how many were seen."""
        if isinstance(self.maps, FrozenMaps):
            yield from self.maps.fit(
                lambda images: self.baselines(self.network(images)), train, self.batches
            )
        elif len(self.baselines.kmeans):
            clustered = train.evenly(self.config.statistics_images)
            yield from self.baselines.learn(self.network, clustered, self.batches)
        sample = train.evenly(self._sampled())
        if not len(sample):
            return
        moments = ClassMoments(1, self.feature_mean.shape[1])
        spreads = self.maps.moments() if isinstance(self.maps, ScaleMaps) else {}
        for images in self.batches(sample):
            recalls = self.network(images)
            for kind, each in self.baselines(recalls).items():
                if kind in spreads:
                    spreads[kind].add([recall.deviation for recall in each])
            features = _deepest(recalls)
            moments.add(features, torch.zeros(len(features), dtype=torch.int64))
            yield len(images)
        for spread in spreads.values():
            spread.fit()
        means, precision = moments.statistics(shrink=True)
        self.feature_mean.copy_(means)
        self.feature_precision.copy_(precision)

    def _refuse_dead(self, scale: int, state: MemoryState) -> None:
        slots, told = self.config.slots, ""
        if state.attention > slots / 2:
            told = (
                f"every position recalls {state.attention:.0f} of its {slots} prototypes at once; "
                f"raise beta (now {self.config.beta:g}) or train longer"
            )
        elif state.spread < _LEAST_SPREAD:
            told = (
                f"it recalls nearly the same for everything (spread {state.spread:.2f}); raise "
                f"variance_weight (now {self.config.variance_weight:g}) or train longer"
            )
        if not told:
            return
        told = f"the memory of scale {scale} has collapsed: {told}"
        if self.config.collapse == "refuse":
            raise TrainingError(told)
        warnings.warn(told, UserWarning, stacklevel=1)


def _as_large(maps: Tensor, images: Tensor) -> Tensor:
    """Maps ``(N, h, w)`` at the size of the images."""
    size = images.shape[-1]
    return maps if maps.shape[-1] == size else resized(maps, size)


def _deepest(recalls: list[Recall]) -> Tensor:
    """The last scale's mean direction, of unit length (SSD), ``(N, C)``."""
    return F.normalize(recalls[-1].observed.mean(dim=(-2, -1)), dim=1)
