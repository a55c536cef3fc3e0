"""The labels of MultiCue's pieces are those of the pieces shown, and tint's loss is theirs too."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from oddlens.pretext.tint import rotate_hue
from tests.detectors.tiny_multicue import (
    SIDE,
    as_batch,
    decided,
    left_over,
    pictures,
    seeded,
    seen,
    tiny,
)

ANGLES = 8  # of which some differ from their opposites, unlike with 4


@pytest.mark.parametrize("drawn", [True, False], ids=["training", "scoring"])
def test_a_slot_shows_the_piece_and_the_hue_of_its_labels_and_has_its_errors(drawn: bool) -> None:
    detector = tiny(margin=0, angles=ANGLES)
    found = seen(detector, as_batch(pictures(4)), seeded() if drawn else None)
    look, meant = found.look, found.meant
    assert bool((look.order != look.order.argsort()).any(dim=1).all()), "none is its own inverse"
    turns = 2 * math.pi * look.angle[..., None, None] / ANGLES
    torch.testing.assert_close(found.shown, rotate_hue(meant, turns), rtol=0, atol=1e-5)
    copies = [rotate_hue(meant, 2 * math.pi * each / ANGLES) for each in range(ANGLES)]
    errors = [(copy - meant).abs().sum(dim=2).mean(dim=(-2, -1)) for copy in copies]
    torch.testing.assert_close(look.errors, torch.stack(errors, dim=-1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("attention", ["off", "u", "l", "both"])
def test_tints_term_is_the_error_expected_to_remain(attention: str) -> None:
    images = F.interpolate(torch.rand(4, 3, 3, 3, generator=seeded()), SIDE)  # a hue a piece
    detector = decided(margin=0, angles=ANGLES, attention=attention, lambda_t=3.0)
    term = detector.piece_loss(images, seeded())["tint"]
    found = seen(detector, images, seeded())
    expected = (found.look.tint.softmax(dim=-1) * left_over(found, ANGLES)).sum(dim=-1)
    share = found.look.attention if attention in ("u", "both") else torch.full((4, 9), 1 / 9)
    torch.testing.assert_close(term, 3 * (share * expected).sum(dim=1).mean(), rtol=1e-4, atol=0)
