"""The live table."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from oddlens.cli.trial_table import MOST_ROWS, TrialTable
from oddlens.evaluation.protocols import Trial
from tests.evaluation.made_records import made


def trial(target: str, seed: int = 0) -> Trial:
    fields: dict[str, Any] = {"options": {"preset": "compact"}, "seed": seed, "epochs": 1}
    return Trial("one-vs-all", "made", None, "0f", target, "toy", **fields)


def drawn(table: TrialTable) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=120)
    console.print(table.drawn())
    assert isinstance(console.file, io.StringIO)
    return [line.split() for line in console.file.getvalue().splitlines() if line.strip()]


def test_the_table_follows_the_trials() -> None:
    trials = [trial("a"), trial("b"), trial("c"), trial("d")]
    table = TrialTable(trials, silent=True)
    assert drawn(table)[2] == ["a", "0"]
    table.skipped(trials[0], made("a", 0, 0.9))
    table.started(trials[1])
    table.progressed(trials[1], "restore", 30, 120)
    assert drawn(table)[2] == ["a", "0", "90.0", "80.0", "to", "95.0", "1.0"]
    assert drawn(table)[3] == ["b", "0", "restore", "25%", "0.0"]
    table.progressed(trials[1], "reading", 3, 0)
    assert drawn(table)[3] == ["b", "0", "reading", "0.0"]
    table.finished(trials[1], made("b", 0, 0.8))
    table.started(trials[2])
    table.failed(trials[2], "no images")
    assert drawn(table)[4] == ["c", "0", "failed", "0.0"]
    assert " ".join(drawn(table)[-1]) == "mean of 2 2 of 4 85.0"
    assert [record.target for record in table.were_there] == ["a"]


def test_the_foot_is_the_mean_over_classes_with_its_deviation_over_seeds() -> None:
    trials = [trial(name, seed) for name in "ab" for seed in (0, 1)]
    table = TrialTable(trials, silent=True)
    for each, auroc in zip(trials, (0.9, 0.8, 0.5, 0.8), strict=True):
        table.finished(each, made(each.target, each.seed, auroc))
    # By hand: the seeds have 0.7 and 0.8; their deviation is sqrt(2 * 0.05^2).
    assert " ".join(drawn(table)[-1]) == "mean of 2 4 of 4 75.0 ± 7.1"


def test_of_many_trials_the_latest_are_shown() -> None:
    trials = [trial("a", seed) for seed in range(MOST_ROWS + 5)]
    table = TrialTable(trials, silent=True)
    table.skipped(trials[0], made("a", 0))
    for each in trials[1:-1]:
        table.started(each)
        table.finished(each, made("a", each.seed))
    seeds = [int(row[1]) for row in drawn(table) if row[0] == "a"]
    assert seeds == list(range(4, MOST_ROWS + 4))
    assert f"{MOST_ROWS + 4} of {MOST_ROWS + 5}" in " ".join(drawn(table)[-1])


def test_on_a_terminal_it_is_drawn_and_elsewhere_told_in_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with TrialTable([trial("zebra")], console=console) as table:
        table.started(trial("zebra"))
        table.finished(trial("zebra"), made("zebra"))
    assert isinstance(console.file, io.StringIO)
    assert "zebra" in console.file.getvalue()
    assert capsys.readouterr().err == ""

    with TrialTable([trial("zebra")]) as table:
        table.finished(trial("zebra"), made("zebra"))
    assert capsys.readouterr().err == (
        "zebra, seed 0: AUROC 90.0 (80.0 to 95.0), 1.0 minutes (1 of 1)\n"
    )


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    with TrialTable([trial("a")], silent=True) as table:
        table.skipped(trial("a"), made("a"))
        table.finished(trial("a"), made("a"))
    assert capsys.readouterr().err == ""
