"""Changes that leave a normal image normal, drawn for each image."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

Flips = Literal["none", "horizontal", "both"]


def mirrored(images: Tensor, flips: Flips, generator: Generator) -> Tensor:
    """Mirror each image ``(N, C, H, W)`` with probability one half along each axis asked for."""
    axes = {"none": (), "horizontal": (-1,), "both": (-1, -2)}[flips]
    for axis in axes:
        chosen = torch.rand(len(images), generator=generator) < 0.5
        images = torch.where(
            chosen.to(images.device)[:, None, None, None], images.flip(axis), images
        )
    return images


def jittered(images: Tensor, pixels: int, generator: Generator) -> Tensor:
    """Shift each image by up to so many pixels, mirrored at the border: a padded random crop.

    Args:
        images: ``(N, C, H, W)``.
        pixels: largest shift, in both directions; 0 returns the images.
        generator: draws the shifts.
    """
    if not pixels:
        return images
    height, width = images.shape[-2:]
    moves = torch.randint(-pixels, pixels + 1, (len(images), 2), generator=generator)
    padded = F.pad(images, (pixels,) * 4, mode="reflect")
    corners = (pixels - moves).tolist()
    return torch.stack(
        [
            image[:, top : top + height, left : left + width]
            for image, (top, left) in zip(padded, corners, strict=True)
        ]
    )
