"""Views of an image for contrast: cropped, mirrored, its colours jittered, now and then grey.

The list of SimCLR (Chen et al. 2020) with the strengths of SSD (Sehwag et al. 2021), which AnoMem
uses (AM-U12). Every draw comes from a generator, so that a run can be repeated and resumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from kornia import enhance
from kornia.color import rgb_to_grayscale
from torch import Generator, Tensor

from oddlens.pretext.augmentation import Flips, mirrored


@dataclass(frozen=True)
class Views:
    """How strongly views differ.

    Attributes:
        smallest: least share of an image's area that a crop shows.
        stretch: largest ratio of a crop's sides.
        brightness: factors from 1 - b to 1 + b; likewise contrast and saturation.
        contrast: see brightness.
        saturation: see brightness.
        hue: turns from -h to h, of a full circle.
        jitter: share of images whose colours are jittered.
        grey: share of images that lose their colours.
        flips: mirroring.
    """

    smallest: float = 0.2
    stretch: float = 4 / 3
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    jitter: float = 0.8
    grey: float = 0.2
    flips: Flips = "none"

    def draw(self, images: Tensor, generator: Generator) -> Tensor:
        """A new view of each image ``(N, 3, H, W)`` in [0, 1], of the same shape and range."""
        images = mirrored(self._cropped(images, generator), self.flips, generator)
        jittered = self._chosen(images, self.jitter, generator)
        images = torch.where(jittered, self._recoloured(images, generator), images)
        grey = self._chosen(images, self.grey, generator)
        return torch.where(grey, rgb_to_grayscale(images).expand_as(images), images)

    def _cropped(self, images: Tensor, generator: Generator) -> Tensor:
        count = len(images)
        area, shape, *place = torch.rand(4, count, generator=generator)
        side = (self.smallest + (1 - self.smallest) * area).sqrt()
        ratio = ((2 * shape - 1) * math.log(self.stretch) / 2).exp()
        half = torch.stack([side * ratio, side / ratio]).clamp(max=1)  # of width and height
        centre = (2 * torch.stack(place) - 1) * (1 - half)
        frame = torch.zeros(count, 2, 3)
        frame[:, 0, 0], frame[:, 1, 1] = half
        frame[:, :, 2] = centre.T
        grid = F.affine_grid(frame, list(images.shape), align_corners=False)
        return F.grid_sample(
            images, grid.to(images), mode="bilinear", padding_mode="reflection", align_corners=False
        )

    def _recoloured(self, images: Tensor, generator: Generator) -> Tensor:
        """Brightness, contrast, saturation and hue, one after the other in this order."""
        draws = (2 * torch.rand(4, len(images), generator=generator) - 1).to(images.device)
        images = enhance.adjust_brightness_accumulative(images, 1 + self.brightness * draws[0])
        images = enhance.adjust_contrast_with_mean_subtraction(images, 1 + self.contrast * draws[1])
        images = enhance.adjust_saturation(images, 1 + self.saturation * draws[2])
        return enhance.adjust_hue(images, 2 * math.pi * self.hue * draws[3]).clamp(0, 1)

    def _chosen(self, images: Tensor, share: float, generator: Generator) -> Tensor:
        drawn = torch.rand(len(images), generator=generator) < share
        return drawn.to(images.device)[:, None, None, None]
