"""Images without their light: evened in brightness and in strength of grain (our choice)."""

from __future__ import annotations

import torch
from kornia.filters import gaussian_blur2d
from torch import Tensor

_LIGHT = 12 / 256
"""Sigma over which brightness is taken to be light, as a share of the side."""
_GRAIN = 24 / 256
"""Sigma over which the strength of the grain is measured, as a share of the side."""
_FLOOR = 0.02
"""Added to that strength, in grey levels of [0, 1]: below it there is only noise."""
_MEAN, _STRENGTH = 0.5, 0.15
"""What comes out: about those of natural images, which a pretrained encoder knows."""


def evened(images: Tensor) -> Tensor:
    """Take away local brightness and divide by the local strength of what is left.

    Surfaces of one kind differ in light and in the strength of their grain from batch to batch,
    which is not odd.

    Args:
        images: ``(N, C, H, W)`` in [0, 1], sides of 16 and more.

    Returns:
        Images of the same shape in [0, 1], local mean 0.5, local deviation 0.15 where the grain is
        well above the floor.
    """
    # Wide filters are very slow in bfloat16 and in another memory layout.
    with torch.autocast(images.device.type, enabled=False):
        images = images.float().contiguous()
        away = images - _blurred(images, _LIGHT)
        strength = _blurred(away.square(), _GRAIN).clamp(min=0).sqrt()
    found: Tensor = (_MEAN + _STRENGTH * away / (strength + _FLOOR)).clamp(0, 1)
    return found


def _blurred(images: Tensor, share: float) -> Tensor:
    side = min(images.shape[-2:])
    sigma = share * side
    kernel = 2 * min(round(4 * sigma), side // 2 - 1) + 1
    blurred: Tensor = gaussian_blur2d(images, (kernel, kernel), (sigma, sigma))
    return blurred
