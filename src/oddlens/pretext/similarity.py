"""How alike an image and its restoration are: gradient-magnitude similarity and SSIM.

Functional core of SSM's image losses and of its error map (SSM, section 3; the constants are those
of the released code). Everything is differentiable in both arguments and finite on flat images.

Blurs are written as products with banded matrices, ``G @ x @ G.T``: on a CPU a 128 x 128 matrix
product runs several times faster than an 11-tap depthwise convolution, with the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

GMS_CONSTANT = 0.0026
"""The constant c of the gradient-magnitude similarity, for images in [0, 1]."""

_GRADIENT_EPS = float(np.finfo(np.float64).eps)
_SMALLEST = 3
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2
_SSIM_WINDOW, _SSIM_SIGMA = 11, 1.5
_MEDIAN_OF_NINE = (
    *((1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3)),
    *((5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2)),
)
"""The 19 exchanges after which place 4 of nine values holds their median (Devillard, 1998)."""


class _MedianOfWindows(torch.autograd.Function):
    """Median of each 3 x 3 window; the gradient goes to the value that was chosen."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor) -> Tensor:
        values = _shifts(padded)
        for low, high in _MEDIAN_OF_NINE:
            smaller = torch.minimum(values[low], values[high])
            values[high] = torch.maximum(values[low], values[high])
            values[low] = smaller
        ctx.save_for_backward(padded, values[4])
        return values[4]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        padded, median = ctx.saved_tensors
        result = torch.zeros_like(padded)
        rest = gradient
        for window, target in zip(_shifts(padded), _shifts(result), strict=True):
            share = torch.where(window == median, rest, 0.0)
            target.add_(share)
            rest = rest - share
        return result


def _shifts(padded: Tensor) -> list[Tensor]:
    """The nine views of ``(..., H + 2, W + 2)`` that a 3 x 3 window meets, each ``(..., H, W)``."""
    height, width = padded.shape[-2] - 2, padded.shape[-1] - 2
    return [padded[..., y : y + height, x : x + width] for y in range(3) for x in range(3)]


def median3x3(images: Tensor) -> Tensor:
    """3 x 3 median filter with reflecting borders, as the released SSM code has it.

    Exact, by a network of 19 minimum-maximum exchanges, which a CPU runs many times faster than
    sorting unfolded windows.

    Args:
        images: ``(N, C, H, W)`` float.

    Returns:
        ``(..., H, W)`` of the same dtype; differentiable (the gradient goes to the chosen value).
    """
    return _MedianOfWindows.apply(F.pad(images, (1, 1, 1, 1), mode="reflect"))  # type: ignore[no-any-return, no-untyped-call]


def gradient_magnitude(grey: Tensor) -> Tensor:
    """Prewitt gradient magnitude without padding, after a 3 x 3 median.

    Args:
        grey: ``(N, 1, H, W)`` float.

    Returns:
        ``(N, 1, H - 2, W - 2)``: ``sqrt(gx^2 + gy^2 + eps)``, kernels divided by 3.
    """
    smooth = median3x3(grey)
    columns = smooth[..., :-2, :] + smooth[..., 1:-1, :] + smooth[..., 2:, :]
    rows = smooth[..., :, :-2] + smooth[..., :, 1:-1] + smooth[..., :, 2:]
    horizontal = (columns[..., :, :-2] - columns[..., :, 2:]) / 3
    vertical = (rows[..., :-2, :] - rows[..., 2:, :]) / 3
    return torch.sqrt(horizontal.square() + vertical.square() + _GRADIENT_EPS)


def gradient_pyramid(images: Tensor, scales: int = 4) -> list[Tensor]:
    """Gradient magnitudes of the channel mean at ``scales`` halvings (2 x 2 average pooling).

    Args:
        images: ``(N, C, H, W)`` in [0, 1], at least 3 pixels a side.
        scales: how many; the last one sees the image at ``1 / 2**(scales - 1)`` of its size. Images
            below 24 pixels get fewer than 4: a gradient needs 3 pixels.

    Returns:
        ``scales`` tensors ``(N, 1, H_s - 2, W_s - 2)``. The pyramid of an input image can be kept
        and compared with many restorations of it.
    """
    grey = images.mean(dim=1, keepdim=True)
    pyramid = []
    for scale in range(scales):
        if scale:
            if min(grey.shape[-2:]) < 2 * _SMALLEST:
                break
            grey = F.avg_pool2d(grey, 2)
        pyramid.append(gradient_magnitude(grey))
    return pyramid


def gms(first: Tensor, second: Tensor) -> Tensor:
    """Gradient-magnitude similarity of two gradient maps, 1 where they agree.

    ``(2 g g' + c) / (g^2 + g'^2 + c)`` with c = 0.0026 (SSM, released code).
    """
    return (2 * first * second + GMS_CONSTANT) / (first.square() + second.square() + GMS_CONSTANT)


def msgms_loss(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Multi-scale gradient-magnitude dissimilarity: the mean over scales of ``mean(1 - GMS)``.

    Args:
        first: ``gradient_pyramid`` of the images.
        second: ``gradient_pyramid`` of their restorations.

    Returns:
        A scalar in [0, 1).
    """
    terms = [(1 - gms(a, b)).mean() for a, b in zip(first, second, strict=True)]
    return torch.stack(terms).mean()


def msgms_map(first: Sequence[Tensor], second: Sequence[Tensor], size: int) -> Tensor:
    """Per-pixel gradient-magnitude dissimilarity, averaged over the scales.

    Args:
        first: ``gradient_pyramid`` of N images (or of one, which is compared with all N).
        second: ``gradient_pyramid`` of N restorations.
        size: side of the map in pixels.

    Returns:
        ``(N, size, size)``, in [0, 1); each scale is resized bilinearly (corners not aligned).
    """
    total: Tensor | None = None
    for a, b in zip(first, second, strict=True):
        resized = F.interpolate(1 - gms(a, b), size=(size, size), mode="bilinear")
        total = resized if total is None else total + resized
    assert total is not None
    return total[:, 0] / len(first)


def ssim_loss(first: Tensor, second: Tensor) -> Tensor:
    """``1 - SSIM``, 11 x 11 Gaussian window with sigma 1.5, zero padding, mean over everything.

    Args:
        first: ``(N, C, H, W)`` in [0, 1].
        second: the same shape.

    Returns:
        A scalar in [0, 2]; 0 for equal images.
    """
    rows = ssim_window(first.shape[-2], device=first.device, dtype=first.dtype)
    columns = ssim_window(first.shape[-1], device=first.device, dtype=first.dtype).T

    def blur(images: Tensor) -> Tensor:
        return rows @ images @ columns

    mean_a, mean_b = blur(first), blur(second)
    aa, bb, ab = mean_a.square(), mean_b.square(), mean_a * mean_b
    variance = blur(first.square() + second.square()) - aa - bb
    covariance = blur(first * second) - ab
    similarity = ((2 * ab + _SSIM_C1) * (2 * covariance + _SSIM_C2)) / (
        (aa + bb + _SSIM_C1) * (variance + _SSIM_C2)
    )
    return 1 - similarity.mean()


# A matrix that is first asked for in inference mode must serve training as well: outside of that
# mode alone does torch make tensors that autograd can use.
@lru_cache(maxsize=16)
@torch.inference_mode(False)
def ssim_window(size: int, *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """SSIM's Gaussian window with zero padding as a ``(size, size)`` banded matrix."""
    offsets = torch.arange(_SSIM_WINDOW, dtype=torch.float64) - _SSIM_WINDOW // 2
    kernel = torch.exp(-offsets.square() / (2 * _SSIM_SIGMA**2))
    kernel = kernel / kernel.sum()
    band = torch.zeros(size, size, dtype=torch.float64)
    for weight, offset in zip(kernel.tolist(), offsets.int().tolist(), strict=True):
        if abs(offset) < size:
            band += weight * torch.diag(torch.ones(size - abs(offset)), offset)
    return band.to(device=device, dtype=dtype)


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def smoothing_matrix(
    size: int, sigma: float, *, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Gaussian smoothing (reflecting borders, as scipy does) as a ``(size, size)`` matrix."""
    identity = np.eye(size)
    band = gaussian_filter1d(identity, sigma, axis=0, mode="reflect") if sigma > 0 else identity
    return torch.from_numpy(band).to(device=device, dtype=dtype)


def smooth(maps: Tensor, sigma: float, *, rows_only: bool = False) -> Tensor:
    """Gaussian smoothing of maps, equal to ``scipy.ndimage.gaussian_filter``.

    Args:
        maps: ``(..., H, W)`` float.
        sigma: standard deviation in pixels; 0 returns the maps.
        rows_only: filter along each row only, as the released SSM code does at batch size 1.

    Returns:
        Maps of the same shape.
    """
    if sigma <= 0:
        return maps
    height, width = maps.shape[-2:]
    blurred = maps @ smoothing_matrix(width, sigma, device=maps.device, dtype=maps.dtype).T
    if rows_only:
        return blurred
    return smoothing_matrix(height, sigma, device=maps.device, dtype=maps.dtype) @ blurred
