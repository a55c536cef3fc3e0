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


class _MedianOfWindows(torch.autograd.Function):
    """Median of each 3 x 3 window; the gradient goes to the value that was chosen."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor) -> Tensor:
        median = _median_of_windows(padded)
        ctx.save_for_backward(padded, median)
        return median

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


def _median_of_windows(padded: Tensor) -> Tensor:
    """The columns of a window are sorted first, which neighbouring windows share.

    The median of nine is that of three: the largest of the columns' smallest, the middle of their
    middles, the smallest of their largest (Smith, "Implementing median filters in XC4000E FPGAs",
    1996).
    """
    top, middle, bottom = padded[..., :-2, :], padded[..., 1:-1, :], padded[..., 2:, :]
    low, high = torch.minimum(top, middle), torch.maximum(top, middle)
    smallest, rest = torch.minimum(low, bottom), torch.maximum(low, bottom)
    between, largest = torch.minimum(rest, high), torch.maximum(rest, high)

    def three(columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return columns[..., :-2], columns[..., 1:-1], columns[..., 2:]

    a, b, c = three(smallest)
    d, e, f = three(largest)
    return _middle(
        torch.maximum(torch.maximum(a, b), c),
        _middle(*three(between)),
        torch.minimum(torch.minimum(d, e), f),
    )


def _middle(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The median of three."""
    return torch.maximum(torch.minimum(a, b), torch.minimum(torch.maximum(a, b), c))


def _shifts(padded: Tensor) -> list[Tensor]:
    """The nine views of ``(..., H + 2, W + 2)`` that a 3 x 3 window meets, each ``(..., H, W)``."""
    height, width = padded.shape[-2] - 2, padded.shape[-1] - 2
    return [padded[..., y : y + height, x : x + width] for y in range(3) for x in range(3)]


def median3x3(images: Tensor) -> Tensor:
    """3 x 3 median filter with reflecting borders, as the released SSM code has it.

    Exact, by minima and maxima of whole maps, which a CPU runs many times faster than sorting
    unfolded windows.

    Args:
        images: ``(N, C, H, W)`` float.

    Returns:
        ``(..., H, W)`` of the same dtype; differentiable (the gradient goes to the chosen value).
    """
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    if not padded.requires_grad:  # a graph that is exported knows no function of our own
        return _median_of_windows(padded)
    return _MedianOfWindows.apply(padded)  # type: ignore[no-any-return, no-untyped-call]


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
