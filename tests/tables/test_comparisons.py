"""Pairs of methods over classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oddlens.evaluation.compare import wilcoxon
from oddlens.evaluation.records import RecordFile
from oddlens.tables.comparisons import comparisons
from tests.evaluation.made_records import made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    file = RecordFile(tmp_path / "one_vs_all_digits.jsonl")
    for at, better in enumerate((0.01, 0.02, 0.03, 0.04, 0.05, -0.06)):
        file.append(made(str(at), auroc=0.8, data="digits", method="multitask"))
        file.append(made(str(at), auroc=0.8 + better, data="digits", method="multicue"))
    file.append(made("0", auroc=0.9, data="digits", method="anomem", epochs=9))
    return tmp_path


def test_pairs_that_were_measured_alike_and_no_others(folder: Path) -> None:
    _, _, *found = [line for line in comparisons(folder).splitlines() if line.startswith("|")]
    (cells,) = [[cell.strip() for cell in line.strip("|").split("|")] for line in found]
    p_value = wilcoxon([0.01, 0.02, 0.03, 0.04, 0.05, -0.06])
    assert cells[2:4] == ["MultiTask", "MultiCue"]
    # By hand: the differences add up to 0.09, over six classes.
    assert cells[5:] == ["6", "+1.5", "1 : 5", f"{p_value:.2g}", "0.031", "–"]


def test_the_same_minutes_on_other_threads_are_told(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "one_vs_all_digits.jsonl")
    for method, threads in (("multitask", 1), ("multicue", 2)):
        origin = {"hardware": {"cpu": "A CPU", "device": "cpu", "cores": 2, "threads": threads}}
        about: dict[str, Any] = {"method": method, "minutes": 5.0, "epochs": None}
        file.append(made("0", data="digits", provenance=origin, **about))
    assert "| 5 min, 1 thread against 5 min, 2 threads |" in comparisons(tmp_path)


Run = tuple[str, float, str, int]
"""Method, minutes, precision, how many classes."""
LONGEST: list[Run] = [
    *(("multitask", 10.0, "bf16", 1), ("multitask", 5.0, "bf16", 1), ("multitask", 2.0, "bf16", 1)),
    *(("multicue", 10.0, "32", 1), ("multicue", 5.0, "bf16", 1), ("multicue", 2.0, "bf16", 1)),
]
WIDEST: list[Run] = [
    *(("multitask", 5.0, "bf16", 2), ("multitask", 10.0, "bf16", 1)),
    *(("multicue", 10.0, "bf16", 2), ("multicue", 5.0, "bf16", 1)),
]


@pytest.mark.parametrize(("runs", "length"), [(LONGEST, "5"), (WIDEST, "10")])
@pytest.mark.parametrize("turned", [False, True])
def test_the_longest_that_both_were_given_is_compared(
    tmp_path: Path, runs: list[Run], length: str, turned: bool
) -> None:
    file = RecordFile(tmp_path / "one_vs_all_digits.jsonl")
    for method, minutes, precision, classes in runs[::-1] if turned else runs:
        fit = {"precision": precision}
        about: dict[str, Any] = {"method": method, "minutes": minutes, "epochs": None, "fit": fit}
        for target in range(classes):
            file.append(made(str(target), data="digits", **about))
    (row,) = [line for line in comparisons(tmp_path).splitlines() if "MultiTask" in line]
    assert f"| {length} min |" in row


def test_without_a_pair(tmp_path: Path) -> None:
    assert "no record in" in comparisons(tmp_path)
    assert "not run" in comparisons(tmp_path)
