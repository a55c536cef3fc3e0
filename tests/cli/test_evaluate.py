"""``oddlens evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddlens.errors import Interrupted
from oddlens.evaluation import Evaluation
from tests.cli.conftest import FakeLibrary, Run, some_predictions

METRICS = {
    "image_auroc": 0.98765,
    "image_auroc_low": 0.9,
    "image_auroc_high": 1.0,
    "aupro": 0.5,
    "aupro_low": None,
    "aupro_high": None,
    "n_normal": 1200,
    "provenance": {"seed": 0},
}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, library: FakeLibrary) -> dict[str, Any]:
    asked: dict[str, Any] = {}

    def evaluate(detector: object, root: Path, **arguments: Any) -> Evaluation:
        asked.update(root=root, **arguments)
        labels = np.array([False, False, True])
        return Evaluation(METRICS, {"scratch": 0.75}, some_predictions(), labels)

    monkeypatch.setattr("oddlens.evaluation.evaluate", evaluate)
    return asked


def test_everything_reaches_the_library(run: Run, asked: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "metrics.json"
    outcome = run("evaluate", "m", "bottle", "--out", out, "--false-alarm-rate", 0.05)
    assert outcome.code == 0, outcome.err
    assert callable(asked.pop("progress"))
    assert asked == {"root": Path("bottle"), "out": out, "false_alarm_rate": 0.05}


def test_people_see_a_table(run: Run, asked: dict[str, Any]) -> None:
    lines = [line.split() for line in run("evaluate", "m", "bottle").out.splitlines()]
    assert ["image_auroc", "0.9877", "0.900", "to", "1.000"] in lines
    assert ["aupro", "0.5000"] in lines
    assert ["n_normal", "1,200"] in lines
    assert ["image_auroc", "of", "scratch", "0.7500"] in lines


def test_machines_see_json(run: Run, asked: dict[str, Any]) -> None:
    told = json.loads(run("evaluate", "m", "bottle", "--json").out)
    assert told == {**METRICS, "by_defect": {"scratch": 0.75}}


def test_the_report_knows_the_labels(run: Run, asked: dict[str, Any], tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    assert run("evaluate", "m", "bottle", "--report", report).code == 0
    assert "0.98" in report.read_text(encoding="utf-8")


@pytest.mark.parametrize("scored_all", [False, True])
def test_ctrl_c_keeps_what_is_scored(
    run: Run,
    library: FakeLibrary,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    scored_all: bool,
) -> None:
    predictions = some_predictions(2)
    whole = Evaluation(METRICS, {}, predictions, np.array([False, True]))

    def evaluate(*_: Any, **__: Any) -> None:
        raise Interrupted("stopped after 2 of 9 images", whole if scored_all else predictions)

    monkeypatch.setattr("oddlens.evaluation.evaluate", evaluate)
    kept = tmp_path / "metrics.json.partial.csv"
    outcome = run("evaluate", "m", "bottle", "--out", tmp_path / "metrics.json")
    assert outcome.code == 130
    assert outcome.err == (
        f"interrupted: stopped after 2 of 9 images; 2 scores are written to {kept}\n"
    )
    assert len(kept.read_text(encoding="utf-8").splitlines()) == 3
    outcome = run("evaluate", "m", "bottle")
    assert outcome.err.endswith("; the scores are not kept, since there is no --out\n")


def test_ctrl_c(run: Run, library: FakeLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(*_: Any, **__: Any) -> None:
        raise Interrupted("stopped while computing pixel metrics")

    monkeypatch.setattr("oddlens.evaluation.evaluate", evaluate)
    outcome = run("evaluate", "m", "bottle")
    assert outcome.code == 130
    assert outcome.err == "interrupted: stopped while computing pixel metrics\n"
