"""The restoration task: compose what the network in-painted, the loss, and the error of the result.

SSM, sections 3.2, 5 and 7: a restored image copies its visible pixels and takes the hidden ones
from the network. The loss compares it with the original by MSE, multi-scale gradient-magnitude
similarity and SSIM; the error maps use the first two and the sign of the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from oddlens.pretext.similarity import gms, gradient_pyramid, msgms_loss, smooth, ssim_loss


def compose(images: Tensor, restored: Tensor, mask: Tensor) -> Tensor:
    """``m * x + (1 - m) * f``: visible pixels from the image, hidden ones from the network.

    Args:
        images: ``(N, C, H, W)``.
        restored: the network's output, the same shape.
        mask: ``(N, 1, H, W)``, 1 = visible.
    """
    return torch.where(mask > 0, images, restored)


@dataclass(frozen=True)
class LossWeights:
    """Weights of the four terms of the loss (SSM, section 5; all 1 in the released code)."""

    mse: float = 1.0
    msgms: float = 1.0
    ssim: float = 1.0
    mask: float = 1.0


def restoration_loss(images: Tensor, restored: Tensor, weights: LossWeights) -> dict[str, Tensor]:
    """The weighted image terms of SSM's loss; terms of weight 0 are not computed.

    Args:
        images: ``(N, 3, H, W)`` in [0, 1].
        restored: their composed restorations, the same shape.
        weights: the mask term is not used here.

    Returns:
        One scalar a term: ``mse``, ``msgms``, ``ssim``.
    """
    terms: dict[str, Tensor] = {}
    if weights.mse:
        terms["mse"] = weights.mse * F.mse_loss(restored, images)
    if weights.msgms:
        with torch.no_grad():
            reference = gradient_pyramid(images)
        terms["msgms"] = weights.msgms * msgms_loss(reference, gradient_pyramid(restored))
    if weights.ssim:
        terms["ssim"] = weights.ssim * ssim_loss(images, restored)
    return terms


@dataclass(frozen=True)
class Reference:
    """What of an image is needed again and again while its restorations are judged.

    Attributes:
        images: ``(N, 3, S, S)`` in [0, 1].
        pyramid: their ``gradient_pyramid``.
        gain: ``(N, 1, 1, 1)``, what brings the texture of each image to one strength.
    """

    images: Tensor
    pyramid: list[Tensor]
    gain: Tensor

    @classmethod
    def of(cls, images: Tensor, equalise: float = 0.0) -> Reference:
        """Prepare ``(N, 3, S, S)`` images; ``equalise`` is the sigma of ``texture_gain``, or 0."""
        return cls(images, gradient_pyramid(images), texture_gain(images, equalise))

    def __getitem__(self, index: Tensor) -> Reference:
        return Reference(
            self.images[index], [level[index] for level in self.pyramid], self.gain[index]
        )


def _median(values: Tensor) -> Tensor:
    """The lower median of each row: ``(N, P)`` to ``(N,)``."""
    return values.median(dim=1).values


def texture_gain(
    images: Tensor, sigma: float, median: Callable[[Tensor], Tensor] = _median
) -> Tensor:
    """The factor that brings each image's texture to a common strength.

    The strength is the median over pixels of ``|g - smooth(g)|``, g the channel mean. Our choice:
    what cannot be restored of a normal image grows with its texture (streaks, grain, and the light
    that shows them), so that an image with strong texture would look odd all over and one with weak
    texture never. A defect covers too little of an image to move a median.

    Args:
        images: ``(N, 3, S, S)`` in [0, 1].
        sigma: of the smoothing, in pixels; 0 gives ones.
        median: the lower median of each row; another way to it where torch's cannot be used.

    Returns:
        ``(N, 1, 1, 1)``: 0.01 over the strength, and at most 10.
    """
    if sigma <= 0:
        return torch.ones_like(images[:, :1, :1, :1])
    grey = images.mean(dim=1)
    strength = median((grey - smooth(grey, sigma)).abs().flatten(1))
    return (0.01 / strength.clamp(min=0.001))[:, None, None, None]


ERRORS = ("structure", "intensity", "residual", "equalised")
"""The channels of the error maps."""


def error_maps(reference: Reference, restored: Tensor) -> Tensor:
    """How each pixel differs from its restoration, in four terms.

    - Structure is ``mean over scales of (1 - GMS)``, the released code's error up to a constant.
    - Intensity is the squared difference, averaged over channels and over the same scales of
      average pooling: our choice, because what survives pooling is a stain or a missing part and
      what averages out is the texture's own noise.
    - Residual is the signed difference, ``restored - image`` averaged over channels, times the
      image's gain: above zero where the image is darker than expected, below where it is brighter.
      Our choice: on real surfaces one sign is often noise and the other one evidence, and a square
      mixes them.
    - Equalised is structure with all gradients times the image's gain (see ``texture_gain``).

    Args:
        reference: of N images ``(N, 3, S, S)``.
        restored: ``(N, 3, S, S)``.

    Returns:
        ``(N, 4, S, S)`` in the order of ``ERRORS``; all but the residual are not negative.
    """
    size = restored.shape[-1]
    gain = reference.gain
    difference = restored - reference.images
    residual = gain * difference.mean(dim=1, keepdim=True)
    structure = intensity = equalised = torch.zeros_like(residual)
    for scale, (target, level) in enumerate(
        zip(reference.pyramid, gradient_pyramid(restored), strict=True)
    ):
        if scale:
            difference = F.avg_pool2d(difference, 2)
        structure = structure + _resize(1 - gms(target, level), size)
        equalised = equalised + _resize(1 - gms(gain * target, gain * level), size)
        intensity = intensity + _resize(difference.square().mean(dim=1, keepdim=True), size)
    scales = len(reference.pyramid)
    terms = (structure / scales, intensity / scales, residual, equalised / scales)
    return torch.cat(terms, dim=1)


def _resize(maps: Tensor, size: int) -> Tensor:
    return F.interpolate(maps, size=(size, size), mode="bilinear")
