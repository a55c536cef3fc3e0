"""``oddlens benchmark``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from oddlens.cli.benchmark import benchmark, read_classes, read_numbers, results_file
from oddlens.detectors import METHODS
from oddlens.errors import UsageError
from oddlens.evaluation.protocols import PROTOCOLS
from oddlens.evaluation.records import RecordFile
from oddlens.evaluation.summary import _LATER
from oddlens.images.catalogue import CATALOGUE
from tests.cli.conftest import Run
from tests.images.catalogue.made import attacks, category
from tests.toys import Toy

QUICK = ("one-vs-all", "--data", "digits", "--epochs", "1", "--device", "cpu")


# --- what is read from the command line -------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "numbers"),
    [(["0"], [0]), (["0,2", "1"], [0, 2, 1]), (["0-3"], [0, 1, 2, 3]), (["1", "0-2"], [1, 0, 2])],
)
def test_numbers(words: list[str], numbers: list[int]) -> None:
    assert read_numbers(words, "--seeds") == numbers


@pytest.mark.parametrize("word", ["a", "1-", "-1", "1.5", "", "3-2"])
def test_what_is_no_number(word: str) -> None:
    with pytest.raises(UsageError, match="--seeds"):
        read_numbers([word], "--seeds")


CIFAR = CATALOGUE["cifar10"].classes


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        (["cat,dog"], ["cat", "dog"]),
        (["0-2", "truck", "bird"], ["airplane", "automobile", "bird", "truck"]),
    ],
)
def test_classes(words: list[str], classes: list[str]) -> None:
    assert read_classes(words, CIFAR) == classes


def test_a_class_whose_name_is_a_number_goes_by_its_name() -> None:
    assert read_classes(["7"], ["5", "6", "7"]) == ["7"]
    assert read_classes(["0-1"], ["t-shirt", "0-1"]) == ["0-1"]


@pytest.mark.parametrize(
    ("word", "message"), [("doq", "did you mean dog"), ("8-10", "numbered 0 to 9")]
)
def test_unknown_classes(word: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_classes([word], CIFAR)


def test_where_the_records_go(tmp_path: Path) -> None:
    named = results_file(tmp_path, "one-vs-all", "fashion-mnist")
    assert named == tmp_path / "one_vs_all_fashion_mnist.jsonl"
    assert results_file(tmp_path, "one-vs-all", "folder:my set").name == (
        "one_vs_all_folder_my_set.jsonl"
    )
    assert results_file(tmp_path / "a.jsonl", "one-vs-all", "x") == tmp_path / "a.jsonl"


def test_the_help_names_every_protocol_and_data_set() -> None:
    told = json.dumps({name: str(value) for name, value in benchmark.__annotations__.items()})
    for name in (*PROTOCOLS, *CATALOGUE):
        assert name in told


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["one-vs-al"], 2, "did you mean one-vs-all"),
        (["one-vs-all", "--data", "digit"], 2, "did you mean digits"),
        (["one-vs-all", "--data", "mnist"], 2, "mnist needs a root folder"),
        (["one-vs-all", "--data", "mnist", "--root", "{nowhere}"], 1, "{nowhere}: no such folder"),
        (["one-vs-all", "--data", "folder", "--root", "{nowhere}"], 1, "{nowhere}: no such folder"),
        (["one-vs-all", "--method", "smm"], 2, "there is no method 'smm'"),
        (["one-vs-all", "--set", "cels=[2]"], 2, "did you mean cells"),
        (["one-vs-all", "--set", "preset=paper"], 2, "write it as --preset"),
        (["one-vs-all", "--set", "image_size=big"], 2, "option image_size"),
        (["one-vs-all", "--classes", "ten"], 2, "there is no such class"),
        (["one-vs-all", "--seeds", "x"], 2, "write numbers"),
        (["one-vs-all", "--epochs", "1", "--max-minutes", "1"], 2, "exclude each other"),
        (["one-vs-all", "--max-minutes", "0"], 2, "must be above 0"),
        (["one-vs-all", "--odd", "textures"], 2, "--odd goes with out-of-distribution"),
        (["style", "--odd-root", "{nowhere}"], 2, "--odd-root goes with out-of-distribution"),
        (["out-of-distribution"], 2, "needs a data set whose test images are odd: give --odd"),
        (["out-of-distribution", "--odd", "mnist"], 2, "give --odd-root"),
        (["out-of-distribution", "--odd", "textur"], 2, "did you mean textures"),
        (["localization"], 2, "digits has classes and no categories"),
        (["presentation-attack"], 2, "digits has no class bonafide"),
        (
            ["one-vs-all", "--download", "--data", "mvtec", "--root", "{nowhere}"],
            2,
            "mvtec cannot be fetched by --download",
        ),
        (["one-vs-all", "--gammas", "0.1"], 2, "--gammas goes with few-anomalies"),
        (["few-anomalies"], 2, "ssm learns from normal images alone"),
        (["few-anomalies", "--method", "anomem", "--gammas", "x"], 2, "--gammas x: write numbers"),
        (["few-anomalies", "--method", "anomem", "--gammas", "0.9"], 2, "from 0 to 0.5"),
        (["few-anomalies", "--method", "anomem", "--anomalies", "al"], 2, "use all or single"),
    ],
)
def test_mistakes_are_one_sentence_and_record_nothing(
    run: Run, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    places = {"nowhere": str(tmp_path / "nowhere")}
    given = [each.format(**places) for each in arguments]
    defaults = {"--data": "digits", "--method": "ssm", "--out": str(tmp_path / "results")}
    rest = [word for pair in defaults.items() if pair[0] not in given for word in pair]
    outcome = run("benchmark", *given, *rest)
    assert outcome.code == code, outcome.err
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    assert message.format(**places) in outcome.err
    assert not (tmp_path / "results").exists()


# --- in this process, with a detector of a few parameters -------------------------------------


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "toy", "tests.toys:Toy")


@pytest.mark.usefixtures("toy")
def test_a_table_for_people(run: Run, tmp_path: Path) -> None:
    outcome = run(
        *("benchmark", *QUICK, "--method", "toy", "--classes", "0-1", "--seeds", "0,1"),
        *("--out", tmp_path, "--test-limit", 100),
    )
    assert outcome.code == 0, outcome.err
    lines = [line.split("  ") for line in outcome.out.splitlines()]
    assert [line[0] for line in lines][1:4] == ["0", "1", "mean of 2 classes"]
    assert all("±" in outcome.out.splitlines()[at] for at in (1, 2, 3))
    assert "100 test images only" in outcome.out
    assert "  cue error alone" in outcome.out
    assert "0, seed 1: AUROC" in outcome.err
    assert "(4 of 4)" in outcome.err
    assert outcome.err.count("smaller than the model") == 1
    assert len(RecordFile(tmp_path / "one_vs_all_digits.jsonl").read()) == 4


@pytest.mark.usefixtures("toy")
def test_json_for_machines_and_nothing_is_run_twice(run: Run, tmp_path: Path) -> None:
    call = ("benchmark", *QUICK, "--method", "toy", "--classes", "3", "--out", tmp_path, "--json")
    first, second = (json.loads(run(*call).out) for _ in range(2))
    assert (first["done"], first["recorded_earlier"]) == (1, 0)
    assert (second["done"], second["recorded_earlier"]) == (1, 1)
    (summary,) = second["summaries"]
    assert summary == first["summaries"][0]
    (record,) = RecordFile(tmp_path / "one_vs_all_digits.jsonl").read()
    assert summary["classes"]["3"]["mean"] == record.metrics.image_auroc


@pytest.mark.usefixtures("toy")
def test_a_trial_that_fails_is_told_and_exits_with_1(run: Run, tmp_path: Path) -> None:
    outcome = run(
        *("benchmark", *QUICK, "--method", "toy", "--classes", "0", "--out", tmp_path),
        *("--set", "diverges_at=1"),
    )
    assert outcome.code == 1
    assert "warning: 0, seed 0 failed: " in outcome.err
    assert not (tmp_path / "one_vs_all_digits.jsonl").exists()


@pytest.mark.usefixtures("toy")
def test_records_of_other_defaults_are_not_taken_without_a_word(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ("benchmark", *QUICK, "--method", "toy", "--classes", "0", "--out", tmp_path)
    assert run(*call).code == 0
    path = tmp_path / "one_vs_all_digits.jsonl"
    record = json.loads(path.read_text())
    record["config"]["momentum"] = 0.5
    path.write_text(json.dumps(record) + "\n")
    assert "had another default of momentum: use another --out" in run(*call).err
    del record["config"]["momentum"]
    path.write_text(json.dumps(record) + "\n")
    assert "had another default of momentum: use another --out" in run(*call).err
    usual = Toy.options()["momentum"].default
    monkeypatch.setitem(_LATER, "toy", {"momentum": usual})  # an option that came later
    assert "another default" not in run(*call).err


@pytest.mark.usefixtures("toy")
def test_a_sweep_of_labelled_anomalies_goes_on_where_it_was(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toy, "learns_from_anomalies", True)
    call = (
        *("benchmark", "few-anomalies", *QUICK[1:], "--method", "toy", "--classes", "3"),
        *("--anomalies", "all,single", "--json", "--out", str(tmp_path)),
    )
    assert json.loads(run(*call, "--gammas", "0,0.1").out)["done"] == 3
    facts = json.loads(run(*call, "--gammas", "0,0.1,0.2").out)
    assert (facts["done"], facts["recorded_earlier"]) == (5, 3)
    records = RecordFile(tmp_path / "few_anomalies_digits.jsonl").read()
    counts = {
        (each.setting["gamma"], each.setting["anomalies"]): each.fit["labelled_anomalies"]
        for each in records
    }
    n = records[0].metrics.n_train
    tenth, fifth = round(n / 9), round(n / 4)
    assert counts == {
        (0.0, "none"): 0,
        (0.1, "all"): tenth,
        (0.1, "single"): tenth,
        (0.2, "all"): fifth,
        (0.2, "single"): fifth,
    }


# --- the other protocols ------------------------------------------------------------------------


@pytest.mark.usefixtures("toy")
def test_out_of_distribution_from_the_command_line_goes_on(run: Run, tmp_path: Path) -> None:
    call = ("benchmark", "out-of-distribution", "--data", "digits", "--odd", "textures")
    rest = ("--method", "toy", "--epochs", "1", "--device", "cpu", "--out", tmp_path)
    first, again = (run(*call, *rest) for _ in range(2))
    assert first.code == again.code == 0, first.err
    assert "all classes, odd textures" in first.out
    assert "fpr_at_95_tpr" in first.out
    assert "recorded earlier" in again.err
    (record,) = RecordFile(tmp_path / "out_of_distribution_digits.jsonl").read()
    assert record.setting.keys() == {"odd", "odd_sha256"}
    told = json.loads(run(*call, *rest, "--json").out)
    points = {
        name: value
        for name, value in record.more_metrics.items()
        if not name.endswith(("_low", "_high"))
    }
    assert points.keys() < record.more_metrics.keys()
    assert told["summaries"][0]["more_metrics"] == pytest.approx(points)


@pytest.mark.usefixtures("toy")
def test_localization_and_attacks_from_the_command_line(run: Run, tmp_path: Path) -> None:
    rest = ("--method", "toy", "--epochs", "1", "--device", "cpu", "--out", tmp_path / "r")
    for name in ("cup", "nut"):
        category(tmp_path / "mvtec" / name, each=6)
    call = ("benchmark", "localization", "--data", "mvtec", "--root", tmp_path / "mvtec", *rest)
    outcome = run(*call)
    assert outcome.code == 0, outcome.err
    assert "mean of 2 classes" in outcome.out
    assert outcome.out.count("aupro ") == 3
    root = attacks(tmp_path / "faces", each=8)
    outcome = run("benchmark", "presentation-attack", "--data", "attacks", "--root", root, *rest)
    assert outcome.code == 0, outcome.err
    assert "apcer_at_bpcer_pooled" in outcome.out
    (record,) = RecordFile(tmp_path / "r" / "presentation_attack_attacks_faces.jsonl").read()
    assert str(tmp_path) not in record.model_dump_json()


# --- the real command line --------------------------------------------------------------------

TINY = (
    *("--method", "ssm", "--set", "image_size=32", "--set", "widths=[8,8]"),
    *("--set", "cells=[4,8]", "--set", "scoring_cells=[8]", "--test-limit", "60"),
)


def command(*arguments: object) -> list[str]:
    return [str(Path(sys.executable).with_name("oddlens")), *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "ODDLENS_DEBUG": "0"}


def oddlens(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, env=environment()
    )


def bench(out: Path, *, classes: str, more: Sequence[str] = ()) -> list[Any]:
    return ["benchmark", *QUICK, *TINY, "--classes", classes, "--out", out, *more]


@pytest.mark.slow
def test_a_cut_run_goes_on(tmp_path: Path) -> None:
    done = oddlens(*bench(tmp_path, classes="0-1"))
    assert done.returncode == 0, done.stderr
    path = tmp_path / "one_vs_all_digits.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    again = oddlens(*bench(tmp_path, classes="0-1"))
    assert again.returncode == 0, again.stderr
    assert "0, seed 0: recorded earlier, AUROC" in again.stderr
    assert "1, seed 0: AUROC" in again.stderr
    first, second = RecordFile(path).read()
    assert path.read_bytes().startswith(whole[: whole.index(b"\n") + 1])
    assert [first.target, second.target] == ["0", "1"]
    assert second.options["flips"] == "none"
    assert second.provenance["command"].startswith("oddlens benchmark one-vs-all --data digits")
    assert str(tmp_path) not in path.read_text(encoding="utf-8")
    assert "Traceback" not in done.stderr + again.stderr


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_keeps_finished_trials(tmp_path: Path, jobs: int) -> None:
    call = bench(tmp_path, classes="0-9", more=["--seeds", "0-9", "--jobs", str(jobs)])
    process = subprocess.Popen(
        command(*call),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "AUROC" in line:
            break
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "of 100 trials done, which are kept in" in said
    assert "Traceback" not in said
    assert 1 <= len(RecordFile(tmp_path / "one_vs_all_digits.jsonl").read()) < 100
