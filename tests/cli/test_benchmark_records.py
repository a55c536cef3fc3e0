"""What ``oddlens benchmark`` promises of its records and its table, from the command line."""

from __future__ import annotations

import json
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

from oddlens.cli.trial_table import TrialTable
from oddlens.detectors import METHODS
from oddlens.evaluation.protocols import Trial
from oddlens.evaluation.records import Record, RecordFile
from oddlens.images.catalogue import CATALOGUE
from tests.cli.conftest import Run
from tests.images.catalogue.made import png, write_tree

QUICK = ("--epochs", "1", "--device", "cpu")
TINY = (
    *("--method", "multitask", "--set", "image_size=16", "--set", 'tasks=["vertical"]'),
    *("--set", "widths=[8]", "--set", "stem=4", *QUICK),
)

# --- style ------------------------------------------------------------------------------------


def cub(root: Path, learned: int = 6, tested: int = 2) -> Path:
    """CUB-200-2011's layout, of two species."""
    species = {"1": "001.Auk", "2": "002.Jay"}
    birds = [
        (label, f"{name}/{number}.png", number < learned)
        for label, name in species.items()
        for number in range(learned + tested)
    ]
    tables = {
        "images.txt": [name for _, name, _ in birds],
        "image_class_labels.txt": [label for label, _, _ in birds],
        "train_test_split.txt": [str(int(learns)) for _, _, learns in birds],
        "classes.txt": [*species.values()],
    }
    content: dict[str, bytes | str] = {
        table: "".join(f"{at} {word}\n" for at, word in enumerate(words, start=1))
        for table, words in tables.items()
    }
    pictures = {f"images/{name}": png(10 * at, 16) for at, (_, name, _) in enumerate(birds)}
    return write_tree(root / "CUB_200_2011", content | pictures).parent


@pytest.mark.parametrize(("protocol", "flips"), [("style", "none"), ("one-vs-all", "horizontal")])
def test_birds_are_mirrored_as_objects_and_not_as_a_style(
    run: Run, tmp_path: Path, protocol: str, flips: str
) -> None:
    file, root = tmp_path / "r.jsonl", cub(tmp_path)
    call = ("benchmark", protocol, "--data", "cub200", "--root", root, *TINY)
    outcome = run(*call, "--classes", "001.Auk", "--out", file)
    assert outcome.code == 0, outcome.err
    (record,) = RecordFile(file).read()
    assert (record.protocol, record.data) == (protocol, "cub200")
    assert record.options["flips"] == record.config["flips"] == flips


# --- side by side -----------------------------------------------------------------------------


@pytest.mark.slow
def test_two_jobs_run_side_by_side(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    at_work: list[int] = []

    class Ear(TrialTable):
        def started(self, trial: Trial) -> None:
            heard.append("started")
            at_work.append(len(active_children()))
            super().started(trial)

        def finished(self, trial: Trial, record: Record) -> None:
            heard.append("finished")
            super().finished(trial, record)

    monkeypatch.setattr("oddlens.cli.benchmark.TrialTable", Ear)
    others = len(active_children())
    file = tmp_path / "r.jsonl"
    call = ("benchmark", "one-vs-all", "--data", "digits", *TINY, "--test-limit", 60)
    outcome = run(*call, "--classes", "0-1", "--jobs", 2, "--out", file)
    assert outcome.code == 0, outcome.err
    assert heard == ["started", "started", "finished", "finished"]
    assert at_work == [others + 1, others + 2]  # the first was still there when the second began
    records = RecordFile(file).read()
    assert {record.target for record in records} == {"0", "1"}
    assert [record.provenance["jobs"] for record in records] == [2, 2]


# --- published numbers ------------------------------------------------------------------------


def test_published_numbers_stand_beside_ours(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "toy", "tests.toys:Toy")
    counts = {"train": 6, "test": 2}
    values = iter(np.random.default_rng(0).permutation(160).tolist())
    tree = {
        f"{part}/{name}/{number}.png": png(next(values), 32)
        for part, count in counts.items()
        for name in CATALOGUE["cifar10"].classes
        for number in range(count)
    }
    root = write_tree(tmp_path / "cifar", tree)
    call = ("benchmark", "one-vs-all", "--data", "cifar10", "--root", root, "--method", "toy")
    rest = (*QUICK, "--classes", "cat", "--out", tmp_path / "r.jsonl")
    told = json.loads(run(*call, *rest, "--json").out)
    assert [*told["summaries"][0]["classes"]] == ["cat"]
    (geotrans,) = (each for each in told["published"] if each["who"] == "GeoTrans")
    assert geotrans["mean"] == 0.86
    assert geotrans["source"] == "Golan and El-Yaniv 2018"

    rows = [" ".join(line.split()) for line in run(*call, *rest).out.splitlines()]
    assert rows[1].startswith("cat ")
    assert "published: GeoTrans, all classes 86.0 Golan and El-Yaniv 2018; original pixels" in rows
