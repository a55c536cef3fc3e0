"""Tint rotation: exact composition, what grey costs, the expected error."""

from __future__ import annotations

import colorsys
import math

import kornia
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from oddlens.pretext.tint import (
    draw_angles,
    expected_error,
    fixed_angles,
    hues_of,
    rotate_hue,
    rotation_errors,
    turned,
)

angles = st.floats(-20, 20)
seeds = st.integers(0, 2**31)


def colours(seed: int, *shape: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


@given(a=angles, b=angles, seed=seeds)
def test_rotations_compose(a: float, b: float, seed: int) -> None:
    images = colours(seed, 2, 3, 4, 4)
    twice = rotate_hue(rotate_hue(images, a), -b)
    torch.testing.assert_close(twice, rotate_hue(images, a - b), rtol=0, atol=1e-12)


@given(seed=seeds, radians=angles)
def test_a_rotation_is_that_of_the_standard_library(seed: int, radians: float) -> None:
    pixel = colours(seed, 3)
    hue, saturation, value = colorsys.rgb_to_hsv(*pixel.tolist())
    wanted = colorsys.hsv_to_rgb((hue + radians / (2 * math.pi)) % 1, saturation, value)
    found = rotate_hue(pixel[:, None, None], radians).flatten()
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), rtol=0, atol=1e-9)


def test_a_rotation_is_kornias_up_to_its_epsilon() -> None:
    images = colours(0, 2, 3, 8, 8)
    hsv = kornia.color.rgb_to_hsv(images)
    hsv[:, 0] = (hsv[:, 0] + 2.0) % (2 * math.pi)
    torch.testing.assert_close(
        rotate_hue(images, 2.0), kornia.color.hsv_to_rgb(hsv), rtol=0, atol=1e-7
    )


def test_known_colours() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    assert rotate_hue(red, 2 * math.pi / 3).flatten().tolist() == pytest.approx([0, 1, 0], abs=1e-6)
    assert rotate_hue(red, math.pi).flatten().tolist() == pytest.approx([0, 1, 1], abs=1e-6)


def test_grey_stays_as_it_is_and_costs_nothing_whatever_is_predicted() -> None:
    grey = colours(0, 2, 4, 1, 5, 5).expand(2, 4, 3, 5, 5)
    for turn in range(4):
        assert torch.equal(turned(hues_of(grey), turn / 4), grey)
    logits = 10 * colours(1, 2, 4, 4)
    angle = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]])
    assert bool((expected_error(logits, angle, rotation_errors(hues_of(grey), 4)) == 0).all())


@pytest.mark.parametrize("count", [4, 6, 8])
def test_undoing_nothing_is_free_and_everything_else_costs(count: int) -> None:
    errors = rotation_errors(hues_of(colours(0, 2, 9, 3, 6, 6)), count)
    assert bool((errors[..., 0] == 0).all())
    assert bool((errors[..., 1:] > 0).all())


@given(seed=seeds, count=st.integers(2, 12))
def test_the_closed_form_is_the_distance_of_the_turned_colours(seed: int, count: int) -> None:
    pieces = colours(seed, 2, 3, 3, 4, 4)
    pieces[0, 0, :, 0] = pieces[0, 0, :1, 0]  # grey
    pieces[0, 1, :, 0] = torch.tensor([1.0, 0.0, 0.0])[:, None]  # at the corner of a sixth
    hues = hues_of(pieces)
    copies = torch.stack([turned(hues, turn / count) for turn in range(count)], dim=2)
    wanted = (copies - pieces[:, :, None]).abs().sum(dim=3).mean(dim=(-2, -1))
    torch.testing.assert_close(rotation_errors(hues, count), wanted)


def test_errors_are_summed_over_channels_and_reach_beyond_1() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 1, 3, 1, 1).expand(1, 1, 3, 2, 2)
    errors = rotation_errors(hues_of(red), 6).flatten()
    assert errors.tolist() == pytest.approx([0, 1, 2, 3, 2, 1], abs=1e-6)


@given(seed=seeds, count=st.integers(2, 8))
def test_the_expected_error_is_that_of_images_rotated_back(seed: int, count: int) -> None:
    pieces = colours(seed, 2, 3, 3, 4, 4)
    generator = torch.Generator().manual_seed(seed)
    angle = draw_angles(2, 3, count, generator)
    logits = torch.randn(2, 3, count, generator=generator, dtype=torch.float64)
    hues = hues_of(pieces)
    shown = turned(hues, angle[..., None, None] / count)
    found = expected_error(logits, angle, rotation_errors(hues, count))
    wanted = torch.zeros(2, 3, dtype=torch.float64)
    for candidate in range(count):
        undone = rotate_hue(shown, -2 * math.pi * candidate / count)
        error = (pieces - undone).abs().sum(dim=2).mean(dim=(-2, -1))
        wanted += logits.softmax(dim=-1)[..., candidate] * error
    torch.testing.assert_close(found, wanted)


def test_the_loss_falls_when_the_network_learns_the_angle() -> None:
    errors = rotation_errors(hues_of(colours(0, 2, 4, 3, 6, 6)), 4)
    angle = torch.tensor([[0, 1, 2, 3], [3, 1, 0, 2]])
    logits = torch.zeros(2, 4, 4, dtype=torch.float64, requires_grad=True)
    for _ in range(300):
        (gradient,) = torch.autograd.grad(expected_error(logits, angle, errors).sum(), logits)
        logits = (logits - 5 * gradient).detach().requires_grad_()
    assert torch.equal(logits.argmax(dim=-1), angle)


def test_angles_of_the_test_show_every_piece_under_every_angle() -> None:
    orders = torch.stack([torch.randperm(9, generator=torch.Generator()) for _ in range(4)])
    turns = fixed_angles(orders, 4, 5)
    assert torch.equal(turns, fixed_angles(orders, 4, 5))
    assert not torch.equal(turns, fixed_angles(orders, 4, 6))
    for piece in range(9):
        assert set(turns[orders == piece].tolist()) == {0, 1, 2, 3}
