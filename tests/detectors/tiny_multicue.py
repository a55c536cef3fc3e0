"""A MultiCue small enough to fit in a blink, and images for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from oddlens.detectors.multicue import MultiCue
from oddlens.images import ImageCache, open_source

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
