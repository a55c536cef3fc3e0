"""From decoded pixels of any size to what a network takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oddlens.images.pixels import Pixels

if TYPE_CHECKING:
    import torch


def squash(pixels: Pixels, size: int) -> Pixels:
    """Resize to a square, channels last; see ``prepare``.

    Args:
        pixels: uint8 (H, W, 3).
        size: the side of the square, in pixels.

    Returns:
        uint8 (size, size, 3); ``pixels`` itself when it has this size already.
    """
    if pixels.shape[:2] == (size, size):
        return pixels
    resized = Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(resized)


def prepare(pixels: Pixels, size: int) -> Pixels:
    """Resize to a square, channels first.

    The whole image is squashed (our choice: nothing at the borders is cut away unseen, and maps
    scale back without offsets), bilinear with antialiasing when it shrinks (Pillow).

    Args:
        pixels: uint8 (H, W, 3).
        size: the side of the square, in pixels.

    Returns:
        uint8 (3, size, size), contiguous.
    """
    return np.ascontiguousarray(squash(pixels, size).transpose(2, 0, 1))


def to_tensor(pixels: NDArray[Any]) -> torch.Tensor:
    """Turn a batch of squashed images into a network's input.

    Args:
        pixels: uint8 (N, S, S, 3), contiguous and writable.

    Returns:
        float32 (N, 3, S, S) in [0, 1], in channels_last memory format: that is how decoded
        pixels lie anyway, and how convolutions on a CPU like them best.
    """
    import torch  # only here: what scores without torch decodes and squashes as well

    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return batch.to(torch.float32).div_(255)
