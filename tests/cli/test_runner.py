"""Errors become one sentence and an exit code."""

from __future__ import annotations

import errno
import json
import os
import warnings
from pathlib import Path

import pytest
import typer

import oddlens
from oddlens.cli.runner import report, verb
from oddlens.errors import (
    ArtifactError,
    DataError,
    ImageError,
    Interrupted,
    OddlensError,
    TrainingError,
    UsageError,
)

CASES = [
    (OddlensError("it failed"), 1, "error: it failed"),
    (DataError("x: is empty"), 1, "error: x: is empty"),
    (ImageError("a.png", "is no image"), 1, "error: a.png: is no image"),
    (ArtifactError("m: is newer"), 1, "error: m: is newer"),
    (TrainingError("the loss is not finite"), 1, "error: the loss is not finite"),
    (UsageError("size is 0"), 2, "error: size is 0"),
    (Interrupted("stopped after 8 of 9 steps"), 130, "interrupted: stopped after 8 of 9 steps"),
    (KeyboardInterrupt(), 130, "interrupted: nothing was kept"),
    (OSError(errno.ENOSPC, "No space", "m"), 1, "error: m: the disk is full; free some space and"),
    (PermissionError(errno.EACCES, "Permission denied", "m"), 1, "error: m: permission denied"),
    (ZeroDivisionError("by zero"), 1, "error: ZeroDivisionError: by zero. This is a fault of"),
]


@pytest.mark.parametrize(("error", "code", "line"), CASES, ids=lambda value: type(value).__name__)
def test_one_sentence_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    assert report(error, as_json=False) == code
    said = capsys.readouterr()
    assert said.err.startswith(line)
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err
    assert said.out == ""


@pytest.mark.parametrize(("error", "code", "line"), CASES, ids=lambda value: type(value).__name__)
def test_json_errors(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, line: str
) -> None:
    report(error, as_json=True)
    told = json.loads(capsys.readouterr().err)["error"]
    assert told["type"] == type(error).__name__
    assert told["exit_code"] == code
    assert line.split(": ", 1)[1] in told["message"]


def test_a_verb_exits_with_the_code_of_its_error() -> None:
    @verb
    def fails() -> None:
        raise UsageError("no")

    with pytest.raises(typer.Exit) as exit_:
        fails()
    assert exit_.value.exit_code == 2


def test_a_verb_exits_with_the_code_that_it_chose() -> None:
    @verb
    def chooses() -> None:
        raise typer.Exit(7)

    with pytest.raises(typer.Exit) as exit_:
        chooses()
    assert exit_.value.exit_code == 7


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("0", False), ("", False)])
def test_the_traceback_is_shown_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, shown: bool
) -> None:
    monkeypatch.setenv("ODDLENS_DEBUG", value)

    @verb
    def fails() -> None:
        raise DataError("no")

    with pytest.raises(typer.Exit):
        fails()
    said = capsys.readouterr().err
    assert ("Traceback" in said) is shown
    assert said.endswith("error: no\n")


def test_warnings_of_oddlens_are_told_and_those_of_others_are_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    inside = os.fspath(Path(oddlens.__file__).parent / "scoring" / "made.py")

    @verb
    def warns(as_json: bool = False) -> None:
        warnings.warn_explicit("the std is zero", UserWarning, inside, 1)
        warnings.warn_explicit("internal chatter", UserWarning, "/elsewhere/lib.py", 1)

    warns(as_json=False)
    assert capsys.readouterr().err == "warning: the std is zero\n"
    warns(as_json=True)
    assert json.loads(capsys.readouterr().err) == {"warning": "the std is zero"}
