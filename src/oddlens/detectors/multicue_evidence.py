"""What MultiCue makes of the answers about its pieces: how odd each one is.

Three ways to judge a classification. Literal, the probability that is missing to the truth; the
Mahalanobis distance of the logits (both papers' discussion); or, by default, ``combined``, our
choice, since each alone fails somewhere:

- A piece of empty background could lie in many places, and no normal image says in which. What is
  missing to certainty there measures how much background an image has. So the truth is weighed by
  how well normal images are solved at that place, to the fourth power.
- Where everything is solved, or hardly anything, the truth says little; the features that the
  answer is made of still say whether the piece looks like a normal one in its place (Lee et al.
  2018). Their distance is added, each of both in standard deviations of normal images.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor, nn

from oddlens.detectors.multicue_options import MultiCueOptions, TaskName
from oddlens.detectors.multicue_pieces import Look
from oddlens.pretext.tint import expected_error
from oddlens.scoring.ood import ClassMoments, mahalanobis

_SHARPNESS = 4
"""Power of the share solved: from 1 to 4 every step helped on training images of grey and of
coloured classes, and none hurt by more than a point."""


class Evidence(NamedTuple):
    """How odd the pieces are in the eyes of one cue.

    Attributes:
        pieces: ``(R N, n)`` float64, by slot.
        scores: ``(R N,)``, their weighted mean.
    """

    pieces: Tensor
    scores: Tensor


class PieceEvidence(nn.Module):
    """Judges puzzle and tint; holds what it must know of normal images to do so.

    Args:
        config: the method's options.
        features: channels of a piece's features.
    """

    feature_means: Tensor
    feature_precision: Tensor
    solved: Tensor
    scales: Tensor

    def __init__(self, config: MultiCueOptions, features: int) -> None:
        super().__init__()
        self.config = config
        pieces, passes = config.grid**2, config.permutations
        for name, classes in (("puzzle", pieces), ("tint", config.angles)):
            self.register_buffer(f"{name}_means", torch.zeros(classes, classes).double())
            self.register_buffer(f"{name}_precision", torch.eye(classes).double())
        # Of a piece in each slot of each pass.
        self.register_buffer("feature_means", torch.zeros(passes * pieces, features).double())
        self.register_buffer("feature_precision", torch.eye(features).double())
        self.register_buffer("solved", torch.ones(passes, pieces).double() / pieces)
        self.register_buffer("scales", torch.ones(2).double())

    def structure(self, look: Look) -> Evidence:
        """Of the puzzle: do the pieces lie where they belong?"""
        if self.config.ood != "combined":
            return self._averaged(
                self._judged("puzzle", self.config.ood, look.position, look.order), look
            )
        truth, distance = self._terms(look)
        pieces = truth / self.scales[0] + distance / self.scales[1]
        return Evidence(pieces, pieces.mean(dim=1))

    def colour(self, look: Look) -> Evidence:
        """Of tint: is the hue of every piece recognised?"""
        function = self.config.tint_ood
        if function == "expected_error":
            return self._averaged(
                expected_error(look.tint.double(), look.angle, look.errors.double()), look
            )
        return self._averaged(self._judged("tint", function, look.tint, look.angle), look)

    def _averaged(self, pieces: Tensor, look: Look) -> Evidence:
        if self.config.weighting == "attention" and self.config.attention in ("u", "both"):
            return Evidence(pieces, (look.attention.double() * pieces).sum(dim=1))
        return Evidence(pieces, pieces.mean(dim=1))

    def _judged(self, task: str, function: str, logits: Tensor, labels: Tensor) -> Tensor:
        if function == "softmax_truth":
            return 1 - _truth(logits, labels)
        means, precision = self.get_buffer(f"{task}_means"), self.get_buffer(f"{task}_precision")
        return mahalanobis(logits, labels, means, precision)

    def _terms(self, look: Look) -> tuple[Tensor, Tensor]:
        """Weighted share missing to the truth, and distance of the features, ``(R N, n)`` each."""
        missing = 1 - _truth(look.position, look.order)
        weight = self.solved**_SHARPNESS
        weight = (weight / weight.mean()).repeat_interleave(len(missing) // len(weight), dim=0)
        distance = mahalanobis(
            look.features, self._slots(look), self.feature_means, self.feature_precision
        )
        return weight * missing, distance / look.features.shape[-1]

    def _slots(self, look: Look) -> Tensor:
        """``(R N, n)``: a number for each slot of each pass."""
        passes, pieces = self.solved.shape
        every = torch.arange(passes * pieces, device=look.order.device).view(passes, pieces)
        return every.repeat_interleave(len(look.order) // passes, dim=0)

    # --- what it learns of normal images ------------------------------------------------------

    def asks_statistics(self, tasks: Collection[TaskName]) -> bool:
        """Whether one of these tasks is judged by statistics of normal images."""
        puzzle = "puzzle" in tasks and self.config.ood != "softmax_truth"
        return puzzle or ("tint" in tasks and self.config.tint_ood == "mahalanobis")

    def asks_scales(self, tasks: Collection[TaskName]) -> bool:
        """Whether there are two terms to be brought to one scale."""
        return "puzzle" in tasks and self.config.ood == "combined"

    def moments(self) -> dict[str, ClassMoments]:
        """Room for one pass over normal images; see ``add`` and ``learn``."""
        pieces = self.config.grid**2
        return {
            "puzzle": ClassMoments(pieces),
            "tint": ClassMoments(self.config.angles),
            "feature": ClassMoments(*self.feature_means.shape),
            "solved": ClassMoments(self.solved.numel(), 1),
        }

    def add(self, moments: dict[str, ClassMoments], look: Look) -> None:
        """Take in what normal images gave."""
        moments["puzzle"].add(look.position.flatten(0, 1), look.order.flatten())
        moments["tint"].add(look.tint.flatten(0, 1), look.angle.flatten())
        slots = self._slots(look).flatten()
        moments["feature"].add(look.features.flatten(0, 1), slots)
        moments["solved"].add(_truth(look.position, look.order).view(-1, 1), slots)

    def learn(self, moments: dict[str, ClassMoments]) -> None:
        """Take over the statistics."""
        for name in ("puzzle", "tint", "feature"):
            means, precision = moments[name].statistics(shrink=name == "feature")
            self.get_buffer(f"{name}_means").copy_(means)
            self.get_buffer(f"{name}_precision").copy_(precision)
        self.solved.copy_(moments["solved"].statistics()[0].view_as(self.solved))

    def by_image(self, look: Look) -> Tensor:
        """Both terms of ``combined``, ``(N, 2)``: means over pieces and passes, unscaled."""
        passes = len(self.solved)
        return torch.stack(
            [each.mean(dim=1).view(passes, -1).mean(dim=0) for each in self._terms(look)], dim=1
        )

    def scale(self, terms: Tensor) -> None:
        """Take over the standard deviations of both terms over normal images, ``(M, 2)``."""
        scales = terms.std(dim=0, correction=0)
        self.scales.copy_(torch.where(scales > 0, scales, torch.ones_like(scales)))


def _truth(logits: Tensor, labels: Tensor) -> Tensor:
    """Probability of the true class, float64; ``(..., K)`` and ``(...)`` to ``(...)``."""
    return logits.double().softmax(dim=-1).gather(-1, labels[..., None])[..., 0]
