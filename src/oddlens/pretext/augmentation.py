"""Changes that leave a normal image normal, drawn for each image."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from oddlens.errors import UsageError

Flips = Literal["none", "horizontal", "both"]
_AXES: dict[Flips, tuple[int, ...]] = {"none": (), "horizontal": (-1,), "both": (-1, -2)}


def mirrored(images: Tensor, flips: Flips, generator: Generator) -> Tensor:
    """Mirror each image ``(N, C, H, W)`` with probability one half along each axis asked for."""
    for axis, chosen in _drawn_flips(len(images), flips, generator).items():
        images = torch.where(
            chosen.to(images.device)[:, None, None, None], images.flip(axis), images
        )
    return images


def varied(images: Tensor, flips: Flips, pixels: int, generator: Generator) -> Tensor:
    """Mirror each image, then shift it by up to so many pixels, mirrored at the border.

    A padded random crop, with both looked up at once.

    Args:
        images: ``(N, C, H, W)``.
        flips: as in ``mirrored``.
        pixels: largest shift, in both directions, less than H and W; 0 shifts nothing.
        generator: draws for mirroring, then the shifts.

    Raises:
        UsageError: images are not larger than a shift.
    """
    if not pixels:
        return mirrored(images, flips, generator)
    if pixels >= min(images.shape[-2:]):
        raise UsageError(f"images of {images.shape[-1]} pixels cannot be shifted by {pixels}")
    chosen = _drawn_flips(len(images), flips, generator)
    moves = torch.randint(-pixels, pixels + 1, (len(images), 2), generator=generator)
    lines = []
    for axis, move in zip((-2, -1), moves.to(torch.int32).unbind(1), strict=True):
        last = images.shape[axis] - 1
        line = (torch.arange(last + 1, dtype=torch.int32) - move[:, None]).abs_()
        line = last - (last - line).abs_()
        if axis in chosen:
            line = torch.where(chosen[axis][:, None], last - line, line)
        lines.append(line.to(images.device))
    return _looked_up(images, *lines)


def _drawn_flips(count: int, flips: Flips, generator: Generator) -> dict[int, Tensor]:
    """Which images ``(N,)`` to mirror along each axis asked for."""
    return {axis: torch.rand(count, generator=generator) < 0.5 for axis in _AXES[flips]}


def _looked_up(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels of each image at the rows ``(N, H)`` and columns ``(N, W)``, int32, of its own."""
    count, channels, height, width = images.shape
    first = torch.arange(0, count * height * width, height * width)
    if images[:, 0].numel() < 2**31:
        first = first.to(torch.int32)  # half the work
    rows = rows * width + first.to(images.device)[:, None]
    index = rows[:, :, None] + columns[:, None, :]
    if images.is_contiguous(memory_format=torch.channels_last):
        table = images.movedim(1, -1).reshape(-1, channels)
        return F.embedding(index, table).movedim(-1, 1)
    planes = images.transpose(0, 1).reshape(channels, -1).index_select(1, index.flatten())
    return planes.view(channels, count, height, width).transpose(0, 1)
