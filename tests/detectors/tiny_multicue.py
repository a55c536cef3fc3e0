"""A MultiCue small enough to fit in a blink, images for it, and what its encoder was shown."""

from __future__ import annotations

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from oddlens.detectors.multicue import MultiCue
from oddlens.detectors.multicue_pieces import Look
from oddlens.images import ImageCache, open_source
from oddlens.pretext.tint import rotate_hue

SIDE = 24
TINY: dict[str, Any] = {
    "image_size": SIDE,
    "widths": (8, 8),
    "unet_widths": (8, 8),
    "permutations": 2,
    "batch_size": 8,
}


def tiny(**options: Any) -> MultiCue:
    """An untrained detector, the same each time, whose attention prefers some pieces."""
    torch.manual_seed(0)
    detector = MultiCue(**{**TINY, **options}).eval()
    torch.nn.init.normal_(detector.pieces.attention.weight, std=2)
    return detector


def decided(**options: Any) -> MultiCue:
    """One whose answers about tint and whose attention are far from uniform."""
    detector = tiny(**options)
    detector.pieces.tint.weight.data *= 300
    detector.pieces.attention.weight.data *= 10
    return detector


def adapted(**options: Any) -> MultiCue:
    """One that has seen normal images."""
    detector = tiny(**options)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        detector.adapt(as_cache(pictures(40)), as_cache(pictures(6, 1)), ignore)
    return detector


def ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def pictures(count: int, seed: int = 0, *, grey: bool = False) -> NDArray[np.uint8]:
    """A coloured gradient of random hues under noise, ``(count, 24, 24, 3)``."""
    random = np.random.default_rng(seed)
    ends = random.uniform(0, 255, (2, count, 1, 1, 3))
    slope = np.linspace(0, 1, SIDE)[None, None, :, None]
    made = ends[0] * slope + ends[1] * (1 - slope)
    made = np.clip(made + random.normal(0, 20, (count, SIDE, SIDE, 3)), 0, 255)
    if grey:
        made = made[..., :1].repeat(3, axis=-1)
    small: NDArray[np.uint8] = made.astype(np.uint8)
    return small


def as_batch(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def as_cache(pixels: NDArray[np.uint8]) -> ImageCache:
    return ImageCache.load(open_source(pixels), SIDE, on_bad="raise")


class Seen(NamedTuple):
    """What the encoder was shown and what the labels say of it, both ``(M, n, 3, c, c)`` by slot.

    Attributes:
        look: labels and answers.
        shown: the slots' contents.
        meant: the pieces of the original images that ``look.order`` names, their hues as they are.
    """

    look: Look
    shown: Tensor
    meant: Tensor


def seen(detector: MultiCue, images: Tensor, generator: Generator | None = None) -> Seen:
    """By a detector without margin: as drawn for training, or as fixed for scoring."""
    given: list[Tensor] = []
    encoder = detector.pieces.encoder
    watch = encoder.register_forward_pre_hook(lambda _, shown: given.append(shown[0]))
    with torch.no_grad():
        if generator is None:
            look = detector._tasks.fixed(detector.pieces, images)
        else:
            look = detector._tasks.drawn(detector.pieces, images, generator)
    watch.remove()
    grid = detector.config.grid
    pieces = _slots(images, grid)
    meant = [pieces[row % len(images)][order] for row, order in enumerate(look.order)]
    return Seen(look, _slots((given[0] + 1) / 2, grid), torch.stack(meant))


def left_over(found: Seen, angles: int) -> Tensor:
    """What differs from the piece once each angle is undone: ``(M, n, m)``, L1 a pixel."""
    undone = [rotate_hue(found.shown, -2 * math.pi * each / angles) for each in range(angles)]
    away = [(each - found.meant).abs().sum(dim=2).mean(dim=(-2, -1)) for each in undone]
    return torch.stack(away, dim=-1)


def _slots(images: Tensor, grid: int) -> Tensor:
    cell = images.shape[-1] // grid
    corners = [(y * cell, x * cell) for y in range(grid) for x in range(grid)]
    return torch.stack([images[..., y : y + cell, x : x + cell] for y, x in corners], dim=1)
