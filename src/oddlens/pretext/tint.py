"""Tint rotation: by how much was the hue of each piece turned?

MultiCue, as the third-party summary has it: gamma(I, theta) adds theta to the hue of HSV. The
network names the angle of every piece and is judged not by the angle but by the error that remains
after undoing the predicted rotation, so that grey pieces, whose hue nobody can tell, cost nothing:

    L_tint = sum_c p_c e(theta - theta_c),   e(delta) = || I - gamma(I, delta) ||_1 / (W H)

With m equally spaced angles e depends on (angle index - candidate index) mod m alone; it is
measured once per piece and no gradient runs through HSV.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor


def rotate_hue(images: Tensor, radians: Tensor | float) -> Tensor:
    """gamma: turn the HSV hue, saturation and value untouched.

    Written out here because rotations must compose to rounding, gamma(gamma(I, a), b) =
    gamma(I, a + b): the usual conversion (kornia's) divides by value + 1e-8, which breaks that.
    Turning the hue needs neither saturation nor that division, only largest and smallest channel.

    Args:
        images: ``(..., 3, H, W)`` float RGB in [0, 1]. Never rounded to 8 bits.
        radians: a number, or a tensor that broadcasts to ``(..., H, W)``.

    Returns:
        The same shape and dtype, in [0, 1]; grey pixels are returned as they are.
    """
    value = images.amax(dim=-3)
    chroma = value - images.amin(dim=-3)
    sextant = _hue(images, value, chroma) + torch.as_tensor(
        radians, dtype=images.dtype, device=images.device
    ) * (3 / math.pi)
    planes = []
    for offset in (5.0, 3.0, 1.0):
        place = torch.remainder(sextant + offset, 6.0)
        planes.append(value - chroma * torch.minimum(place, 4.0 - place).clamp(0.0, 1.0))
    return torch.stack(planes, dim=-3)


def _hue(images: Tensor, value: Tensor, chroma: Tensor) -> Tensor:
    """Hue in sixths of a turn, 0 where there is none."""
    red, green, blue = images.unbind(dim=-3)
    safe = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    return torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, 2.0 + (blue - red) / safe, 4.0 + (red - green) / safe),
    )


def rotations(pieces: Tensor, angles: int) -> Tensor:
    """Every piece under each of m equally spaced rotations.

    Args:
        pieces: ``(N, n, 3, c, c)`` in [0, 1].
        angles: m; copy k is turned by 2 pi k / m.

    Returns:
        ``(N, n, m, 3, c, c)``; copy 0 is the piece itself.
    """
    radians = 2 * math.pi / angles * torch.arange(1, angles, device=pieces.device)
    alone = pieces[:, :, None]  # their hue is found once for all angles
    return torch.cat([alone, rotate_hue(alone, radians[:, None, None])], dim=2)


def rotation_errors(copies: Tensor) -> Tensor:
    """e(delta) of every piece: L1 over the channels, averaged over pixels.

    Args:
        copies: ``(N, n, m, 3, c, c)`` of ``rotations``.

    Returns:
        ``(N, n, m)`` in [0, 3], exactly 0 for delta = 0; not divided by 3, as published.
    """
    return (copies - copies[:, :, :1]).abs().sum(dim=-3).mean(dim=(-2, -1))


def pick(copies: Tensor, angle: Tensor) -> Tensor:
    """One copy of each piece: ``(N, n, m, ...)`` and ``(N, n)`` indices to ``(N, n, ...)``."""
    rows = torch.arange(copies.shape[0], device=copies.device)[:, None]
    slots = torch.arange(copies.shape[1], device=copies.device)[None]
    return copies[rows, slots, angle]


def draw_angles(count: int, pieces: int, angles: int, generator: Generator) -> Tensor:
    """Draw an angle's index for each piece: ``(N, n)`` int64 in 0 .. m - 1, uniformly."""
    return torch.randint(angles, (count, pieces), generator=generator)


def fixed_angles(orders: Tensor, angles: int, seed: int) -> Tensor:
    """The angles of the test, the same for every image.

    A piece starts at a drawn angle and goes on by one from pass to pass, so that R = m passes show
    it under all angles (our choice: fewer accidents than independent draws).

    Args:
        orders: ``(R, n)``, the original positions by slot.
        angles: m.
        seed: decides them alone.

    Returns:
        ``(R, n)`` int64, by slot.
    """
    start = torch.randint(angles, (orders.shape[1],), generator=Generator().manual_seed(seed))
    passes = torch.arange(len(orders))[:, None]
    return (start[orders] + passes) % angles


def expected_error(logits: Tensor, angle: Tensor, errors: Tensor) -> Tensor:
    """sum_c p_c e(theta - theta_c): the training loss and the colour cue of every piece.

    Args:
        logits: ``(N, n, m)``, of the candidate angles.
        angle: ``(N, n)`` int64, the true angles' indices.
        errors: ``(N, n, m)`` of ``rotation_errors``, of the pieces in the same slots.

    Returns:
        ``(N, n)``, at least 0.
    """
    count = logits.shape[-1]
    candidates = torch.arange(count, device=logits.device)
    difference = torch.remainder(angle[..., None] - candidates, count)
    return (logits.softmax(dim=-1) * errors.gather(-1, difference)).sum(dim=-1)
