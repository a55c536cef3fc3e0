"""Geometric tasks: which way was the image shifted, which way was it turned?

MultiTask asks them one at a time (section 3); MHRot (Hendrycks et al. 2019) and GeoTrans (Golan and
El-Yaniv 2018) apply them all at once and ask about the composition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def shifted(images: Tensor, down: int, right: int) -> Tensor:
    """Move the content of ``(N, C, S, S)``; what comes in is mirrored at the border (reflect).

    Args:
        images: any range.
        down: pixels, negative for up; less than S in size.
        right: pixels, negative for left.
    """
    if not down and not right:
        return images
    height, width = images.shape[-2:]
    padded = F.pad(images, (abs(right), abs(right), abs(down), abs(down)), mode="reflect")
    top, left = abs(down) - down, abs(right) - right
    return padded[..., top : top + height, left : left + width]


def turned(images: Tensor, quarters: int) -> Tensor:
    """Turn ``(N, C, S, S)`` by so many quarters counter-clockwise."""
    return torch.rot90(images, quarters, dims=(-2, -1))


@dataclass(frozen=True)
class Translation:
    """Not shifted, or by d up or down (``vertical``), or left or right (``horizontal``).

    The set {0, -d, +d} and the mirrored border are those of both ancestors; d = S / 4 is our choice
    (MT-U1), as both have it.

    Attributes:
        name: ``"vertical"`` or ``"horizontal"``.
        shift: d, in pixels.
    """

    name: Literal["vertical", "horizontal"]
    shift: int
    classes: int = 3
    keeps_first: bool = True

    def transforms(self, images: Tensor, generator: Generator | None) -> Tensor:
        """``(3, N, C, S, S)``: untouched, by -d, by +d."""
        steps = (0, -self.shift, self.shift)
        vertical = self.name == "vertical"
        return torch.stack(
            [shifted(images, d if vertical else 0, 0 if vertical else d) for d in steps]
        )


def middle(images: Tensor, rim: int) -> Tensor:
    """``(N, C, S, S)`` without so many pixels at each side."""
    side = images.shape[-1]
    return images[..., rim : side - rim, rim : side - rim]


@dataclass(frozen=True)
class Slide:
    """A ``Translation`` that mirrors nothing: a window in the middle, or at a side, of the image.

    What comes in at the border of a ``Translation`` gives the shift away, whatever the image shows:
    normal and anomalous ones are solved alike. Here what comes in is more of the image (our
    choice).

    Attributes:
        name: ``"vertical"`` or ``"horizontal"``.
        rim: how far the window can move to each side, in pixels; it is so much smaller.
    """

    name: Literal["vertical", "horizontal"]
    rim: int
    classes: int = 3
    keeps_first: bool = True

    def transforms(self, images: Tensor, generator: Generator | None) -> Tensor:
        """``(N, C, S, S)`` to ``(3, N, C, s, s)``, s = S - 2 rim: unmoved, by -rim, by +rim.

        As of a ``Translation``, the content moves down or right by +rim.
        """
        rim, side = self.rim, images.shape[-1] - 2 * self.rim
        made = []
        for step in (0, -rim, rim):
            top, left = (rim - step, rim) if self.name == "vertical" else (rim, rim - step)
            made.append(images[..., top : top + side, left : left + side])
        return torch.stack(made)


@dataclass(frozen=True)
class Rotation:
    """By 0, 90, 180 or 270 degrees."""

    name: str = "rotation"
    classes: int = 4
    keeps_first: bool = True

    def transforms(self, images: Tensor, generator: Generator | None) -> Tensor:
        """``(4, N, C, S, S)``, counter-clockwise."""
        return torch.stack([turned(images, quarters) for quarters in range(4)])


class Move(NamedTuple):
    """A composition: mirror, then shift, then turn (the order of GeoTrans)."""

    flip: int
    down: int
    right: int
    quarters: int


def compositions(*, flips: bool) -> list[Move]:
    """All of them, the untouched image first.

    Args:
        flips: 72 with mirroring (GeoTrans), 36 without (MHRot).

    Returns:
        Shifts are in units of d: 0, -1 or 1.
    """
    sides = (0, 1) if flips else (0,)
    return [Move(*each) for each in product(sides, (0, -1, 1), (0, -1, 1), range(4))]


def composed(images: Tensor, moves: Sequence[Move], shift: int) -> Tensor:
    """Every composition of every image: ``(N, C, S, S)`` to ``(T, N, C, S, S)``."""
    made = []
    for move in moves:
        each = images.flip(-1) if move.flip else images
        each = shifted(each, move.down * shift, move.right * shift)
        made.append(turned(each, move.quarters))
    return torch.stack(made)
