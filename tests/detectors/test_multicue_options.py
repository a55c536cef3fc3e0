"""Which options of MultiCue are refused, and what the presets say."""

from __future__ import annotations

from typing import Any

import pytest

from oddlens.detectors.multicue_options import MultiCueOptions
from oddlens.errors import UsageError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"image_size": 32}, "image_size 32 must be a multiple of grid 3, such as 33"),
        ({"tasks": ("tint", "tint")}, "twice"),
        ({"tasks": ()}, "tasks"),
        ({"tasks": ("jigsaw",)}, "tasks"),
        ({"margin": 12}, "margin 12 leaves nothing of a piece of 12 pixels"),
        ({"border": 18}, "border 18 leaves no centre"),
        ({"permutations": 0}, "permutations"),
        ({"angles": 1}, "angles"),
        ({"ood": "expected_error"}, "ood"),
        ({"attention": "on"}, "attention"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        MultiCueOptions.make(given)


@pytest.mark.parametrize(("size", "grid"), [(33, 3), (36, 3), (66, 3), (64, 4), (36, 2), (36, 4)])
def test_sizes_that_the_grid_divides_are_taken(size: int, grid: int) -> None:
    config = MultiCueOptions.make({"image_size": size, "grid": grid})
    assert 2 <= config.gap < size // grid
    assert 0 < config.alpha < size // 2


def test_paper_is_the_published_structure_with_our_sizes() -> None:
    config = MultiCueOptions.make({"preset": "paper"})
    assert (config.encoder, config.unet_widths, config.unet_stem) == ("wrn", (32, 64, 128), 1)
    assert (config.learning_rate, config.colour_learning_rate) == (0.1, 1e-3)
    assert (config.grid, config.angles, config.permutations, config.components) == (3, 4, 4, 3)
    assert (config.gap, config.alpha) == (2, 4)
    assert (config.lambda_t, config.lambda_d, config.attention) == (10, 2, "both")
    assert (config.fusion, config.ood, config.covariance) == ("median", "softmax_truth", "full")
