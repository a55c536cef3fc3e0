"""What ``MultiTask`` and ``GeometricTransforms`` share: heads that name transforms.

A method says which logits its heads give (``answers``); loss, cues, their statistics and the check
whether a task is too easy or not learned follow from them.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Generator, Tensor, nn

from oddlens.detector import Detector
from oddlens.detectors.recognition_options import RecognitionOptions
from oddlens.images import ImageCache
from oddlens.networks.compact_encoder import CompactEncoder
from oddlens.networks.multi_head import MultiHead
from oddlens.networks.wide_resnet import WideResNet
from oddlens.pretext.augmentation import jittered, mirrored
from oddlens.pretext.classification import accuracy, normality, task_loss
from oddlens.scoring import Cues
from oddlens.scoring.ood import ClassMoments, mahalanobis
from oddlens.training.stage import Stage, cosine

TOO_EASY = 0.999
"""Accuracy on held-out normals from which on anomalies will be recognised as well (our choice)."""


class Recognition(Detector):
    """A detector whose cues are how badly transforms are recognised, one cue a head."""

    config: RecognitionOptions
    network: MultiHead

    @abstractmethod
    def answers(self, images: Tensor, generator: Generator | None) -> dict[str, Tensor]:
        """Logits by head, ``(T, M, T)``: row j answers to the j-th transform of the head's task.

        M is N, or a multiple of it where an image undergoes a transform together with others: then
        the N images come one after the other for each of the rest.

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
            generator: of random parts of the transforms; None for the fixed form of scoring.
        """

    def build(self, heads: Mapping[str, int], config: RecognitionOptions) -> None:
        """Make the network, and room for the statistics of its answers."""
        encoder: nn.Module
        if config.encoder == "wrn":
            encoder, features = (wide := WideResNet()), wide.features
        else:
            compact = CompactEncoder(config.widths, config.stem)
            encoder, features = compact, compact.features
        self.network = MultiHead(encoder, features, heads)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name, classes in heads.items():
            self.register_buffer(f"{name}_means", torch.zeros(classes, classes).double())
            self.register_buffer(f"{name}_precision", torch.eye(classes).double())

    # --- training -----------------------------------------------------------------------------

    def stages(self) -> list[Stage]:
        """One stage: recognise the transforms of normal images (MultiTask, sections 5 and 6)."""
        config = self.config

        def optimizer(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
            rate, decay = config.learning_rate, config.weight_decay
            if config.optimizer == "adam":
                return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
            return torch.optim.SGD(
                parameters, lr=rate, momentum=0.9, nesterov=True, weight_decay=decay
            )

        return [
            Stage(
                name="recognise",
                module=self.network,
                loss=self.loss,
                optimizer=optimizer,
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
        images = mirrored(images, self.config.flips, generator)
        images = jittered(images, self.config.jitter, generator)
        found = self.answers(images, generator)
        return {name: task_loss(logits.float()) for name, logits in found.items()}

    # --- scoring ------------------------------------------------------------------------------

    def cues(self, images: Tensor) -> Cues:
        """For each head, ``-n(x)``: how badly the true transforms are recognised (section 7).

        Args:
            images: ``(N, 3, S, S)`` in [0, 1].
        """
        found = self.answers(images, None)
        return Cues(
            {
                name: self._judged(name, logits).view(-1, len(images)).mean(dim=0)
                for name, logits in found.items()
            }
        )

    def _judged(self, name: str, logits: Tensor) -> Tensor:
        if self.config.ood == "softmax_truth":
            return -normality(logits, self.config.inner)
        labels = torch.arange(len(logits), device=logits.device)[:, None]
        means, precision = getattr(self, f"{name}_means"), getattr(self, f"{name}_precision")
        distances = mahalanobis(logits, labels, means, precision)
        return distances.sum(dim=0) if self.config.inner == "sum" else distances.mean(dim=0)

    # --- statistics of normal images ----------------------------------------------------------

    def images_to_adapt(self, train: int, tune: int) -> int:
        """Held-out images for the accuracies; training images for Mahalanobis statistics."""
        return tune + min(train, self._sampled())

    def _sampled(self) -> int:
        return self.config.statistics_images if self.config.ood == "mahalanobis" else 0

    def adapt(self, train: ImageCache, tune: ImageCache, tell: Callable[[int, int], None]) -> None:
        """Measure how well each task is solved on held-out normals; fit the statistics of logits.

        A ``UserWarning`` names a task that is too easy, since anomalies will pass it as well, and
        one that was not learned, since it says nothing.
        """
        total, done = self.images_to_adapt(len(train), len(tune)), 0
        moments: dict[str, ClassMoments] = {}
        sample = train.subset(range(min(len(train), self._sampled())))
        for images in self.batches(sample):
            for name, logits in self.answers(images, None).items():
                labels = torch.arange(len(logits)).repeat_interleave(logits.shape[1])
                moments.setdefault(name, ClassMoments(len(logits)))
                moments[name].add(logits.flatten(0, 1), labels)
            done += len(images)
            tell(done, total)
        for name, each in moments.items():
            means, precision = each.statistics()
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
        for name, value in solved.items():
            if value >= TOO_EASY:
                problem = "is too easy: anomalies will pass it as well"
            elif value < chance[name] + 0.1 * (1 - chance[name]):
                problem = "was not learned: its cue says little; train longer or leave it out"
            else:
                continue
            warnings.warn(
                f"task {name} {problem} ({100 * value:.1f} % of held-out normals are recognised, "
                f"chance is {100 * chance[name]:.1f} %)",
                UserWarning,
                stacklevel=1,
            )
