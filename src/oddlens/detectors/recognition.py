"""What ``MultiTask`` and ``GeometricTransforms`` share: heads that name transforms.

A method says which logits its heads give (``answers``); loss, cues, their statistics and the check
whether a task is too easy or not learned follow from them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor

from oddlens.detector import Detector
from oddlens.detectors.recognition_options import RecognitionOptions
from oddlens.images import ImageCache
from oddlens.networks.encoders import make_encoder
from oddlens.networks.layout import channels_last
from oddlens.networks.multi_head import MultiHead
from oddlens.pretext.augmentation import varied
from oddlens.pretext.classification import accuracy, normality, task_loss
from oddlens.pretext.difficulty import warn_of_difficulty
from oddlens.scoring import Cues
from oddlens.scoring.ood import ClassMoments, mahalanobis
from oddlens.training.optimizers import optimizer_maker
from oddlens.training.stage import Stage, cosine


class Recognition(Detector):
    """A detector whose cues are how badly transforms are recognised, one cue a head."""

    config: RecognitionOptions
    network: MultiHead

    @abstractmethod
    def seen(self, images: Tensor, generator: Generator | None) -> dict[str, Tensor]:
        """Features by head, ``(T, M, F)``: row j is of the j-th transform of the head's task.

        M is N, or a multiple of it where an image undergoes a transform together with others: then
        the N images come one after the other for each of the rest.

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
            generator: of random parts of the transforms; None for the fixed form of scoring.
        """

    def answers(self, images: Tensor, generator: Generator | None) -> dict[str, Tensor]:
        """Logits by head, ``(T, M, T)``; arguments and M as in ``seen``."""
        return {
            name: self.network.heads[name](features)
            for name, features in self.seen(images, generator).items()
        }

    def build(self, heads: Mapping[str, int], config: RecognitionOptions) -> None:
        """Make the network, and room for the statistics of its answers."""
        encoder, features = make_encoder(config.encoder, config.widths, config.stem)
        self.classes = dict(heads)
        self.network = MultiHead(encoder, features, heads)
        channels_last(self.network)
        for name, classes in heads.items():
            width = features if config.ood == "combined" else classes
            self.register_buffer(f"{name}_means", torch.zeros(classes, width).double())
            self.register_buffer(f"{name}_precision", torch.eye(width).double())

    # --- training -----------------------------------------------------------------------------

    def stages(self) -> list[Stage]:
        """One stage: recognise the transforms of normal images (MultiTask, sections 5 and 6)."""
        config = self.config
        return [
            Stage(
                name="recognise",
                module=self.network,
                loss=self.loss,
                optimizer=optimizer_maker(
                    config.optimizer, config.learning_rate, config.weight_decay
                ),
                schedule=cosine,
                epochs=config.epochs,
                batch_size=config.batch_size,
                monitor=self.solved,
            )
        ]

    def solved(self, images: Tensor, generator: Generator) -> dict[str, float]:
        """Each task's accuracy on images ``(N, 3, S, S)``, in the fixed form of scoring."""
        return {name: accuracy(logits) for name, logits in self.answers(images, None).items()}

    def loss(self, images: Tensor, generator: Generator) -> dict[str, Tensor]:
        """The cross-entropies of every head over every transform, summed; mean over images.

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
            generator: draws mirroring, shifts and the random parts of the transforms.
        """
        images = varied(images, self.config.flips, self.config.jitter, generator)
        found = self.answers(images, generator)
        return {name: task_loss(logits.float()) for name, logits in found.items()}

    # --- scoring ------------------------------------------------------------------------------

    def cues(self, images: Tensor) -> Cues:
        """For each head, ``-n(x)``: how badly the true transforms are recognised (section 7).

        Where nearly all is recognised, n is nearly the same for all images. ``ood="combined"`` adds
        a small share of how far the features before the head are from those of normal images
        (Lee et al. 2018), which then decides, and else hardly matters (our choice).

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
        """
        found = self.seen(images, None)
        return Cues(
            {
                name: self._judged(name, features).view(-1, images.shape[0]).mean(dim=0)
                for name, features in found.items()
            }
        )

    def _judged(self, name: str, features: Tensor) -> Tensor:
        """``(T, M, F)`` features of a head's transforms to the evidence ``(M,)``, float64."""
        config = self.config
        logits = self.network.heads[name](features)
        if config.ood == "mahalanobis":
            return self._distance(name, logits)
        odd = -normality(logits, config.inner)
        if config.ood == "combined":
            odd = odd + config.feature_weight * self._distance(name, features) / features.shape[-1]
        return odd

    def _distance(self, name: str, values: Tensor) -> Tensor:
        """Squared Mahalanobis distances, summed or averaged over the transforms."""
        labels = torch.arange(len(values), device=values.device)[:, None]
        means, precision = getattr(self, f"{name}_means"), getattr(self, f"{name}_precision")
        distances = mahalanobis(values, labels, means, precision)
        return distances.sum(dim=0) if self.config.inner == "sum" else distances.mean(dim=0)

    # --- statistics of normal images ----------------------------------------------------------

    def images_to_adapt(self, train: int, tune: int) -> int:
        """Held-out images for the accuracies; training images for Mahalanobis statistics."""
        return tune + min(train, self._sampled())

    def _sampled(self) -> int:
        return 0 if self.config.ood == "softmax_truth" else self.config.statistics_images

    def adapt(self, train: ImageCache, tune: ImageCache, tell: Callable[[int, int], None]) -> None:
        """Measure how well each task is solved on held-out normals; fit the statistics.

        A ``UserWarning`` names a task that is too easy, since anomalies will pass it as well, and
        one that was not learned, since it says nothing.
        """
        total, done = self.images_to_adapt(len(train), len(tune)), 0
        moments: dict[str, ClassMoments] = {}
        sample = train.evenly(self._sampled())
        for images in self.batches(sample):
            for name, features in self.seen(images, None).items():
                combined = self.config.ood == "combined"
                values = features if combined else self.network.heads[name](features)
                labels = torch.arange(len(values)).repeat_interleave(values.shape[1])
                moments.setdefault(name, ClassMoments(len(values), values.shape[-1]))
                moments[name].add(values.flatten(0, 1), labels)
            done += len(images)
            tell(done, total)
        for name, each in moments.items():
            means, precision = each.statistics(shrink=self.config.ood == "combined")
            getattr(self, f"{name}_means").copy_(means)
            getattr(self, f"{name}_precision").copy_(precision)
        solved: dict[str, float] = {}
        chance: dict[str, float] = {}
        for images in self.batches(tune):
            for name, logits in self.answers(images, None).items():
                solved[name] = solved.get(name, 0.0) + accuracy(logits) * len(images) / len(tune)
                chance[name] = 1 / len(logits)
            done += len(images)
            tell(done, total)
        self._tell_of(solved, chance)

    def _tell_of(self, solved: Mapping[str, float], chance: Mapping[str, float]) -> None:
        self.diagnostics["accuracy on held-out normals"] = {
            name: round(value, 4) for name, value in solved.items()
        }
        warn_of_difficulty(solved, chance)
