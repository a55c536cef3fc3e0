"""A reader's path: the page tells a command, and the command gives the page's number."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import pytest

from oddlens.evaluation.records import Record, RecordFile

HERE = Path(__file__).parents[2]
PAGE = HERE / "docs" / "how-good.md"
BIN = Path(sys.executable).parent
CLASSES = ("1", "5")
"""One that is hard and one that is easy, with intervals far wider than seeds differ."""


def told() -> list[str]:
    """The lines of the page's first block of commands."""
    block = re.search(r"## Check one number yourself\n.*?```sh\n(.*?)```", PAGE.read_text(), re.S)
    assert block is not None
    return block[1].splitlines()


def typed(line: str, folder: Path) -> str:
    """What a shell answers."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        line, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def seeds_of(record: Record) -> list[Record]:
    """The records in the repository that differ from this one in nothing that was asked for."""
    everything = RecordFile(HERE / "results" / "one_vs_all_digits.jsonl").read()
    same = {"seed": record.seed}
    return [each for each in everything if each.model_copy(update=same).key == record.key]


@pytest.mark.slow
def test_the_command_on_the_page_gives_its_number_within_the_interval(tmp_path: Path) -> None:
    benchmark, tables = told()
    assert " --data digits " in benchmark
    assert " --seeds 0 " in benchmark
    typed(f"{benchmark} --classes {','.join(CLASSES)}", tmp_path)
    records = RecordFile(tmp_path / "mine" / "one_vs_all_digits.jsonl").read()
    assert tuple(record.target for record in records) == CLASSES
    for record in records:
        recorded = seeds_of(record)
        assert [each.seed for each in recorded] == [0, 1, 2]
        mean = fmean(each.metrics.image_auroc for each in recorded)
        assert record.metrics.image_auroc_low <= mean <= record.metrics.image_auroc_high
    rows = typed(tables, tmp_path)
    for record in records:
        assert f"{100 * record.metrics.image_auroc:.1f}" in rows
