"""Every ablation of the method can be switched on; what makes no sense is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from oddlens.detectors.ssm import SSM
from oddlens.errors import UsageError
from tests.detectors.tiny import TINY, as_batch, as_cache, ignore, surfaces, tiny

OFFICIAL = {"variant": "official", "cues": ("structure", "intensity")}
# Section 9 of the method's specification, letter by letter, then what is ours.
ABLATIONS: dict[str, dict[str, Any]] = {
    "a: no mask conditioning": {"mask_attention": False},
    "a: RIAD": {**OFFICIAL, "mask_attention": False, "mask_weight": 0.0, "rounds": 0},
    "b, c: mask blocks, no mask head": {"mask_weight": 0.0},
    "c: mask head at 0.01": {"mask_weight": 0.01},
    "c: mask head at 1": {"mask_weight": 1.0},
    "d: R = 1": {**OFFICIAL, "rounds": 0},
    "d: R = 2": {**OFFICIAL, "rounds": 1},
    "d: loop, first pass alone": {"rounds": 0},
    "d: loop of five": {"rounds": 5, "quantiles": (0.8, 0.95), "persistence": 0.7},
    "e: one cell size": {"cells": (4,), "scoring_cells": (4,)},
    "e: four": {"cells": (1, 2, 4, 8), "scoring_cells": (2, 4, 8, 16)},
    "e: cells that do not divide the side": {"cells": (3, 5), "scoring_cells": (3, 7)},
    "f: two parts": {**OFFICIAL, "parts": 2},
    "f: five parts": {"start": "partition", "parts": 5},
    "f: a third hidden": {"hidden": (0.33, 0.33)},
    "g: partition start": {"start": "partition"},
    "h: no MSE in the loss": {"mse_weight": 0.0},
    "h: no MSE in the score": {**OFFICIAL, "cues": ("structure",)},
    "h: intensity in the score": {"cues": ("structure", "intensity")},
    "i: scales weighed by k squared": OFFICIAL,
    "i: scales weighed alike": {**OFFICIAL, "equal_weights": True},
    "no structure in the loss": {"msgms_weight": 0.0, "ssim_weight": 0.0},
    "smoothed in the plane": {**OFFICIAL, "rows_only": False},
    "zero outside H": {"outside": "zero", "persistence": 1.0, "quantiles": (0.6, 0.1)},
    "statistics by scale": {"normalise": "scale"},
    "no statistics": {"normalise": "none"},
    "held-out statistics alone": {"spread_images": 0},
    "thresholds on structure alone": {"intensity_weight": 0.0},
    "one smoothing": {"sigmas": (2.0,)},
    "no smoothing": {"sigmas": (0.0,), "residual_sigma": 0.0},
    "darker alone": {"cues": ("darker",)},
    "mirrored": {"flips": "both"},
    "full resolution": {"stem": 1, "widths": (4, 8, 8)},
    "the smallest images": {"image_size": 16, "cells": (2, 4), "scoring_cells": (2, 4)},
}


@pytest.mark.parametrize("options", ABLATIONS.values(), ids=ABLATIONS.keys())
def test_every_ablation_learns_and_gives_finite_cues(options: dict[str, Any]) -> None:
    detector = tiny(**options)
    side = detector.config.image_size
    pixels = surfaces(12)[:, :side, :side]
    images = as_batch(pixels)
    terms = detector.train().loss(images[:6], torch.Generator().manual_seed(0))
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    learned = [p.grad for p in detector.network.parameters() if p.grad is not None]
    assert learned
    assert all(bool(gradient.isfinite().all()) for gradient in learned)

    detector.eval()
    with torch.inference_mode():
        detector.adapt(as_cache(pixels[:8], side), as_cache(pixels[8:], side), ignore)
    found = detector.raw_cues(images[:3])
    assert list(found.scores) == list(detector.config.cues)
    for name, scores in found.scores.items():
        assert scores.shape == (3,), name
        assert bool(scores.isfinite().all()), name
        assert len(scores.unique()) > 1, f"{name} tells nothing apart"  # type: ignore[no-untyped-call]
    for name, maps in found.maps.items():
        assert maps.shape == (3, side, side), name
        assert bool(maps.isfinite().all()), name


def test_official_brings_its_own_cues_and_refuses_those_of_the_loop() -> None:
    found = tiny(variant="official").raw_cues(as_batch(surfaces(2)))
    assert set(found.scores) == {"structure", "intensity"}
    assert set(found.maps) == {"structure"}
    with pytest.raises(UsageError, match="darker and brighter belong to variant loop"):
        tiny(variant="official", cues=("structure", "darker"))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"variant": "offical"}, "variant"),
        ({"subject": "texture"}, "subject"),
        ({"preset": "tiny"}, "preset"),
        ({"rouns": 2}, "did you mean rounds"),
        ({"nonsense": 2}, "nonsense"),
        ({"image_size": 8}, "image_size"),
        ({"image_size": 34}, "image_size 34 must be a multiple of 4"),
        ({"cells": ()}, "cells"),
        ({"cells": (0, 4)}, "cell size 0"),
        ({"cells": (17,)}, "cell size 17"),
        ({"scoring_cells": (32,)}, "cell size 32"),
        ({"widths": (8,)}, "widths"),
        ({"stem": 3}, "stem"),
        ({"parts": 1}, "parts"),
        ({"hidden": (0.5, 0.1)}, "hidden"),
        ({"hidden": (0.0, 0.5)}, "hidden"),
        ({"hidden": (0.5, 1.0)}, "hidden"),
        ({"start": "corner"}, "start"),
        ({"rounds": -1}, "rounds"),
        ({"quantiles": (0.5, 1.0)}, "quantiles"),
        ({"quantiles": (0.5,)}, "quantiles"),
        ({"persistence": 1.1}, "persistence"),
        ({"outside": "one"}, "outside"),
        ({"sigmas": ()}, "sigmas"),
        ({"residual_sigma": -1}, "residual_sigma"),
        ({"normalise": "all"}, "normalise"),
        ({"cues": ()}, "cues"),
        ({"cues": ("structure", "colour")}, "cues"),
        ({"mse_weight": -1}, "mse_weight"),
        ({"mask_weight": float("nan")}, "mask_weight"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"batch_size": 0}, "batch_size"),
        ({"epochs": 0}, "epochs"),
        ({"flips": "vertical"}, "flips"),
    ],
    ids=str,
)
def test_a_bad_option_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        SSM(**{**TINY, **options})


def test_a_surface_has_defaults_of_its_own_that_can_be_overruled() -> None:
    object_, surface = SSM().config, SSM(subject="surface").config
    assert (surface.equalise, surface.flips) == (4.0, "horizontal")
    assert max(surface.cells) == max(surface.scoring_cells) == 32
    changed = {"cells", "scoring_cells", "sigmas", "equalise", "flips", "subject"}
    differing = {name for name, value in surface if value != getattr(object_, name)}
    assert differing == changed
    assert SSM(subject="surface", equalise=0, cells=(4, 8)).config.cells == (4, 8)
    released = SSM(subject="surface", variant="official").config
    assert (released.scoring_cells, released.flips) == ((2, 4, 8), "horizontal")


def test_the_paper_preset_is_the_released_network() -> None:
    config = SSM(preset="paper", **{name: TINY[name] for name in ("widths", "stem")}).config
    assert config.image_size == 256
    assert config.cells == config.scoring_cells == (2, 4, 8, 16)
    assert (config.learning_rate, config.weight_decay) == (1e-4, 1e-5)
    assert (config.epochs, config.batch_size) == (300, 8)
    defaults = SSM.Options.preset_defaults("paper")
    assert (defaults["widths"], defaults["stem"]) == ((64, 128, 256, 512, 512), 1)
