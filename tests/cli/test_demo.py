"""``oddlens demo``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddlens.evaluation import Evaluation
from tests.cli.conftest import FakeLibrary, Run, some_predictions


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, library: FakeLibrary) -> FakeLibrary:
    def evaluate(detector: object, root: Path, **_: Any) -> Evaluation:
        labels = np.array([False, False, True])
        return Evaluation({"image_auroc": 1.0}, {}, some_predictions(), labels)

    monkeypatch.setattr("oddlens.evaluation.evaluate", evaluate)
    return library


def test_from_nothing_to_a_report(run: Run, demo: FakeLibrary, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    outcome = run(
        *("demo", "--out", out, "--minutes", 0.5, "--surface", "gravel", "--seed", 3),
    )
    assert outcome.code == 0, outcome.err
    assert Path(demo.fit["images"]).is_dir()
    assert (demo.fit["max_minutes"], demo.fit["seed"]) == (0.5, 3)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "The defects are made" in page
    assert (out / "gravel.oddlens").is_dir()
    assert (out / "report.html").resolve().as_uri() in outcome.err


def test_json(run: Run, demo: FakeLibrary, tmp_path: Path) -> None:
    outcome = run("demo", "--out", tmp_path, "--json")
    told = json.loads(outcome.out)
    assert told["image_auroc"] == 1.0
    assert Path(told["report"]).is_file()
    assert outcome.err == ""


def test_an_unknown_surface(run: Run, demo: FakeLibrary, tmp_path: Path) -> None:
    outcome = run("demo", "--out", tmp_path, "--surface", "moon")
    assert outcome.code == 2
    assert "moon" in outcome.err
