"""MultiCue learns and sees under every switch of its ablations."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.detectors.tiny_multicue import SIDE, adapted, as_batch, pictures, seeded, tiny

SWITCHES: list[dict[str, Any]] = [
    {"grid": 2, "angles": 6, "components": 1},
    {"grid": 4, "angles": 8, "components": 5},
    {"angles": 6, "permutations": 1},
    {"angles": 8, "covariance": "diagonal", "components": 1},
    {"grid": 2, "angles": 8, "permutations": 1, "covariance": "diagonal", "components": 5},
    {"grid": 4, "angles": 6, "permutations": 1, "covariance": "diagonal"},
]


def named(options: dict[str, Any]) -> str:
    return "-".join(f"{name}={value}" for name, value in options.items())


@pytest.mark.parametrize("attention", ["off", "u", "l", "both"])
@pytest.mark.parametrize("options", SWITCHES, ids=named)
def test_losses_and_cues_are_whole(options: dict[str, Any], attention: str) -> None:
    detector, images = tiny(**options, attention=attention).train(), as_batch(pictures(3))
    terms = {"puzzle", "tint"}
    if attention != "off":
        terms.add("density")
    if attention == "l":
        terms.add("attention")
    losses = detector.piece_loss(images, seeded())
    assert set(losses) == terms
    losses |= detector.colour_loss(images, seeded())
    assert set(losses) == terms | {"recolorization"}
    for loss in losses.values():
        assert loss.shape == ()
        assert bool(loss.isfinite())
    cues = detector.raw_cues(images)
    assert set(cues.scores) == set(cues.maps) == {"structure", "colour", "texture"}
    for name, scores in cues.scores.items():
        assert scores.shape == (3,)
        assert cues.maps[name].shape == (3, SIDE, SIDE)
        assert bool(scores.isfinite().all())
        assert bool(cues.maps[name].isfinite().all())


@pytest.mark.parametrize("options", SWITCHES, ids=named)
def test_the_networks_answers_and_the_map_have_the_switches_shape(options: dict[str, Any]) -> None:
    detector, images = tiny(**options), as_batch(pictures(3))
    config = detector.config
    pieces, rows = config.grid**2, 3 * config.permutations
    look = detector._tasks.fixed(detector.pieces, images)
    assert look.position.shape == (rows, pieces, pieces)
    assert look.tint.shape == look.errors.shape == (rows, pieces, config.angles)
    assert set(look.order.flatten().tolist()) == set(range(pieces))
    assert int(look.angle.max()) < config.angles
    assert all(len(each.unique()) == pieces for each in detector.raw_cues(images).maps["colour"])
    channels = detector.unet(torch.zeros(1, 4, SIDE, SIDE)).shape[1]
    assert channels == 6 * config.components


@pytest.mark.parametrize("ood", ["combined", "mahalanobis"])
@pytest.mark.parametrize("options", SWITCHES[:3], ids=named)
def test_what_it_learns_of_normal_images_fits_the_switches(
    options: dict[str, Any], ood: str
) -> None:
    chosen = {**options, "ood": ood, "tint_ood": "mahalanobis"}
    images = as_batch(pictures(3, 2))
    before, after = (make(**chosen).raw_cues(images) for make in (tiny, adapted))
    for cue in ("structure", "colour"):
        assert bool(after.scores[cue].isfinite().all())
        assert bool(after.maps[cue].isfinite().all())
        assert not torch.allclose(before.scores[cue], after.scores[cue])
