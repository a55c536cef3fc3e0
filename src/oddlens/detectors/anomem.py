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

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from oddlens.detector import Detector
from oddlens.detectors import anomem_frozen as frozen
from oddlens.detectors import anomem_training as training
from oddlens.detectors.anomem_options import AnoMemOptions
from oddlens.detectors.anomem_spread import DeviationSpread
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
        self.frozen: frozen.Frozen | None = None
        if config.frozen:
            encoder = FrozenEncoder(
                config.encoder, config.scales, config.image_size, config.locality
            )
            surface = config.subject == "surface"
            self.frozen = frozen.Frozen(encoder, config.slots, config.scaled_by, relative=surface)
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
        )
        channels_last(self.network)
        self.head = DeviationHead(encoder.channels, config.weights)
        self.spread: DeviationSpread | None = None
        if config.measure == "spread" and not config.frozen:
            self.spread = DeviationSpread(encoder.channels, self._sides())
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
            frozen.start_memories(self.network, train, self.batches)

    def stages(self) -> list[Stage]:
        """Encoder, memories and heads together; then, with anomalies, the distance alone.

        With a frozen encoder the memories alone are learned, where ``memory`` asks for it.
        """
        if self.frozen is None:
            stages = [training.remembering(self.network, self.config, self.loss, self.states)]
        else:
            stages = [training.recalling(self.network, self.config)] if self.config.memory else []
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
        deviations of normal images there (``DeviationSpread``). And the learned
        distance, where anomalies taught one.

        Closed form (section 7.1, default A). Standardised on held-out normals and averaged, they
        are the score.

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
        """
        recalls = self.network(images)
        scores: dict[str, Tensor] = {}
        maps: dict[str, Tensor] = {}
        if "memory" in self.config.evidence and self.frozen is not None:
            maps["memory"] = self.frozen.maps(recalls, images.shape[-1], self.config.smoothing)
            scores["memory"] = self._pooled(maps["memory"])
        elif "memory" in self.config.evidence:
            deviations = [recall.deviation for recall in recalls]
            for scale, squared in enumerate(self._squared(deviations), start=1):
                scores[f"scale {scale}"] = self._pooled(squared)
                maps[f"scale {scale}"] = F.interpolate(
                    squared[:, None], size=images.shape[-2:], mode="bilinear", align_corners=False
                )[:, 0]
        if bool(self.has_head):
            scores["distance"] = self.head([recall.deviation for recall in recalls]).double()
        if "mahalanobis" in self.config.evidence:
            labels = torch.zeros(len(images), dtype=torch.int64, device=images.device)
            scores["mahalanobis"] = mahalanobis(
                _deepest(recalls), labels, self.feature_mean, self.feature_precision
            )
        return Cues(scores, maps)

    def _squared(self, deviations: list[Tensor]) -> list[Tensor]:
        """How far each position deviates, ``(N, h, w)`` a scale."""
        if self.spread is None:
            return [each.square().sum(dim=1) for each in deviations]
        measured: list[Tensor] = self.spread(deviations)
        return measured

    def _pooled(self, squared: Tensor) -> Tensor:
        flat = squared.flatten(1).double()
        part = {"mean": 1, "top": 10, "peak": 100}[self.config.pooling]
        if part > 1:
            flat = flat.topk(max(1, flat.shape[1] // part), dim=1).values
        return flat.mean(dim=1)

    # --- statistics of normal images ----------------------------------------------------------

    def images_to_adapt(self, train: int, tune: int) -> int:
        """Held-out images for the memories' state; training images for statistics."""
        seen = tune + min(train, self._sampled())
        return seen if self.frozen is None else seen + self.frozen.images_to_fit(train)

    def _sampled(self) -> int:
        evidence = self.config.evidence
        needed = "mahalanobis" in evidence or ("memory" in evidence and self.spread is not None)
        return self.config.statistics_images if needed else 0

    def adapt(self, train: ImageCache, tune: ImageCache, tell: Callable[[int, int], None]) -> None:
        """Fit the statistics of deviations and features; see whether the memories are alive.

        Raises:
            TrainingError: a memory has collapsed; says what to change.
        """
        sample = train.evenly(self._sampled())
        total, done = self.images_to_adapt(len(train), len(tune)), 0
        if self.frozen is not None:
            for count in self.frozen.fit(self.network, train, self.batches):
                done += count
                tell(done, total)
        for count in self._learn_statistics(sample):
            done += count
            tell(done, total)
        found: dict[str, float] = {}
        for images in self.batches(tune):
            for name, value in self.states(images, Generator()).items():
                found[name] = found.get(name, 0.0) + value * len(images) / len(tune)
            done += len(images)
            tell(done, total)
        self.diagnostics["memories on held-out normals"] = {
            name: round(value, 3) for name, value in found.items()
        }
        # Nothing collapses that starts from k-means on fixed features; alike features are no fault.
        if self.frozen is None and self.config.memory and "memory" in self.config.evidence:
            for scale in range(1, self.config.scales + 1):
                state = {name: found[f"scale {scale}: {name}"] for name in MemoryState._fields}
                self._refuse_dead(scale, MemoryState(**state))

    def _learn_statistics(self, sample: ImageCache) -> Iterator[int]:
        """Of deviations and of the deepest features; tells after each batch how many were seen."""
        if not len(sample):
            return
        moments = ClassMoments(1, self.feature_mean.shape[1])
        spread = None if self.spread is None else self.spread.moments()
        for images in self.batches(sample):
            recalls = self.network(images)
            if spread is not None:
                spread.add([recall.deviation for recall in recalls])
            features = _deepest(recalls)
            moments.add(features, torch.zeros(len(features), dtype=torch.int64))
            yield len(images)
        if spread is not None:
            spread.fit()
        means, precision = moments.statistics(shrink=True)
        self.feature_mean.copy_(means)
        self.feature_precision.copy_(precision)

    def _refuse_dead(self, scale: int, state: MemoryState) -> None:
        slots = self.config.slots
        if state.attention > slots / 2:
            raise TrainingError(
                f"the memory of scale {scale} has collapsed: every position recalls "
                f"{state.attention:.0f} of its {slots} prototypes at once; raise beta (now "
                f"{self.config.beta:g}) or train longer"
            )
        if state.spread < _LEAST_SPREAD:
            raise TrainingError(
                f"the memory of scale {scale} has collapsed: it recalls nearly the same for "
                f"everything (spread {state.spread:.2f}); raise variance_weight (now "
                f"{self.config.variance_weight:g}) or train longer"
            )


def _deepest(recalls: list[Recall]) -> Tensor:
    """The last scale's mean direction, of unit length (SSD), ``(N, C)``."""
    return F.normalize(recalls[-1].observed.mean(dim=(-2, -1)), dim=1)
