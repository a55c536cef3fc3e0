"""``oddlens info``."""

from __future__ import annotations

from pathlib import Path

from oddlens.cli.info import flat
from tests.cli.conftest import Run


def test_nested_facts_become_rows() -> None:
    facts = {
        "method": "ssm",
        "config": {"size": 64, "masks": [2, 4], "refine": True, "stop": None},
        "calibration": {"scores": list(range(1200))},
        "parameters": 1234567,
    }
    assert list(flat(facts)) == [
        ["method", "ssm"],
        ["config.size", "64"],
        ["config.masks", "[2, 4]"],
        ["config.refine", "true"],
        ["config.stop", "none"],
        ["calibration.scores", "1,200 values"],
        ["parameters", "1,234,567"],
    ]


def test_no_such_artifact(run: Run, tmp_path: Path) -> None:
    outcome = run("info", tmp_path / "nowhere.oddlens")
    assert outcome.code == 1
    assert "nowhere.oddlens" in outcome.err
    assert outcome.err.count("\n") == 1
