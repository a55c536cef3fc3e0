"""An SSM small enough to train and score in a blink, and images for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from oddlens.detectors.ssm import SSM
from oddlens.images import ImageCache, open_source

SIDE = 32
TINY: dict[str, Any] = {
    "image_size": SIDE,
    "widths": (8, 8),
    "stem": 2,
    "cells": (2, 4, 8),
    "scoring_cells": (4, 8),
    "sigmas": (1.0, 4.0),
    "batch_size": 8,
    "spread_images": 8,
}


def tiny(**options: Any) -> SSM:
    """An untrained detector, always with the same weights; it restores to about mid-grey."""
    torch.manual_seed(0)
    detector = SSM(**{**TINY, **options}).eval()
    nn.init.constant_(detector.network.head.bias, 0.55)  # type: ignore[arg-type]
    return detector


def surfaces(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Stripes of random phase under a little noise, ``(count, 32, 32, 3)``."""
    random = np.random.default_rng(seed)
    phase = random.uniform(0, 6, (count, 1, 1, 1))
    stripes = np.sin(0.6 * np.arange(SIDE)[None, None, :, None] + phase)
    noise = random.normal(0, 0.03, (count, SIDE, SIDE, 3))
    return np.clip(255 * (0.5 + 0.3 * stripes + noise), 0, 255).astype(np.uint8)


def as_batch(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def as_cache(pixels: NDArray[np.uint8], side: int = SIDE) -> ImageCache:
    return ImageCache.load(open_source(pixels), side, on_bad="raise")


def ignore(done: int, total: int) -> None:
    """Progress that nobody watches."""


class Answer(nn.Module):
    """In place of the network: the same answer to everything; keeps what it was asked."""

    def __init__(self, restored: Tensor, predicted: Tensor | None = None) -> None:
        super().__init__()
        self.anywhere = nn.Parameter(torch.zeros(()))  # a detector is where its parameters are
        self.restored = restored
        self.predicted = torch.zeros(()) if predicted is None else predicted
        self.asked: list[tuple[Tensor, Tensor]] = []
        self.answers: list[Tensor] = []

    def forward(self, masked: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        self.asked.append((masked, mask))
        restored = self.restored.expand(len(masked), 3, *masked.shape[-2:]).clone()
        self.answers.append(restored.requires_grad_(not torch.is_inference(restored)))
        return self.answers[-1], self.predicted.expand_as(mask)
