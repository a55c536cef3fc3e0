"""Partial re-colorization: which colours has the centre, given its luminance and the border?

MultiCue: the network sees the luminance of the whole image and the colours of its border, and gives
a distribution of the centre's colours, by pixel. That the border is given is in the abstract; the
mixture and its likelihood are in the third-party summary; scaling and widths are ours (MC-U14,
MC-U16). Training on the likelihood itself has the gradient of a generalised EM step (MC-U15).
"""

from __future__ import annotations

import kornia
import torch
import torch.nn.functional as F
from torch import Tensor

from oddlens.networks.mixture import Mixture

CHANNELS = 4
"""Of the network's input: L, A where known, B where known, and where that is."""
_AB_RANGE = 110.0


def to_lab(images: Tensor) -> Tensor:
    """SRGB ``(N, 3, S, S)`` in [0, 1] to Lab (D65), scaled: L / 50 - 1, A / 110, B / 110.

    Returns:
        The same shape, float32 or float64; about [-1, 1].
    """
    lightness, a, b = kornia.color.rgb_to_lab(images).unbind(dim=1)
    return torch.stack([lightness / 50 - 1, a / _AB_RANGE, b / _AB_RANGE], dim=1)


def chroma(images: Tensor) -> Tensor:
    """Mean length of (A, B) over the pixels, in Lab's units: ``(N, 3, S, S)`` to ``(N,)``."""
    ab = to_lab(images)[:, 1:] * _AB_RANGE
    return ab.square().sum(dim=1).sqrt().mean(dim=(-2, -1))


def default_alpha(size: int) -> int:
    """Width of the border whose colours are given: S / 8, at least 1 (MC-U14)."""
    return max(1, size // 8)


def centre(maps: Tensor, alpha: int) -> Tensor:
    """Cut the border off: ``(..., S, S)`` to ``(..., S - 2 alpha, S - 2 alpha)``."""
    size = maps.shape[-1]
    return maps[..., alpha : size - alpha, alpha : size - alpha]


def visible_part(lab: Tensor, alpha: int) -> Tensor:
    """The network's input: L, A M, B M, M with the border mask M.

    Args:
        lab: ``(N, 3, S, S)`` of ``to_lab``.
        alpha: width of the border, in pixels.

    Returns:
        ``(N, 4, S, S)``; nothing in it depends on the colours of the centre.
    """
    mask = torch.ones_like(lab[:, :1])
    centre(mask, alpha).zero_()
    return torch.cat([lab[:, :1], lab[:, 1:] * mask, mask], dim=1)


def colour_nll(output: Tensor, lab: Tensor, alpha: int, *, diagonal: bool = False) -> Tensor:
    """-log p of the centre's true colours, by pixel.

    Args:
        output: ``(N, 6 K, S, S)``, the network's.
        lab: ``(N, 3, S, S)`` of ``to_lab``.
        alpha: width of the border.
        diagonal: covariances without correlation (ablation).

    Returns:
        ``(N, S - 2 alpha, S - 2 alpha)`` in nats of AB / 110; any sign.
    """
    mixture = Mixture.of(centre(output, alpha), diagonal=diagonal)
    return -mixture.log_likelihood(centre(lab[:, 1:], alpha))


def over_the_whole(maps: Tensor, alpha: int) -> Tensor:
    """Extend a centre's map over the border by its nearest value.

    About the border nothing is asked, so there is no evidence for it; 0 would not say that, since
    a likelihood may lie on either side of 0.

    Args:
        maps: ``(N, S - 2 alpha, S - 2 alpha)``.
        alpha: width of the border.

    Returns:
        ``(N, S, S)``.
    """
    return F.pad(maps[:, None], (alpha, alpha, alpha, alpha), mode="replicate")[:, 0]
