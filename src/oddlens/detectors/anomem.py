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

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from oddlens.detector import Detector
from oddlens.detectors.anomem_options import AnoMemOptions
from oddlens.errors import TrainingError, UsageError
from oddlens.images import ImageCache
from oddlens.networks.deviation_head import DeviationHead, distance_loss
from oddlens.networks.layout import channels_last
from oddlens.networks.memory import MemoryState, Recall, memory_state
from oddlens.networks.memory_network import MemoryNetwork
from oddlens.networks.multi_scale import MultiScaleEncoder
from oddlens.networks.resnet import ResNet18
from oddlens.options import DetectorOptions
from oddlens.pretext.contrast import contrast, variance_term
from oddlens.pretext.views import Views
from oddlens.scoring import Cues
from oddlens.scoring.ood import ClassMoments, mahalanobis
from oddlens.training.optimizers import optimizer_maker
from oddlens.training.stage import Stage, cosine

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
        encoder: MultiScaleEncoder | ResNet18
        if config.encoder == "resnet18":
            encoder = ResNet18(config.scales, small=config.image_size < 96)
        else:
            encoder = MultiScaleEncoder(config.widths, config.stem, config.scales)
        self.network = MemoryNetwork(encoder, encoder.channels, config.slots, config.beta)
        channels_last(self.network)
        self.head = DeviationHead(encoder.channels, config.weights)
        self.has_head: Tensor
        self.register_buffer("has_head", torch.tensor(False))
        deepest = encoder.channels[-1]
        self.feature_mean: Tensor
        self.feature_precision: Tensor
        self.register_buffer("feature_mean", torch.zeros(1, deepest).double())
        self.register_buffer("feature_precision", torch.eye(deepest).double())

    # --- training -----------------------------------------------------------------------------

    def prepare(self, train: ImageCache) -> None:
        """Learn a distance where there are labelled anomalies.

        Raises:
            UsageError: the distance is the only evidence, and there are none.
        """
        if self.anomalies is None and set(self.config.evidence) == {"distance"}:
            raise UsageError(
                "evidence=[distance] is learned from labelled anomalies: give anomalies, or add "
                "memory to the evidence"
            )
        self.has_head.fill_(self.anomalies is not None and "distance" in self.config.evidence)

    def stages(self) -> list[Stage]:
        """Encoder, memories and heads together; then, with anomalies, the distance alone."""
        stages = [self._remembering()]
        if bool(self.has_head):
            stages.append(self._measuring())
        return stages

    def _measuring(self) -> Stage:
        config = self.config
        return Stage(
            name="measure",
            module=self.head,
            loss=self.measuring_loss,
            optimizer=optimizer_maker("adam", 1e-3, 1e-4),
            schedule=cosine,
            epochs=config.distance_epochs,
            batch_size=config.batch_size,
            share=config.distance_share,
        )

    def _remembering(self) -> Stage:
        config = self.config

        def optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            kept = {id(memory.prototypes) for memory in self.network.memories}
            groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
            for each in parameters:
                groups[each.ndim > 1 and id(each) not in kept].append(each)
            return torch.optim.SGD(
                [
                    {"params": groups[True], "weight_decay": config.weight_decay},
                    {"params": groups[False], "weight_decay": 0.0},
                ],
                lr=config.learning_rate * config.batch_size / 256,
                momentum=0.9,
                nesterov=True,
            )

        return Stage(
            name="remember",
            module=self.network,
            loss=self.loss,
            optimizer=optimizer,
            schedule=cosine,
            epochs=config.epochs,
            batch_size=config.batch_size,
            share=1 - config.distance_share,
            clip=5.0,
            monitor=self.states,
        )

    def _with_anomalies(
        self, images: Tensor, count: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Images and so many labelled anomalies, and which of them are normal, y."""
        if self.anomalies is None:
            return images, torch.ones(len(images), dtype=torch.bool, device=images.device)
        drawn = torch.randint(len(self.anomalies), (count,), generator=generator).tolist()
        odd = self.anomalies.batch(drawn).to(images.device)
        normal = torch.arange(len(images) + count, device=images.device) < len(images)
        return torch.cat([images, odd]), normal

    def loss(self, images: Tensor, generator: Generator) -> dict[str, Tensor]:
        """``sum_s lambda_s (L_contrast + lambda_V L_variance)`` over the scales (section 5).

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
            generator: draws the two views of each image, and anomalies where there are some.
        """
        config = self.config
        images, normal = self._with_anomalies(images, config.anomalies_a_step, generator)
        views = Views(smallest=config.smallest_crop, flips=config.flips)
        both = torch.cat([views.draw(images, generator) for _ in range(2)])
        contrasts, variances = [], []
        for scale, (recall, weight) in enumerate(
            zip(self.network(both), config.weights, strict=True)
        ):
            observed = self.network.embedded(recall.observed, scale).float()
            recalled = self.network.embedded(recall.recalled, scale).float()
            contrasts.append(
                weight
                * contrast(
                    observed,
                    recalled if config.memory else None,
                    normal,
                    temperature=config.temperature,
                )
            )
            remembered = recall.recalled[normal.repeat(2)]  # anomalies never write into a memory
            flat = remembered.permute(0, 2, 3, 1).flatten(0, 2)
            variances.append(weight * config.variance_weight * variance_term(flat))
        terms = {"contrast": torch.stack(contrasts).sum()}
        if config.memory:
            terms["variance"] = torch.stack(variances).sum()
        return terms

    def measuring_loss(self, images: Tensor, generator: Generator) -> dict[str, Tensor]:
        """Normal images near, anomalies far, as many of the one as of the other (section 7.2).

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
            generator: draws anomalies and views, without strong crops.
        """
        images, normal = self._with_anomalies(images, len(images), generator)
        views = Views(smallest=max(0.8, self.config.smallest_crop), flips=self.config.flips)
        with torch.no_grad():
            recalls = self.network(views.draw(images, generator))
        distances = self.head([recall.deviation for recall in recalls])
        return {"distance": distance_loss(distances, normal)}

    def states(self, images: Tensor, generator: Generator) -> dict[str, float]:
        """Whether the memories are alive, on images ``(N, 3, S, S)``; see ``MemoryState``."""
        found = {}
        for scale, recall in enumerate(self.network(images), start=1):
            for name, value in memory_state(recall)._asdict().items():
                found[f"scale {scale}: {name}"] = value
        return found

    # --- scoring ------------------------------------------------------------------------------

    def cues(self, images: Tensor) -> Cues:
        """How far each scale is from what it recalls: ``mean_p ||Delta_s(p)||^2``, with its map.

        And the learned distance, where anomalies taught one.

        Closed form (section 7.1, default A). Standardised on held-out normals and averaged, they
        are the score.

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
        """
        recalls = self.network(images)
        scores: dict[str, Tensor] = {}
        maps: dict[str, Tensor] = {}
        if "memory" in self.config.evidence:
            for scale, recall in enumerate(recalls, start=1):
                squared = recall.deviation.square().sum(dim=1)
                scores[f"scale {scale}"] = self._pooled(squared)
                maps[f"scale {scale}"] = F.interpolate(
                    squared[:, None], size=images.shape[-2:], mode="bilinear", align_corners=False
                )[:, 0]
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
        if self.config.pooling == "top":
            flat = flat.topk(max(1, flat.shape[1] // 10), dim=1).values
        return flat.mean(dim=1)

    # --- statistics of normal images ----------------------------------------------------------

    def images_to_adapt(self, train: int, tune: int) -> int:
        """Held-out images for the memories' state; training images for the Mahalanobis cue."""
        return tune + min(train, self._sampled())

    def _sampled(self) -> int:
        return self.config.statistics_images if "mahalanobis" in self.config.evidence else 0

    def adapt(self, train: ImageCache, tune: ImageCache, tell: Callable[[int, int], None]) -> None:
        """Fit the Mahalanobis statistics; see on held-out normals whether the memories are alive.

        Raises:
            TrainingError: a memory has collapsed; says what to change.
        """
        sample = train.evenly(self._sampled())
        total, done = len(sample) + len(tune), 0
        if len(sample):
            moments = ClassMoments(1, self.feature_mean.shape[1])
            for images in self.batches(sample):
                features = _deepest(self.network(images))
                moments.add(features, torch.zeros(len(features), dtype=torch.int64))
                done += len(images)
                tell(done, total)
            means, precision = moments.statistics(shrink=True)
            self.feature_mean.copy_(means)
            self.feature_precision.copy_(precision)
        found: dict[str, float] = {}
        for images in self.batches(tune):
            for name, value in self.states(images, Generator()).items():
                found[name] = found.get(name, 0.0) + value * len(images) / len(tune)
            done += len(images)
            tell(done, total)
        self.diagnostics["memories on held-out normals"] = {
            name: round(value, 3) for name, value in found.items()
        }
        if self.config.memory and "memory" in self.config.evidence:
            for scale in range(1, self.config.scales + 1):
                state = {name: found[f"scale {scale}: {name}"] for name in MemoryState._fields}
                self._refuse_dead(scale, MemoryState(**state))

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
