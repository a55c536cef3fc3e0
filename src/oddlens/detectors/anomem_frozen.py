"""AnoMem on a frozen encoder: prototypes by k-means, then learned; what deviations are normal.

Our choice throughout: the paper trains its encoder and argues against pretrained ones. What is kept
is the memory on several scales, its recall and the spatial deviation; with fixed features there is
nothing to contrast, so that memory is learned by how well it recalls.

A deviation says little until it is known how much is normal. Three statistics of training normals
tell (each can be left out, see the option ``scaled_by``):

- metric: along which directions of the feature space normal features deviate from what they recall
  (their covariance, shared by all prototypes, as in a Mahalanobis distance);
- spread: how far normal features are from the prototype that they recall most, for each prototype;
- place: mean and deviation of what remains at each position, smoothed over neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d
from torch import Generator, Tensor, nn

from oddlens.detectors.anomem_options import MOST_IMAGES
from oddlens.images import ImageCache
from oddlens.networks.memory import Recall
from oddlens.networks.memory_network import MemoryNetwork
from oddlens.networks.pretrained import FrozenEncoder
from oddlens.pretext.contrast import variance_term

MOST_STEPS = 40
"""Of learning, unless epochs or minutes are asked for: k-means has left little to learn."""
_DRAWN = 4096
"""Positions of each scale in a step of learning."""
_METRIC_IMAGES = 64
"""That tell the metric, at most: few have positions enough."""
_RIDGE = 0.1
"""Added to the covariance, as a share of its mean variance."""
_FEW = 20.0
"""Observations of a prototype that weigh as much as all others' mean spread."""
_PLACES = 4 / 64
"""Sigma by which statistics of places are smoothed, as a share of the side."""


class NormalDeviations(nn.Module):
    """How normal features deviate from what a memory recalls, for one scale.

    Args:
        slots: prototypes.
        channels: C.
        side: ``(H, W)`` of the feature map.
    """

    def __init__(self, slots: int, channels: int, side: tuple[int, int]) -> None:
        super().__init__()
        self.metric: Tensor
        self.spread: Tensor
        self.place_mean: Tensor
        self.place_std: Tensor
        self.register_buffer("metric", torch.eye(channels))
        self.register_buffer("spread", torch.ones(slots))
        self.register_buffer("place_mean", torch.zeros(side))
        self.register_buffer("place_std", torch.ones(side))

    def distances(self, recall: Recall) -> tuple[Tensor, Tensor]:
        """``||metric Delta||^2`` and the most recalled prototype, ``(N, H, W)`` each."""
        turned = F.conv2d(recall.deviation, self.metric[:, :, None, None])
        return turned.square().sum(dim=1), recall.weights.argmax(dim=-1)

    def forward(self, recall: Recall) -> Tensor:
        """How unusual each position deviates, ``(N, H, W)``: mean 0, deviation 1 on normals."""
        squared, nearest = self.distances(recall)
        return ((squared / self.spread[nearest]).sqrt() - self.place_mean) / self.place_std

    def fit_metric(self, covariance: Tensor) -> None:
        """From the second moment of normal deviations, ``(C, C)`` float64."""
        ridge = _RIDGE * covariance.diagonal().mean().clamp_min(1e-12)
        values, vectors = torch.linalg.eigh(covariance + ridge * torch.eye(len(covariance)))
        self.metric.copy_((vectors * values.rsqrt()).T)

    def fit_spread(self, squared: Tensor, nearest: Tensor) -> None:
        """From squared distances and most recalled prototypes of normals, ``(N, H, W)`` each."""
        flat, at = squared.flatten().double().cpu(), nearest.flatten().cpu()
        slots = len(self.spread)
        sums = torch.zeros(slots, dtype=torch.float64).index_add_(0, at, flat)
        counts = torch.bincount(at, minlength=slots)
        mean = flat.mean().clamp_min(1e-12)
        self.spread.copy_((sums + _FEW * mean) / (counts + _FEW))

    def fit_places(self, deviating: Tensor, *, each: bool) -> None:
        """From the roots of scaled distances of normals, ``(N, H, W)``; of all places if not each.

        A place's deviation is half its own and half that of all: where nothing ever happened in
        training, a little may well happen later.
        """
        deviating = deviating.double().cpu()
        overall_mean, overall_std = deviating.mean(), deviating.std().clamp_min(1e-6)
        if not each:
            self.place_mean.fill_(float(overall_mean))
            self.place_std.fill_(float(overall_std))
            return
        mean, std = (
            smoothed(moment[None], _PLACES * deviating.shape[-1])[0]
            for moment in (deviating.mean(dim=0), deviating.std(dim=0, correction=0))
        )
        self.place_mean.copy_(mean)
        self.place_std.copy_((std + overall_std) / 2)


def smoothed(maps: Tensor, sigma: float) -> Tensor:
    """Maps ``(N, H, W)`` blurred by a Gaussian; borders mirrored; 0 leaves them as they are."""
    if sigma <= 0:
        return maps
    reach = min(round(3 * sigma), min(maps.shape[-2:]) - 1)
    kernel = 2 * max(reach, 1) + 1
    if min(maps.shape[-2:]) < 2:
        return maps
    found: Tensor = gaussian_blur2d(maps[:, None], (kernel, kernel), (sigma, sigma))[:, 0]
    return found


def _median(values: Tensor) -> Tensor:
    """The lower median of each row; sorted, since ONNX has no other way to it."""
    return values.sort(dim=1).values[:, (values.shape[1] - 1) // 2]


def resized(maps: Tensor, size: int) -> Tensor:
    """Maps ``(N, H, W)`` to ``(N, size, size)``, bilinear."""
    return F.interpolate(maps[:, None], (size, size), mode="bilinear", align_corners=False)[:, 0]


class OddMap(NamedTuple):
    """How unusual each place of images is.

    Attributes:
        judged: ``(N, h, w)``, what an image's score is read from.
        shown: ``(N, H, W)``, the anomaly map.
    """

    judged: Tensor
    shown: Tensor


class Frozen(nn.Module):
    """What AnoMem does otherwise where the encoder is frozen.

    Args:
        encoder: that the memories read.
        slots: prototypes of each scale.
        scaled_by: which statistics scale a deviation: "metric", "spread", "place".
        relative: take the median of each image off its map.
        deepest: read the score from the last scale alone. It sees the most around each place, by
            which a defect is told from texture; the finer ones say better where it ends.
    """

    def __init__(
        self,
        encoder: FrozenEncoder,
        slots: int,
        scaled_by: Sequence[str],
        *,
        relative: bool = False,
        deepest: bool = True,
    ) -> None:
        super().__init__()
        self._scaled_by = frozenset(scaled_by)
        self._relative = relative
        self._deepest = deepest
        self.normal = nn.ModuleList(
            NormalDeviations(slots, *each)
            for each in zip(encoder.channels, encoder.sides, strict=True)
        )

    def maps(self, recalls: Sequence[Recall], size: int, sigma: float) -> OddMap:
        """How unusual each position is, ``(N, size, size)``; shown is the mean over the scales.

        Args:
            recalls: shallow to deep.
            size: side of the images.
            sigma: of the Gaussian that smooths them, in pixels of the image.
        """
        # Smoothed at a quarter of the resolution: the same picture, for a sixteenth of the work.
        coarse = -(-size // 4)
        each = [
            resized(normal(recall), coarse)
            for normal, recall in zip(self.normal, recalls, strict=True)
        ]
        shown = self._finished(torch.stack(each).mean(dim=0), sigma * coarse / size)
        judged = self._finished(each[-1], sigma * coarse / size) if self._deepest else shown
        return OddMap(resized(judged, size), resized(shown, size))

    def _finished(self, maps: Tensor, sigma: float) -> Tensor:
        maps = smoothed(maps, sigma)
        if self._relative:
            # Another batch of a surface is unlike the training images everywhere; a defect is not.
            maps = maps - _median(maps.flatten(1))[:, None, None]
        return maps

    def images_to_fit(self, train: int) -> int:
        """How many images ``fit`` looks at, of so many."""
        few = min(train, _METRIC_IMAGES) if "metric" in self._scaled_by else 0
        return few + min(train, MOST_IMAGES)

    def fit(
        self,
        recalled: Callable[[Tensor], Sequence[Recall]],
        train: ImageCache,
        batches: Callable[[ImageCache], Iterator[Tensor]],
    ) -> Iterator[int]:
        """Measure how normal images deviate, and tell after each batch how many were looked at.

        Args:
            recalled: what the memories, which have learned, make of images; shallow to deep.
            train: normal images.
            batches: turns them into ``(N, 3, S, S)`` in [0, 1].
        """
        if "metric" in self._scaled_by:
            sums: list[Tensor] = [torch.zeros(0)] * len(self.normal)
            for images in batches(train.evenly(_METRIC_IMAGES)):
                for at, recall in enumerate(recalled(images)):
                    flat = recall.deviation.permute(0, 2, 3, 1).flatten(0, 2).double().cpu()
                    moment = flat.T @ flat / len(flat) * len(images)
                    sums[at] = sums[at] + moment if len(sums[at]) else moment
                yield len(images)
            for normal, moment in zip(self._parts(), sums, strict=True):
                normal.fit_metric(moment / min(len(train), _METRIC_IMAGES))
        found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in self.normal]
        for images in batches(train.evenly(MOST_IMAGES)):
            for into, normal, recall in zip(found, self._parts(), recalled(images), strict=True):
                squared, nearest = normal.distances(recall)
                into.append((squared.cpu(), nearest.cpu()))
            yield len(images)
        for normal, pairs in zip(self._parts(), found, strict=True):
            squared, nearest = (torch.cat(each) for each in zip(*pairs, strict=True))
            if "spread" in self._scaled_by:
                normal.fit_spread(squared, nearest)
            scaled = (squared / normal.spread.cpu()[nearest]).sqrt()
            normal.fit_places(scaled, each="place" in self._scaled_by)

    def _parts(self) -> Iterator[NormalDeviations]:
        for normal in self.normal:
            assert isinstance(normal, NormalDeviations)
            yield normal


def recall_loss(
    network: MemoryNetwork, images: Tensor, generator: Generator, variance_weight: float
) -> dict[str, Tensor]:
    """How badly memories recall normal features, and the term that keeps recalls apart.

    Args:
        network: its encoder frozen.
        images: normal ones, ``(N, 3, S, S)`` in [0, 1].
        generator: draws positions.
        variance_weight: of the variance term.
    """
    errors, variances = [], []
    for memory, features in zip(network.memories, network.features(images), strict=True):
        flat = features.permute(0, 2, 3, 1).flatten(0, 2)
        at = torch.randint(len(flat), (min(_DRAWN, len(flat)),), generator=generator)
        recall = memory(flat[at.to(flat.device)].T[None, :, :, None])
        errors.append(recall.deviation.square().sum(dim=1).mean())
        variances.append(variance_term(recall.recalled[0, :, :, 0].T))
    return {
        "recall": torch.stack(errors).mean(),
        "variance": variance_weight * torch.stack(variances).mean(),
    }
