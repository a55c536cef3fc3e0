"""Predictions: built batch by batch, read back exactly, sliced, sorted and shown."""

from __future__ import annotations

import csv
import json
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oddlens.errors import DataError, OddlensError, UsageError
from oddlens.map_store import MapStore
from oddlens.predictions import Prediction, Predictions, PredictionWriter
from oddlens.scoring import Calibration

CALIBRATION = Calibration(np.arange(9.0), map_peaks=np.arange(9.0))


@dataclass(frozen=True)
class SkippedImage:
    name: str
    reason: str


def predict(
    names: list[str],
    scores: list[float],
    *,
    maps: bool = True,
    skipped: tuple[SkippedImage, ...] = (),
) -> Predictions:
    threshold = CALIBRATION.threshold(0.2)
    writer = PredictionWriter(
        threshold, pixel_threshold=CALIBRATION.pixel_threshold(0.2) if maps else None, method="ssm"
    )
    for start in range(0, len(names), 2):
        part = np.array(scores[start : start + 2])
        writer.add(
            names[start : start + 2],
            part,
            CALIBRATION.p_values(part),
            threshold.flags(part),
            {"gms": part / 3, "mse": -part},
            _maps(part) if maps else None,
        )
    return writer.finish(skipped)  # type: ignore[arg-type]


def _maps(scores: np.ndarray) -> np.ndarray:
    return np.stack([np.full((2, 3), np.clip(score, -1e30, 1e30)) for score in scores])


NAMES = ["a/0.png", "b/0.png", "image 2"]
SCORES = [0.1, 8.5, 0.1 + 0.2]


def test_one_prediction_has_all_that_is_said_of_one_image() -> None:
    predictions = predict(NAMES, SCORES)
    one = predictions[1]
    assert one == Prediction("b/0.png", 8.5, 0.1, True, {"gms": 8.5 / 3, "mse": -8.5})
    assert isinstance(one.is_anomaly, bool)
    assert one.map is not None
    assert one.map.tolist() == np.full((2, 3), 8.5).tolist()
    assert one.map.dtype == np.float32
    assert predictions[-1].name == "image 2"
    assert predictions[np.int64(1)] == one  # type: ignore[call-overload]
    assert [item.name for item in predictions] == NAMES
    with pytest.raises(IndexError):
        predictions[3]
    assert predict(NAMES, SCORES, maps=False)[1].map is None


def test_slices_and_selections_keep_rows_together() -> None:
    predictions = predict(NAMES, SCORES, skipped=(SkippedImage("x.png", "empty"),))
    for part, expected in (
        (predictions[1:], [1, 2]),
        (predictions[::-1], [2, 1, 0]),
        (predictions[predictions.is_anomaly], [1]),
        (predictions[np.array([2, 2])], [2, 2]),
        (predictions[5:], []),
        (predictions.sorted_by_score(), [1, 2, 0]),
    ):
        assert isinstance(part, Predictions)
        assert list(part) == [predictions[i] for i in expected]
        assert part.maps is not None
        assert [one[0, 0] for one in part.maps] == [np.float32(SCORES[i]) for i in expected]
        assert part.threshold == predictions.threshold
        assert part.pixel_threshold == predictions.pixel_threshold
        assert [item.name for item in part.skipped] == ["x.png"]
        assert part.method == "ssm"


def test_sorting_keeps_equal_scores_in_their_order() -> None:
    ranked = predict(["a", "b", "c", "d"], [1.0, 2.0, 1.0, 2.0]).sorted_by_score()
    assert ranked.names == ["b", "d", "a", "c"]


@pytest.mark.parametrize("maps", [True, False])
def test_the_csv_reads_back_exactly(tmp_path: Path, maps: bool) -> None:
    names = ['with, comma "and" quote.png', "line\nbreak.png", os.fsdecode(b"caf\xe9.png")]
    scores = [0.1 + 0.2, -1e-310, 1.7976931348623157e308]
    predictions = predict(names, scores, maps=maps)
    predictions.to_csv(tmp_path / "out" / "scores.csv")
    with (tmp_path / "out" / "scores.csv").open(
        newline="", encoding="utf-8", errors="surrogateescape"
    ) as file:
        header, *rows = list(csv.reader(file))
    assert header == ["path", "score", "p_value", "is_anomaly", "cue.gms", "cue.mse"]
    assert [row[0] for row in rows] == names
    assert [float(row[1]) for row in rows] == scores
    assert [float(row[2]) for row in rows] == predictions.p_values.tolist()
    assert [row[3] for row in rows] == ["false", "false", "true"]
    assert [float(row[4]) for row in rows] == predictions.cues["gms"].tolist()


@settings(deadline=None, max_examples=50)  # Disks are slow when others use them.
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5))
def test_the_json_reads_back_exactly(scores: list[float]) -> None:
    skipped = (SkippedImage("bad.png", "it is empty"),)
    predictions = predict([f"{i}.png" for i in range(len(scores))], scores, skipped=skipped)
    with tempfile.TemporaryDirectory() as folder:
        predictions.to_json(Path(folder) / "scores.json")
        content = json.loads((Path(folder) / "scores.json").read_text())
    assert [row["score"] for row in content["predictions"]] == scores
    assert content["skipped"] == [{"path": "bad.png", "reason": "it is empty"}]
    assert content["method"] == "ssm"
    assert content["threshold"] == {
        "value": 7.0,
        "wanted": 0.2,
        "guaranteed": 0.2,
        "count": 9,
        "message": None,
    }
    for row, one in zip(content["predictions"], predictions, strict=True):
        assert row == {
            "path": one.name,
            "score": one.score,
            "p_value": one.p_value,
            "is_anomaly": one.is_anomaly,
            "cues": one.cues,
        }


def test_json_without_maps_has_no_pixel_threshold(tmp_path: Path) -> None:
    predict(NAMES, SCORES, maps=False).to_json(tmp_path / "scores.json")
    assert json.loads((tmp_path / "scores.json").read_text())["pixel_threshold"] is None


def test_the_repr_says_what_matters() -> None:
    text = repr(predict(NAMES, SCORES, skipped=(SkippedImage("x", "y"),)))
    assert text == (
        "Predictions(ssm: 3 images; 1 flagged above 7 (false alarms guaranteed <= 0.2 by 9 "
        "held-out normals); scores 0.1 to 8.5; cues gms, mse; with maps; 1 skipped)"
    )


def test_nothing_scored_is_still_predictions(tmp_path: Path) -> None:
    predictions = predict([], [])
    assert len(predictions) == 0
    assert predictions.scores.dtype == np.float64
    assert "0 images; 0 flagged" in repr(predictions)
    predictions.to_csv(tmp_path / "scores.csv")
    assert (tmp_path / "scores.csv").read_text() == "path,score,p_value,is_anomaly\n"


def test_the_writer_takes_tensors() -> None:
    writer = PredictionWriter(CALIBRATION.threshold(0.2))
    scores = torch.tensor([0.1, 0.2], dtype=torch.float64)
    maps = torch.rand(2, 4, 4)
    writer.add(["a", "b"], scores, scores, scores > 0.15, {"gms": scores}, maps)
    predictions = writer.finish()
    scores[0] = 9  # The predictions are their own copy.
    assert predictions.scores.tolist() == [0.1, 0.2]
    assert predictions.is_anomaly.tolist() == [False, True]
    assert predictions.maps is not None
    assert predictions.maps[1].tolist() == maps[1].tolist()


def test_finishing_early_and_going_on() -> None:
    writer = PredictionWriter(CALIBRATION.threshold(0.2))
    writer.add(["a"], [1.0], [0.5], [False], {}, np.ones((1, 2, 2)))
    first = writer.finish()
    writer.add(["b"], [2.0], [0.5], [False], {}, np.full((1, 2, 2), 2.0))
    assert len(writer) == 2
    assert [one.name for one in first] == ["a"]
    assert first.maps is not None
    assert len(first.maps) == 1
    assert [one.name for one in writer.finish()] == ["a", "b"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_name_the_image(bad: float) -> None:
    writer = PredictionWriter(CALIBRATION.threshold(0.2))
    maps = np.zeros((2, 2, 2))
    good = ([0.1, 0.2], [0.5, 0.5], [False, False])
    with pytest.raises(DataError, match=r"^b: its score is .*fit it again"):
        writer.add(["a", "b"], [0.1, bad], *good[1:], {}, maps)
    with pytest.raises(DataError, match=r"^b: its cue 'gms' is"):
        writer.add(["a", "b"], *good, {"gms": [0, bad]}, maps)
    spoilt = maps.copy()
    spoilt[1, 0, 1] = bad
    with pytest.raises(DataError, match=r"^b: its map has pixels that are not finite"):
        writer.add(["a", "b"], *good, {}, spoilt)
    writer.add(["a", "b"], *good, {}, maps)
    assert writer.finish().names == ["a", "b"]


def test_a_full_disk_leaves_the_writer_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = PredictionWriter(CALIBRATION.threshold(0.2))
    writer.add(["a"], [1.0], [0.5], [False], {}, np.ones((1, 2, 2)))

    def full(self: object, array: object) -> int:
        raise OddlensError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("oddlens.map_store._AnonymousFile.append", full)
        with pytest.raises(OddlensError, match="disk full"):
            writer.add(["b"], [1.0], [0.5], [False], {}, np.ones((1, 2, 2)))
    partial = writer.finish()
    assert partial.names == ["a"]
    assert partial.maps is not None
    assert len(partial.maps) == 1


def test_ctrl_c_between_the_maps_and_the_rest_of_a_batch_loses_that_batch_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def add(writer: PredictionWriter) -> None:
        part = np.array([1.0, 2.0])
        writer.add(["a", "b"], part, part / 4, part > 9, {}, _maps(part))

    writer = PredictionWriter(CALIBRATION.threshold(0.2))
    add(writer)
    extend = MapStore.extend

    def interrupted(store: MapStore, maps: np.ndarray) -> None:
        extend(store, maps)
        raise KeyboardInterrupt

    monkeypatch.setattr(MapStore, "extend", interrupted)
    with pytest.raises(KeyboardInterrupt):
        add(writer)
    kept = writer.finish()
    assert kept.names == ["a", "b"]
    assert kept.maps is not None
    assert len(kept.maps) == 2


def test_batches_that_do_not_fit_are_refused() -> None:
    writer = PredictionWriter(CALIBRATION.threshold(0.2))
    row = (["a"], [1.0], [0.5], [False])
    with pytest.raises(UsageError, match="p_values: 2 values for 1 images"):
        writer.add(["a"], [1.0], [0.5, 0.5], [False], {})
    with pytest.raises(UsageError, match="cue 'gms': 2 values for 1 images"):
        writer.add(*row, {"gms": [1.0, 2.0]})
    with pytest.raises(UsageError, match=r"maps of shape \(2, 3, 3\) for 1 images"):
        writer.add(*row, {"gms": [1.0]}, np.ones((2, 3, 3)))
    writer.add(*row, {"gms": [1.0]}, np.ones((1, 3, 3)))
    with pytest.raises(UsageError, match=r"cues \['mse'\] were added after \['gms'\]"):
        writer.add(*row, {"mse": [1.0]}, np.ones((1, 3, 3)))
    with pytest.raises(UsageError, match="with every batch or with none"):
        writer.add(*row, {"gms": [1.0]})


def test_the_report_gets_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def write_report(*args: object, **kwargs: object) -> Path:
        calls.append((args, kwargs))
        return tmp_path

    monkeypatch.setattr("oddlens.report.write_report", write_report)
    predictions = predict(NAMES, SCORES)
    assert predictions.report("r.html", labels=[0, 1, 0], title="t", note="n") == tmp_path
    expected = {"labels": [0, 1, 0], "masks": None, "title": "t", "note": "n"}
    assert calls == [((predictions, "r.html"), expected)]


def test_unwritable_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OddlensError, match=r"cannot write .*file/scores\.csv"):
        predict(NAMES, SCORES).to_csv(tmp_path / "file" / "scores.csv")
    with pytest.raises(UsageError, match="no anomaly maps to save"):
        predict(NAMES, SCORES, maps=False).save_maps(tmp_path)
