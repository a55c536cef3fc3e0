"""Options: validated, with errors that name the option and the way out, and listed with help."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field

from oddlens.detectors.ssm import SSM
from oddlens.errors import UsageError
from oddlens.options import DetectorOptions, Preset


class Options(DetectorOptions):
    sizes: tuple[int, ...] = Field((2, 4), description="cell sizes")
    shares: tuple[float, float] = (0.1, 0.5)
    limit: float | None = None
    kind: Literal["a", "b"] = "a"

    @classmethod
    def preset_defaults(cls, preset: Preset) -> dict[str, Any]:
        return {"image_size": 256, "sizes": (8,)} if preset == "paper" else {}


def test_a_preset_is_a_set_of_defaults() -> None:
    assert Options.make({}).sizes == (2, 4)
    paper = Options.make({"preset": "paper", "sizes": [16]})
    assert (paper.image_size, paper.sizes) == (256, (16,))


def test_what_is_dumped_can_be_made_again() -> None:
    for given in ({}, {"preset": "paper"}, {"precision": "bf16", "limit": 2}):
        config = Options.make(given)
        assert Options.make(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"image_sise": 8}, "there is no option 'image_sise': did you mean image_size?"),
        ({"zzz": 8}, "there is no option 'zzz': there are preset, image_size, precision"),
        (
            {"image_size": 8},
            "option image_size: input should be greater than or equal to 16 (given: 8)",
        ),
        ({"sizes": [2, "big"]}, "option sizes.1: input should be a valid integer, unable to parse"),
        ({"preset": "papr"}, "option preset: input should be 'compact' or 'paper' (given: 'papr')"),
        ({"kind": "c", "limit": "x"}, "option limit: input should be a valid number"),
        ({"kind": "c", "limit": "x"}, "; option kind: input should be 'a' or 'b' (given: 'c')"),
        ({"limit": float("nan")}, "option limit: input should be a finite number"),
    ],
)
def test_mistakes_are_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        Options.make(given)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_rule_over_several_options_speaks_for_itself() -> None:
    with pytest.raises(UsageError) as error:
        SSM(image_size=65)
    assert str(error.value) == (
        "image_size 65 must be a multiple of 16 for this network, such as 64"
    )


def test_a_precision_may_look_like_a_number() -> None:
    made = Options.make({"precision": 32})
    assert made.precision == "32"


def test_types_are_told_as_one_writes_the_values() -> None:
    told = Options.describe()
    assert {name: info.type for name, info in told.items()} == {
        "preset": "compact | paper",
        "image_size": "int",
        "precision": "auto | 32 | bf16",
        "standardise": "bool",
        "fusion": "mean | median | max | min | rank_product | fisher | stouffer | min_p",
        "sizes": "[int, ...]",
        "shares": "[float, float]",
        "limit": "float | none",
        "kind": "a | b",
    }
    assert told["sizes"].default == (2, 4)
    assert told["sizes"].help == "cell sizes"
    assert Options.describe("paper")["sizes"].default == (8,)


@pytest.mark.parametrize("preset", ["compact", "paper"])
def test_every_option_of_ssm_has_help(preset: Preset) -> None:
    told = SSM.options(preset)
    assert told["preset"].default == preset
    assert all(info.help for info in told.values())
    assert SSM(preset="compact").config.model_dump().keys() == told.keys()
