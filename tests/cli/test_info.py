"""``oddlens info``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from oddlens.artifact import Artifact, write_artifact
from oddlens.cli.info import flat
from tests.cli.conftest import Run


def test_nested_facts_become_rows() -> None:
    facts = {
        "method": "ssm",
        "config": {"size": 64, "masks": [2, 4], "refine": True, "stop": None},
        "calibration": {"scores": list(range(1200))},
        "parameters": 1234567,
        "stages": [{"name": "restore"}, {"name": "refine"}],
    }
    assert list(flat(facts)) == [
        ["method", "ssm"],
        ["config.size", "64"],
        ["config.masks", "[2, 4]"],
        ["config.refine", "true"],
        ["config.stop", "none"],
        ["calibration.scores", "1,200 values"],
        ["parameters", "1,234,567"],
        ["stages.0.name", "restore"],
        ["stages.1.name", "refine"],
    ]


def test_what_is_in_an_artifact(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bottle.oddlens"
    weights = {"layer.weight": torch.zeros(30, 50), "layer.bias": torch.zeros(50)}
    config = {"image_size": 64}
    write_artifact(Artifact("ssm", config, weights, {"scores": [0.5]}, "card", {"seed": 3}), path)

    rows = [line.split() for line in run("info", path).out.splitlines()]
    for row in (["method", "ssm"], ["weights", "1,550"], ["config.image_size", "64"]):
        assert row in rows
    assert ["provenance.seed", "3"] in rows

    told = json.loads(run("info", path, "--json").out)
    assert (told["method"], told["weights"], told["config"]) == ("ssm", 1550, config)


def test_the_options_of_a_method(run: Run) -> None:
    rows = run("info", "--method", "ssm").out.splitlines()
    assert rows[0].split() == ["option", "values", "default", "meaning"]
    (image_size,) = [row.split(maxsplit=3) for row in rows if row.startswith("image_size")]
    assert image_size == ["image_size", "int", "128", "side of the images, in pixels"]
    told = json.loads(run("info", "--method", "ssm", "--preset", "paper", "--json").out)
    assert told["method"] == "ssm"
    assert told["options"]["cells"]["type"] == "[int, ...]"
    assert told["options"]["image_size"] == {
        "type": "int",
        "default": 256,
        "help": "side of the images, in pixels",
    }


@pytest.mark.parametrize("arguments", [[], ["model", "--method", "ssm"]])
def test_a_model_or_a_method(run: Run, arguments: list[str]) -> None:
    outcome = run("info", *arguments)
    assert outcome.code == 2
    assert "give either a saved detector or --method NAME" in outcome.err


def test_an_unknown_method(run: Run) -> None:
    outcome = run("info", "--method", "sms")
    assert outcome.code == 2
    assert "did you mean ssm?" in outcome.err


def test_a_tampered_artifact(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bottle.oddlens"
    write_artifact(Artifact("ssm", {}, {"w": torch.zeros(3)}, {}, "card"), path)
    (path / "calibration.json").write_text("{}  ")
    outcome = run("info", path)
    assert outcome.code == 1
    assert "calibration.json" in outcome.err


def test_no_such_artifact(run: Run, tmp_path: Path) -> None:
    outcome = run("info", tmp_path / "nowhere.oddlens")
    assert outcome.code == 1
    assert "nowhere.oddlens" in outcome.err
    assert outcome.err.count("\n") == 1
