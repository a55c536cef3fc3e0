"""Colour and texture of MultiCue by hand, from what its networks answer; odd answers score more."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from oddlens.detectors.multicue import MultiCue
from oddlens.detectors.multicue_pieces import Look
from oddlens.pretext.attention import to_pixels
from oddlens.pretext.recolorization import to_lab
from oddlens.pretext.tint import rotate_hue
from tests.detectors.tiny_multicue import (
    SIDE,
    adapted,
    as_batch,
    decided,
    left_over,
    pictures,
    seeded,
    seen,
    tiny,
)

CELL = SIDE // 3
ALPHA = SIDE // 8
WEIGHED = [
    ({}, True),
    ({"attention": "u"}, True),
    ({"weighting": "plain"}, False),
    ({"attention": "l"}, False),
    ({"attention": "off"}, False),
]


def check_colour(detector: MultiCue, images: Tensor, by_slot: Tensor, weighed: bool) -> None:
    """The cue is the pieces' mean over slots and passes, the map has each where it belongs."""
    with torch.no_grad():
        look, count = detector._tasks.fixed(detector.pieces, images), len(images)
    scores = torch.zeros(count, dtype=torch.float64)
    maps = torch.zeros(count, SIDE, SIDE)
    passes = len(by_slot) // count
    for row, order in enumerate(look.order.tolist()):
        for slot, place in enumerate(order):
            share = float(look.attention[row, slot]) if weighed else 1 / 9
            value = float(by_slot[row, slot]) / passes
            scores[row % count] += share * value
            y, x = CELL * (place // 3), CELL * (place % 3)
            maps[row % count, y : y + CELL, x : x + CELL] += value
    found = detector.raw_cues(images)
    torch.testing.assert_close(found.scores["colour"], scores, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.maps["colour"], maps, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("options", "weighed"), WEIGHED)
def test_colour_is_the_error_expected_to_remain(options: dict[str, Any], weighed: bool) -> None:
    detector, images = decided(margin=0, angles=8, **options), as_batch(pictures(3))
    found = seen(detector, images)
    expected = (found.look.tint.softmax(dim=-1) * left_over(found, 8)).sum(dim=-1)
    check_colour(detector, images, expected, weighed)


@pytest.mark.parametrize(("options", "weighed"), WEIGHED)
def test_colour_by_softmax_truth_is_what_is_missing_to_certainty(
    options: dict[str, Any], weighed: bool
) -> None:
    detector, images = decided(tint_ood="softmax_truth", **options), as_batch(pictures(3))
    with torch.no_grad():
        look = detector._tasks.fixed(detector.pieces, images)
    missing = 1 - look.tint.softmax(dim=-1).gather(-1, look.angle[..., None])[..., 0]
    check_colour(detector, images, missing, weighed)


def test_colour_by_mahalanobis_is_the_distance_from_normal_answers_to_the_same_angle() -> None:
    detector = adapted(tint_ood="mahalanobis", ood="softmax_truth", places=False)
    normal, images = as_batch(pictures(40)), as_batch(pictures(3, 2))
    with torch.no_grad():
        usual, look = (detector._tasks.fixed(detector.pieces, each) for each in (normal, images))
    logits, angles = usual.tint.flatten(0, 1).double(), usual.angle.flatten()
    means = torch.stack([logits[angles == angle].mean(dim=0) for angle in range(4)])
    away = logits - means[angles]
    precision = torch.linalg.inv(away.T @ away / len(away) + 1e-4 * torch.eye(4))
    off = look.tint.double() - means[look.angle]
    distance = ((off @ precision) * off).sum(dim=-1)
    check_colour(detector, images, distance, weighed=True)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize(("attention", "weighed"), [("off", 0), ("u", 0), ("l", 1), ("both", 1)])
def test_texture_is_how_unlikely_the_centres_colours_are(
    covariance: str, attention: str, weighed: int
) -> None:
    detector, images = tiny(covariance=covariance, attention=attention), as_batch(pictures(3))
    answers: list[Tensor] = []
    detector.unet.register_forward_hook(lambda _, given, answer: answers.append(answer))
    found = detector.raw_cues(images)
    inside = slice(ALPHA, SIDE - ALPHA)
    by_pixel = answers[0][..., inside, inside].movedim(1, -1)
    logit, a, b, first, across, second = by_pixel.chunk(6, dim=-1)
    factor = torch.zeros(*logit.shape, 2, 2)
    factor[..., 0, 0] = F.softplus(first) + 0.02
    factor[..., 1, 0] = across if covariance == "full" else 0
    factor[..., 1, 1] = F.softplus(second) + 0.02
    mixture = MixtureSameFamily(
        Categorical(logits=logit),
        MultivariateNormal(1.1 * torch.stack([a, b], dim=-1).tanh(), scale_tril=factor),
    )
    colours = to_lab(images)[:, 1:, inside, inside].movedim(1, -1)
    nll = -mixture.log_prob(colours)  # type: ignore[no-untyped-call]
    share = torch.ones_like(nll)
    if weighed:
        share = to_pixels(detector._tasks.untouched(detector.pieces, images), SIDE, ALPHA)
        assert float(share.std()) > 0.01
    wanted = (share * nll).mean(dim=(1, 2)).double()
    torch.testing.assert_close(found.scores["texture"], wanted, rtol=1e-4, atol=1e-5)
    border = ((0, 0), (ALPHA, ALPHA), (ALPHA, ALPHA))
    whole = torch.from_numpy(np.pad(nll.numpy(), border, mode="edge"))
    torch.testing.assert_close(found.maps["texture"], whole, rtol=1e-4, atol=1e-5)


def test_colours_that_the_network_does_not_expect_score_more_and_show_where_they_are() -> None:
    detector, images = tiny(components=1, attention="off"), as_batch(pictures(3))
    expected = to_lab(images)[:, 1:]
    answer = torch.cat([0 * expected[:, :1], (expected / 1.1).atanh(), 0 * images - 2], dim=1)
    detector.unet.register_forward_hook(lambda *_: answer)
    odd = images.clone()
    spot = (..., slice(8, 12), slice(9, 15))
    odd[spot] = rotate_hue(odd[spot], math.pi)
    usual, found = detector.raw_cues(images), detector.raw_cues(odd)
    assert bool((found.scores["texture"] > usual.scores["texture"]).all())
    more = found.maps["texture"] - usual.maps["texture"]
    assert float(more[spot].min()) > 0
    more[spot] = 0
    assert not more.any()


@pytest.mark.parametrize(
    ("cue", "options"),
    [
        ("structure", {"ood": "combined"}),
        ("structure", {"ood": "softmax_truth"}),
        ("structure", {"ood": "mahalanobis"}),
        ("colour", {"tint_ood": "expected_error"}),
        ("colour", {"tint_ood": "softmax_truth"}),
        ("colour", {"tint_ood": "mahalanobis"}),
    ],
)
def test_an_odd_answer_scores_more(cue: str, options: dict[str, Any]) -> None:
    detector = tiny(**options)
    evidence = detector.evidence
    with torch.no_grad():
        look = detector._tasks.fixed(detector.pieces, as_batch(pictures(6)))

    def answered(position: Tensor, tint: Tensor) -> Look:
        noise = torch.randn(12, 9, 13, generator=seeded()) / 2
        return look._replace(
            position=6 * F.one_hot(position, 9) + noise[..., :9],
            tint=6 * F.one_hot(tint, 4) + noise[..., 9:],
        )

    wrong = torch.zeros_like(look.order)
    wrong[:, 4] = 1
    usual = answered(look.order, look.angle)
    odd = answered((look.order + wrong) % 9, (look.angle + wrong) % 4)
    moments = evidence.moments()
    evidence.add(moments, usual)
    evidence.learn(moments)
    before, after = (getattr(evidence, cue)(each) for each in (usual, odd))
    assert bool((after.scores > before.scores).all())
    changed = after.pieces - before.pieces
    assert float(changed[:, 4].min()) > 0
    changed[:, 4] = 0
    torch.testing.assert_close(changed, torch.zeros_like(changed))
