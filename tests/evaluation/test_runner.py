"""Trials are run, recorded and resumed; a failure or Ctrl-C costs one trial at most."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from oddlens.detectors import METHODS, get_method
from oddlens.errors import DataError, Interrupted, UsageError
from oddlens.evaluation.kept_scores import read_scores
from oddlens.evaluation.origin import checkout, origin, peak_memory_mib, restart_peak_memory
from oddlens.evaluation.protocols import Tested, Trial
from oddlens.evaluation.protocols.one_vs_all import OneVsAll
from oddlens.evaluation.records import Record, RecordFile
from oddlens.evaluation.runner import run_trials
from oddlens.evaluation.trial import load_data, run_trial
from oddlens.images.catalogue import ClassData
from oddlens.jsonable import plain
from tests.toys import Toy


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "toy", "tests.toys:Toy")


def trial(target: str = "0", **other: Any) -> Trial:
    call: dict[str, Any] = {
        "protocol": "one-vs-all",
        "data": "digits",
        "root": None,
        "data_sha256": load_data("digits", None).sha256,
        "target": target,
        "method": "toy",
        "options": {"preset": "compact"},
        "seed": 0,
        "epochs": 1,
        "test_limit": 60,
        "device": "cpu",
    }
    return Trial(**{**call, **other})


class Ear:
    """Writes down what it is told."""

    def __init__(self, at: Callable[[str, Trial], None] = lambda event, trial: None) -> None:
        self.heard: list[str] = []
        self._at = at

    def _hear(self, event: str, trial: Trial) -> None:
        self.heard.append(f"{event} {trial.target}")
        self._at(event, trial)

    def skipped(self, trial: Trial, record: Record) -> None:
        self._hear("skipped", trial)

    def started(self, trial: Trial) -> None:
        self._hear("started", trial)

    def progressed(self, trial: Trial, phase: str, done: int, total: int) -> None:
        self._at("progressed", trial)

    def finished(self, trial: Trial, record: Record) -> None:
        assert record.target == trial.target
        self._hear("finished", trial)

    def failed(self, trial: Trial, reason: str) -> None:
        self._hear(f"failed ({reason[:8]})", trial)


# --- one trial --------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*smaller than the model")
def test_a_record_tells_what_was_measured() -> None:
    record = run_trial(trial("3"), command="oddlens benchmark", jobs=2)
    data = load_data("digits", None)
    detector = get_method("toy")(preset="compact")
    detector.fit(data.train.of_class(3), epochs=1, seed=0, device="cpu")
    predictions = detector.predict(data.test.images, maps=False)
    everything = run_trial(trial("3", test_limit=None))
    labels = data.test.labels != 3
    metrics = everything.metrics
    assert metrics.image_auroc == pytest.approx(roc_auc_score(labels, predictions.scores))
    assert metrics.image_auroc_low <= metrics.image_auroc <= metrics.image_auroc_high
    assert {*everything.cue_aurocs} == {"error", "level"}
    for cue, value in everything.cue_aurocs.items():
        assert value == pytest.approx(roc_auc_score(labels, predictions.cues[cue]))
    sets = everything.cue_set_aurocs
    assert {*sets} == {"mean", "median", "max"}  # of two cues there are no smaller sets
    assert sets[detector.config.fusion] == pytest.approx(metrics.image_auroc)
    assert {*everything.by_kind} == {*"012456789"}
    pair = (data.test.labels == 3) | (data.test.labels == 8)
    expected = roc_auc_score(labels[pair], predictions.scores[pair])
    assert everything.by_kind["8"] == pytest.approx(expected)
    assert (metrics.n_normal, metrics.n_anomalous) == (int((~labels).sum()), int(labels.sum()))
    assert metrics.n_train == len(data.train.of_class(3))

    assert record.metrics.n_normal + record.metrics.n_anomalous == 60
    assert record.steps == detector.fit_report["steps"] > 0
    assert record.config["learning_rate"] == 0.05  # a default, not given
    assert "learning_rate" not in record.options
    assert any("smaller than the model" in line for line in record.warnings)
    assert record.provenance["command"] == "oddlens benchmark"
    assert record.provenance["jobs"] == 2
    assert record.provenance["hardware"]["threads"] == torch.get_num_threads()
    assert record.peak_memory_mib > 50
    assert record.key == trial("3").key


def test_test_images_that_cannot_be_read_are_left_out_with_their_labels(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for part, count in (("train", 8), ("test", 6)):
        for kind, level in (("dark", 20), ("light", 200)):
            folder = tmp_path / part / kind
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(level, level + 40, (16, 16, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    (tmp_path / "test" / "dark" / "0.png").write_bytes(b"no")
    (tmp_path / "test" / "light" / "3.png").write_bytes(b"no")
    record = run_trial(
        trial("dark", data="folder", root=tmp_path, test_limit=None, data_sha256="x")
    )
    metrics = record.metrics
    assert (metrics.n_normal, metrics.n_anomalous, metrics.n_skipped) == (5, 5, 2)
    assert record.cue_aurocs["level"] == 1.0  # a label out of its place would be seen
    assert record.data == f"folder:{tmp_path.name}"


def test_a_test_part_that_gives_no_interval_is_refused_before_training(tmp_path: Path) -> None:
    for name in ("train/a/0", "train/a/1", "train/b/0", "test/a/0", "test/b/0", "test/b/1"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16)).save(path)
    one_sided = trial("a", data="folder", root=tmp_path, test_limit=None, data_sha256="x")

    def train(phase: str, done: int, total: int) -> None:
        raise AssertionError("it began to train")

    with pytest.raises(DataError, match="folder, a: has 1 normal and 2 anomalous test images"):
        run_trial(one_sided, progress=train)


def test_what_a_protocol_reports_beside_auroc_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def metrics(self: OneVsAll, data: ClassData, tested: Tested) -> dict[str, float]:
        return {"count": float(len(tested.scores)), "anomalous": float(tested.labels.sum())}

    monkeypatch.setattr(OneVsAll, "metrics", metrics)
    record = run_trial(trial("3"))
    anomalous = record.metrics.n_anomalous
    assert record.more_metrics == {"count": 60.0, "anomalous": float(anomalous)}


def test_values_that_json_does_not_know_become_such() -> None:
    value = {1: (np.float32(0.5), np.arange(2)), "x": {float("nan")}, "y": Path("a"), "z": True}
    assert plain(value) == {"1": [0.5, [0, 1]], "x": [None], "y": "a", "z": True}


# --- many trials ------------------------------------------------------------------------------


def test_each_trial_is_recorded_and_a_second_run_finds_them(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "r.jsonl")
    trials = [trial("1"), trial("0")]
    ear = Ear()
    outcome = run_trials(trials, file, watcher=ear)
    assert ear.heard == ["started 1", "finished 1", "started 0", "finished 0"]
    assert file.read() == outcome.records
    assert (outcome.skipped, outcome.failed) == (0, [])

    before = file.path.read_bytes()
    ear = Ear()
    again = run_trials([trial("0"), trial("2"), trial("1")], file, watcher=ear)
    assert ear.heard == ["skipped 0", "skipped 1", "started 2", "finished 2"]
    assert again.skipped == 2
    assert [record.target for record in again.records] == ["0", "2", "1"]
    assert file.path.read_bytes().startswith(before)


def test_scores_are_kept_where_they_are_asked_for(tmp_path: Path) -> None:
    file, folder = RecordFile(tmp_path / "records.jsonl"), tmp_path / "scores"
    (record,) = run_trials([trial("1")], file, scores=folder).records
    kept = read_scores(folder, record)
    assert kept is not None
    assert roc_auc_score(kept.labels, kept.scores) == pytest.approx(record.metrics.image_auroc)
    assert kept.places.tolist() == list(range(60))
    assert file.read()[0].scores == record.scores


def test_a_run_goes_on_after_its_file_was_cut_in_the_last_line(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "r.jsonl")
    run_trials([trial("0"), trial("1")], file)
    file.path.write_bytes(file.path.read_bytes()[:-40])
    ear = Ear()
    run_trials([trial("0"), trial("1")], file, watcher=ear)
    assert ear.heard == ["skipped 0", "started 1", "finished 1"]
    assert [record.target for record in file.read()] == ["0", "1"]


def test_another_limit_is_another_measurement(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "r.jsonl")
    run_trials([trial("0")], file)
    ear = Ear()
    run_trials([trial("0", test_limit=None)], file, watcher=ear)
    assert ear.heard == ["started 0", "finished 0"]


def test_a_trial_that_fails_costs_no_other(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "r.jsonl")
    bad = trial("0", options={"preset": "compact", "diverges_at": 1})
    ear = Ear()
    outcome = run_trials([bad, trial("1")], file, watcher=ear)
    assert [each.target for each, _ in outcome.failed] == ["0"]
    assert "not finite" in outcome.failed[0][1]
    assert [record.target for record in file.read()] == ["1"]
    assert ear.heard[1].startswith("failed (")


def test_nor_does_one_that_breaks_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from oddlens.evaluation import runner

    def breaks(each: Trial, **rest: Any) -> Record:
        if each.target == "0":
            raise MemoryError("no room")
        return run_trial(each, **rest)

    monkeypatch.setattr(runner, "run_trial", breaks)
    outcome = run_trials([trial("0"), trial("1")], RecordFile(tmp_path / "r.jsonl"))
    assert [reason for _, reason in outcome.failed] == ["MemoryError: no room"]
    assert [record.target for record in outcome.records] == ["1"]


@pytest.mark.parametrize("event", ["started", "progressed", "finished"])
def test_ctrl_c_keeps_what_is_finished(tmp_path: Path, event: str) -> None:
    def stop(what: str, each: Trial) -> None:
        if what == event and each.target == "1":
            raise KeyboardInterrupt

    file = RecordFile(tmp_path / "r.jsonl")
    with pytest.raises(Interrupted, match=r"of 3 trials done, which are kept in .*r\.jsonl"):
        run_trials([trial("0"), trial("1"), trial("2")], file, watcher=Ear(stop))
    done = {"0", "1"} if event == "finished" else {"0"}
    assert {record.target for record in file.read()} == done


def test_a_damaged_file_is_said_before_any_trial(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("{}\n")
    ear = Ear()
    with pytest.raises(DataError, match="line 1"):
        run_trials([trial("0")], RecordFile(path), watcher=ear)
    assert ear.heard == []


def test_no_jobs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="jobs is 0"):
        run_trials([trial("0")], RecordFile(tmp_path / "r.jsonl"), jobs=0)


TINY: dict[str, Any] = {
    "preset": "compact",
    "image_size": 32,
    "widths": (8, 8),
    "cells": (4, 8),
    "scoring_cells": (8,),
}


@pytest.mark.slow
def test_side_by_side_gives_the_records_of_one_by_one(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    trials = [trial("0", method="ssm", options=TINY), trial("77", method="ssm", options=TINY)]
    ear = Ear()
    outcome = run_trials(trials, RecordFile(tmp_path / "both.jsonl"), jobs=2, watcher=ear)
    assert sorted(ear.heard)[:1] == ["failed (digits h) 77"]
    (record,) = outcome.records
    alone = run_trial(trials[0])
    assert record.metrics.image_auroc == pytest.approx(alone.metrics.image_auroc, abs=0.05)
    assert record.provenance["jobs"] == 2
    assert record.provenance["hardware"]["threads"] == max(1, threads // 2)


# --- where it comes from ----------------------------------------------------------------------


def test_the_origin_names_the_commit_of_acheckout(monkeypatch: pytest.MonkeyPatch) -> None:
    found = origin(torch.device("cpu"), command="c", jobs=1)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found["commit"] == (done.stdout.strip() if done.returncode == 0 else None)
    checkout.cache_clear()
    monkeypatch.setenv("PATH", "")
    without = origin(torch.device("cpu"), command="c", jobs=1)
    assert without["commit"] is without["dirty"] is None
    assert without["oddlens"] == found["oddlens"]
    checkout.cache_clear()


def test_the_commit_is_that_from_before_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    checkout.cache_clear()

    def git(*given: object) -> str:
        order.append("asked")
        return "abc1234"

    def fit(self: Toy, *given: object, **rest: object) -> Toy:
        order.append("fitted")
        return real(self, *given, **rest)  # type: ignore[arg-type]

    real = Toy.fit
    monkeypatch.setattr("oddlens.evaluation.origin._git", git)
    monkeypatch.setattr(Toy, "fit", fit)
    record = run_trial(trial())
    assert record.provenance["commit"] == "abc1234"
    assert order.index("fitted") == len(order) - 1  # nothing was asked afterwards
    checkout.cache_clear()


def test_the_peak_is_that_of_the_trial() -> None:
    big = np.ones(2**26, np.uint8)  # 64 MiB
    assert peak_memory_mib() > 64
    high = peak_memory_mib()
    del big
    restart_peak_memory()
    assert peak_memory_mib() <= high
