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
from typing import NamedTuple

import torch
from torch import Generator, Tensor


class Hues(NamedTuple):
    """Colours as value, chroma and hue, from which any rotation is cheap.

    Attributes:
        value: ``(..., H, W)``, the largest channel.
        chroma: ``(..., H, W)``, the largest less the smallest.
        hue: ``(..., H, W)``, in turns, -1/2 to 1/2; 0 for grey.
    """

    value: Tensor
    chroma: Tensor
    hue: Tensor


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
    turns = torch.as_tensor(radians, dtype=images.dtype, device=images.device) / (2 * math.pi)
    return turned(hues_of(images), turns)


def hues_of(images: Tensor) -> Hues:
    """Take ``(..., 3, H, W)`` RGB in [0, 1] apart; see ``turned`` for the way back.

    The usual three cases of the hue, by which channel is the largest, are one formula: the way from
    red in sixths is 2 + (green + blue - red - value) / chroma, by green where green is at least
    blue, else by blue. More selections would take several times as long.
    """
    red, green, blue = images.movedim(-3, 0).contiguous()
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    tiny = torch.finfo(chroma.dtype).tiny
    way = (green - red).add_(blue - value).add_(chroma, alpha=2.0)
    way.div_(chroma.clamp_min(tiny).mul_(6.0))  # 0 / tiny is 0
    return Hues(value, chroma, torch.where(green >= blue, way, -way))


def turned(hues: Hues, turns: Tensor | float) -> Tensor:
    """Put colours together again with their hue turned.

    Args:
        hues: of ``(..., H, W)`` pixels.
        turns: of the whole circle; a number, or a tensor that broadcasts to ``(..., H, W)``.

    Returns:
        ``(..., 3, H, W)`` RGB in [0, 1].
    """
    channels = hues.hue.new_tensor([3 / 6, 1 / 6, -1 / 6]).view(3, 1, 1)
    away = (hues.hue + turns).unsqueeze(-3) + channels
    away.sub_(away.round())  # in turns from where the channel is at its least
    lacks = (1 / 3 - away.abs_()).clamp_(0.0, 1 / 6)  # in sixths of the chroma
    value, chroma = hues.value.unsqueeze(-3), hues.chroma.unsqueeze(-3)
    return torch.addcmul(value, lacks, chroma, value=-6)


def rotation_errors(hues: Hues, angles: int) -> Tensor:
    """e(delta) of every piece under m equally spaced rotations: L1 over channels, mean over pixels.

    In closed form, since turning colours to compare them would cost more than all else of the task.
    On its way round the circle one channel moves at a time, by its chroma every sixth of a turn. Up
    to a third of a turn, either way round, no channel goes back where it came from, so that the
    distance is chroma times the way in sixths. Beyond, the channel that moved first has moved back
    at the end: with ``within`` the part of its sixth that lies behind, it went 1 - within, and came
    back by within + way - 3. Less twice the smaller of them, if above 0, the way is
    2 + 2 min(|within - (2 - way / 2)|, way / 2 - 1).

    Args:
        hues: of pieces ``(N, n, c, c)``.
        angles: m; candidate k is turned by 2 pi k / m.

    Returns:
        ``(N, n, m)`` in [0, 3], exactly 0 for k = 0; not divided by 3, as published.
    """
    mean = hues.chroma.mean(dim=(-2, -1))
    errors = []
    for candidate in range(angles):
        way = 6 * min(candidate, angles - candidate) / angles
        if way <= 2:
            errors.append(way * mean)
            continue
        forwards = 2 * candidate <= angles
        start = 6 * hues.hue if forwards else 6 * (hues.hue + candidate / angles)
        within = start - start.floor()
        more = within.sub_(2 - way / 2).abs_().clamp_(max=way / 2 - 1).mul_(hues.chroma)
        errors.append(2 * (mean + more.mean(dim=(-2, -1))))
    return torch.stack(errors, dim=-1)


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
