"""``oddlens score``."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from oddlens.errors import Interrupted
from oddlens.images import Skipped
from tests.cli.conftest import FakeLibrary, Run, some_predictions


def test_everything_reaches_the_library(run: Run, library: FakeLibrary, tmp_path: Path) -> None:
    out = tmp_path / "new" / "scores.csv"
    outcome = run(
        *("score", "m", "a", "b", "--out", out, "--maps", tmp_path / "maps"),
        *("--false-alarm-rate", 0.1, "--batch-size", 4, "--on-bad", "raise"),
    )
    assert outcome.code == 0, outcome.err
    assert callable(library.predict.pop("progress"))
    assert library.predict == {
        "images": ["a", "b"],
        "false_alarm_rate": 0.1,
        "maps": True,
        "on_bad": "raise",
        "batch_size": 4,
    }
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert [row["path"] for row in rows] == ["0.png", "1.png", "2.png"]
    assert [row["is_anomaly"] for row in rows] == ["false", "false", "true"]
    assert any((tmp_path / "maps").iterdir())
    assert str(out) in outcome.out


def test_maps_are_made_only_when_wanted(run: Run, library: FakeLibrary, tmp_path: Path) -> None:
    assert run("score", "m", "a", "--out", tmp_path / "s.csv").code == 0
    assert library.predict["maps"] is False
    assert library.predict["on_bad"] == "skip"


def test_without_out_the_scores_go_to_stdout(run: Run, library: FakeLibrary) -> None:
    outcome = run("score", "m", "a")
    assert outcome.out.splitlines()[0] == "path,score,p_value,is_anomaly,cue.fake"
    assert len(outcome.out.splitlines()) == 4


def test_json_without_out_is_the_whole_answer(run: Run, library: FakeLibrary) -> None:
    told = json.loads(run("score", "m", "a", "--json").out)
    assert [each["score"] for each in told["predictions"]] == [0.0, 1.0, 2.0]


def test_json_with_out_is_a_summary(run: Run, library: FakeLibrary, tmp_path: Path) -> None:
    out = tmp_path / "scores.json"
    told = json.loads(run("score", "m", "a", "--out", out, "--json").out)
    assert (told["images"], told["anomalies"], told["threshold"]) == (3, 1, 1.5)
    assert told["scores"] == str(out)
    assert len(json.loads(out.read_text(encoding="utf-8"))["predictions"]) == 3


def test_a_report_is_written(run: Run, library: FakeLibrary, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    assert run("score", "m", "a", "--out", tmp_path / "s.csv", "--report", report).code == 0
    assert library.predict["maps"] is True
    assert "<html" in report.read_text(encoding="utf-8")


def test_an_unknown_ending_is_refused_before_the_work(
    run: Run, library: FakeLibrary, tmp_path: Path
) -> None:
    outcome = run("score", "m", "a", "--out", tmp_path / "scores.xlsx")
    assert outcome.code == 2
    assert "give it the ending .csv or .json" in outcome.err
    assert library.predict == {}


def test_skipped_files_are_told(run: Run, library: FakeLibrary, tmp_path: Path) -> None:
    bad = [Skipped("c.png", "is empty")]
    library.predictions = replace(some_predictions(), skipped=bad)
    outcome = run("score", "m", "a", "--out", tmp_path / "s.csv")
    assert outcome.code == 0
    assert "warning: 1 file was skipped: c.png: is empty" in outcome.err


def test_a_rate_that_cannot_be_guaranteed_is_told(
    run: Run, library: FakeLibrary, tmp_path: Path
) -> None:
    library.predictions = some_predictions(rate=0.01, guaranteed=0.1)
    outcome = run("score", "m", "a", "--out", tmp_path / "s.csv", "--json")
    assert "held-out normal images" in json.loads(outcome.err)["warning"]
    assert json.loads(outcome.out)["false_alarm_rate"] == 0.1


def test_ctrl_c_keeps_what_is_scored(run: Run, library: FakeLibrary, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    library.predict_raises = Interrupted("stopped after 2 of 9 images", some_predictions(2))
    outcome = run("score", "m", "a", "--out", out)
    assert outcome.code == 130
    assert outcome.err.endswith(
        f"interrupted: stopped after 2 of 9 images; 2 scores are written to {out}\n"
    )
    assert len(out.read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize("partial", [None, some_predictions(0)])
def test_ctrl_c_before_the_first_score_writes_nothing(
    run: Run, library: FakeLibrary, tmp_path: Path, partial: object
) -> None:
    library.predict_raises = Interrupted("stopped after 0 of 9 images", partial)
    outcome = run("score", "m", "a", "--out", tmp_path / "s.csv")
    assert outcome.code == 130
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_writing_the_report_keeps_the_scores(
    run: Run, library: FakeLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("oddlens.predictions.Predictions.report", interrupt)
    out, report = tmp_path / "scores.csv", tmp_path / "report.html"
    outcome = run("score", "m", "a", "--out", out, "--report", report)
    assert outcome.code == 130
    assert outcome.err.endswith(
        f"stopped while writing maps and report; the scores are written to {out}\n"
    )
    assert len(out.read_text(encoding="utf-8").splitlines()) == 4
    outcome = run("score", "m", "a", "--report", report)
    assert outcome.err.endswith("the scores are printed\n")
    assert len(outcome.out.splitlines()) == 4
