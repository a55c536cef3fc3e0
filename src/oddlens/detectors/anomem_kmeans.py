"""Prototypes by k-means: where memories on a frozen encoder start, and a baseline for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
import torch.nn.functional as F
from sklearn.cluster import MiniBatchKMeans
from torch import Generator, Tensor, nn

from oddlens.errors import UsageError
from oddlens.images import ImageCache
from oddlens.networks.memory import PrototypeMemory

POSITIONS = 30_000
"""Of each scale, that k-means looks at, about."""


def set_prototypes(
    memories: Iterable[nn.Module],
    features: Callable[[Tensor], list[Tensor]],
    sample: ImageCache,
    batches: Callable[[ImageCache], Iterator[Tensor]],
    generator: Generator | None = None,
    *,
    fewer: bool = False,
) -> Iterator[int]:
    """Put each memory's prototypes at the centres of k-means over normal features of unit length.

    Mini-batch k-means of scikit-learn (Sculley 2010), once, on positions drawn evenly from the
    images.

    Args:
        memories: one a scale; they are changed in place.
        features: of images ``(N, 3, S, S)`` in [0, 1], ``(N, C_s, H_s, W_s)`` a scale.
        sample: normal images.
        batches: turns them into ``(N, 3, S, S)`` in [0, 1].
        generator: draws positions; None for torch's own.
        fewer: where there are less than four positions to a prototype, find fewer and hold each
            more than once, so that no prototype is a single image (our choice).

    Yields:
        After each batch, how many images were looked at; the prototypes are set at the end.

    Raises:
        UsageError: there are fewer positions than prototypes, and not ``fewer``.
    """
    drawn: list[list[Tensor]] = []
    each = -(-POSITIONS // len(sample))
    for images in batches(sample):
        found = features(images)
        drawn = drawn or [[] for _ in found]
        for into, scale in zip(drawn, found, strict=True):
            for one in F.normalize(scale.float(), dim=1).flatten(2).mT.cpu():
                into.append(one[torch.randperm(len(one), generator=generator)[:each]])
        yield len(images)
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    for memory, points in zip(memories, drawn, strict=True):
        assert isinstance(memory, PrototypeMemory)
        all_points, slots = torch.cat(points), len(memory.prototypes)
        distinct = min(slots, max(1, len(all_points) // 4)) if fewer else slots
        centres = _centres(all_points, distinct, seed)
        memory.prototypes.copy_(centres.repeat(-(-slots // distinct), 1)[:slots])


def _centres(points: Tensor, slots: int, seed: int) -> Tensor:
    if len(points) < slots:
        raise UsageError(
            f"slots {slots} is more than the {len(points)} positions that the training images "
            "have: ask for fewer slots, or give more images"
        )
    found = MiniBatchKMeans(slots, batch_size=2048, n_init=1, max_iter=10, random_state=seed)
    return torch.from_numpy(found.fit(points.numpy()).cluster_centers_)
