"""``oddlens demo``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddlens.errors import Interrupted
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


def test_ctrl_c_while_fitting_keeps_the_run(run: Run, demo: FakeLibrary, tmp_path: Path) -> None:
    demo.fit_raises = Interrupted("stopped after 8 of 9 steps; go on with --resume")
    outcome = run("demo", "--out", tmp_path)
    assert (outcome.code, demo.fit["resume"]) == (130, False)
    kept = tmp_path / "brick.oddlens.training"
    assert demo.fit["checkpoint"] == kept
    assert kept.is_dir()

    demo.fit_raises = None
    assert run("demo", "--out", tmp_path, "--resume").code == 0
    assert demo.fit["resume"] is True
    assert not kept.exists()


def test_ctrl_c_while_evaluating_says_how_to_go_on(
    run: Run, demo: FakeLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise Interrupted("stopped after 2 of 9 images", some_predictions(2))

    monkeypatch.setattr("oddlens.evaluation.evaluate", interrupt)
    outcome = run("demo", "--out", tmp_path)
    assert outcome.code == 130
    model = tmp_path / "brick.oddlens"
    assert f"measure it with `oddlens evaluate {model} " in outcome.err
    assert model.is_dir()


def test_a_rate_that_cannot_be_guaranteed_is_told(
    run: Run, demo: FakeLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(*_: Any, **__: Any) -> Evaluation:
        weak = some_predictions(rate=0.01, guaranteed=0.1)
        return Evaluation({"image_auroc": 1.0}, {}, weak, np.array([False, False, True]))

    monkeypatch.setattr("oddlens.evaluation.evaluate", evaluate)
    assert "warning: a false-alarm rate of 0.01 needs 99" in run("demo", "--out", tmp_path).err


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
