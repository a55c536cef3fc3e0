"""AnoMem on a frozen encoder where an image is judged as a whole: which kind of thing it shows.

Our choice throughout, like all that has a frozen encoder. A class or a style is not odd at a place.
So a memory holds what normal images are in the mean over their places; the deviation from it is
measured in the metric of normal deviations. With a single prototype that is all but the Mahalanobis
distance of the mean feature (SSD); more of them are for a class that falls into parts (a font of 62
glyphs).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oddlens.detectors.anomem_frozen import OddMap, resized, smoothed
from oddlens.detectors.anomem_spread import shrinkage
from oddlens.images import ImageCache
from oddlens.networks.memory import Recall


class WholeDeviation(nn.Module):
    """How normal images deviate as a whole from what a memory recalls, for one scale.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.metric: Tensor
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("metric", torch.eye(channels))
        self.register_buffer("mean", torch.tensor(0.0))
        self.register_buffer("std", torch.tensor(1.0))

    def distances(self, recall: Recall) -> Tensor:
        """``||metric Delta||``, ``(N,)``."""
        return self._turned(recall.deviation).square().sum(dim=(1, 2, 3)).sqrt()

    def forward(self, recall: Recall) -> Tensor:
        """How unusual each image is, ``(N,)``: mean 0, deviation 1 on normals."""
        return (self.distances(recall) - self.mean) / self.std

    def shares(self, recall: Recall) -> Tensor:
        """What each place adds to it, ``(N, H, W)``: the mean over places is ``forward``.

        The deviation of an image is the mean of its places' deviations, so that its length is the
        mean of their parts along its direction.

        Args:
            recall: with its ``places``.
        """
        assert recall.places is not None
        turned = self._turned(recall.deviation)
        direction = turned / turned.norm(dim=1, keepdim=True).clamp_min(1e-12)
        along: Tensor = (self._turned(recall.places - recall.recalled) * direction).sum(dim=1)
        return (along - self.mean) / self.std

    def fit(self, deviations: Tensor, *, metric: bool) -> None:
        """From deviations of normal images, ``(M, C)`` float64; of length alone if not metric."""
        if metric:
            count, channels = deviations.shape
            covariance = deviations.T @ deviations / count
            share = shrinkage(channels, count)
            size = covariance.diagonal().mean().clamp_min(1e-12)
            eye = torch.eye(channels, dtype=torch.float64)
            values, vectors = torch.linalg.eigh((1 - share) * covariance + share * size * eye)
            self.metric.copy_((vectors * values.rsqrt()).T)
        lengths = (deviations @ self.metric.double().cpu().T).norm(dim=1)
        self.mean.copy_(lengths.mean())
        self.std.copy_(lengths.std(correction=0).clamp_min(1e-6))

    def _turned(self, deviation: Tensor) -> Tensor:
        return F.conv2d(deviation, self.metric[:, :, None, None])


class Whole(nn.Module):
    """What AnoMem does instead of ``Frozen`` where an image is judged as a whole.

    Args:
        channels: of the scales, shallow to deep.
        images: that tell what is normal, at most.
        metric: measure deviations in their metric, rather than by length.
        deepest: read the score from the last scale alone.
    """

    def __init__(
        self, channels: Sequence[int], images: int, *, metric: bool = True, deepest: bool = True
    ) -> None:
        super().__init__()
        self._images, self._metric, self._deepest = images, metric, deepest
        self.normal = nn.ModuleList(WholeDeviation(each) for each in channels)

    def maps(self, recalls: Sequence[Recall], size: int, sigma: float) -> OddMap:
        """The score as a map of one place, and what each place adds, mean over the scales.

        Args:
            recalls: with their ``places``, shallow to deep.
            size: side of the images.
            sigma: of the Gaussian that smooths the map, in pixels of the image.
        """
        pairs = list(zip(self._parts(), recalls, strict=True))
        judging = pairs[-1:] if self._deepest else pairs
        judged = torch.stack([normal(recall) for normal, recall in judging]).mean(dim=0)
        shown = [resized(normal.shares(recall), size) for normal, recall in pairs]
        return OddMap(judged[:, None, None], smoothed(torch.stack(shown).mean(dim=0), sigma))

    def images_to_fit(self, train: int) -> int:
        """See ``Frozen.images_to_fit``."""
        return min(train, self._images)

    def fit(
        self,
        recalled: Callable[[Tensor], Sequence[Recall]],
        train: ImageCache,
        batches: Callable[[ImageCache], Iterator[Tensor]],
    ) -> Iterator[int]:
        """See ``Frozen.fit``."""
        found: list[list[Tensor]] = [[] for _ in self.normal]
        for images in batches(train.evenly(self._images)):
            for into, recall in zip(found, recalled(images), strict=True):
                into.append(recall.deviation.flatten(1).double().cpu())
            yield len(images)
        for normal, deviations in zip(self._parts(), found, strict=True):
            normal.fit(torch.cat(deviations), metric=self._metric)

    def _parts(self) -> Iterator[WholeDeviation]:
        for normal in self.normal:
            assert isinstance(normal, WholeDeviation)
            yield normal
