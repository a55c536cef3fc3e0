"""Results on stdout, progress on stderr."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from oddlens.cli.progress import SECONDS_BETWEEN_LINES, bars, lines
from oddlens.cli.screen import Screen, number, print_table, summary
from oddlens.jsonable import plain


def test_what_json_does_not_know_becomes_plain() -> None:
    value = {
        "path": Path("a") / "b",
        "nan": float("nan"),
        "inf": np.float64("inf"),
        "array": np.arange(3),
        "scalar": np.float32(0.5),
        "flag": np.True_,
        "nested": [(1, None)],
        3: "key",
    }
    assert json.loads(json.dumps(plain(value), allow_nan=False)) == {
        "path": str(Path("a") / "b"),
        "nan": None,
        "inf": None,
        "array": [0, 1, 2],
        "scalar": 0.5,
        "flag": True,
        "nested": [[1, None]],
        "3": "key",
    }


@pytest.mark.parametrize(
    ("value", "text"), [(1234567, "1,234,567"), (0.123456, "0.1235"), (12345.6, "12,346"), (0, "0")]
)
def test_numbers_for_people(value: float, text: str) -> None:
    assert number(value) == text


def test_a_summary_leaves_out_what_is_not_there() -> None:
    assert summary({"n_images": 1200, "maps": None, "report": Path("r")}) == [
        ["n images", "1,200"],
        ["report", "r"],
    ]


def test_a_long_path_is_not_cut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    path = "folder/" * 60 + "[red]image[/red].png"
    print_table([[path, "1"]], ["path", "score"])
    assert path in capsys.readouterr().out


def test_columns_are_aligned_and_the_last_is_not_padded(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([["a", "1"], ["longer", "a long value"]], ["name", "value"])
    assert capsys.readouterr().out == "name    value\na       1\nlonger  a long value\n"


def test_a_terminal_gets_a_table_that_fits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    print_table([["image [red]1[/red].png", "x" * 100]], ["path", "value"])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 60
    assert "".join(lines).count("x") == 100
    assert "image [red]1[/red].png" in "".join(lines)


def test_quiet_and_json_say_no_more_than_they_must(capsys: pytest.CaptureFixture[str]) -> None:
    for screen in (Screen(quiet=True), Screen(as_json=True)):
        with screen.progress() as progress:
            progress("training", 10, 10)
        screen.note("a note")
    assert capsys.readouterr().err == ""


def test_plain_lines_come_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    with lines(clock=lambda: now) as progress:
        for step in range(1, 2001):
            now = step * SECONDS_BETWEEN_LINES / 800
            progress("training", step, 2000)
        progress("training", 2000, 2000)
        progress("counting", 7, 0)
        now += SECONDS_BETWEEN_LINES
        progress("counting", 8, 0)
    assert capsys.readouterr().err.splitlines() == [
        "training: 800 of 2,000 (40%)",
        "training: 1,600 of 2,000 (80%)",
        "training: 2,000 of 2,000 (100%)",
        "counting: 8",
    ]


def test_a_phase_that_comes_again_is_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    with lines() as progress:
        for done in (1, 2, 1, 2):
            progress("scoring", done, 2)
    assert capsys.readouterr().err.count("scoring: 2 of 2") == 2


def test_bars_on_a_terminal() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    with bars(console) as progress:
        progress("reading [images]", 1, 4)
        progress("reading [images]", 4, 4)
        progress("training", 3, 0)
    assert "reading [images]" in screen.getvalue()
    assert "4/4" in screen.getvalue()
    assert "training" in screen.getvalue()
