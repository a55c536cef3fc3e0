"""The options that several verbs share, and how ``--set option=value`` is read."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from oddlens.errors import UsageError

OnBad = Literal["skip", "raise"]
Device = Literal["auto", "cpu", "cuda"]

JsonFlag = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, and errors too; no progress.")
]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes.")]
OnBadOption = Annotated[
    OnBad,
    typer.Option("--on-bad", help="What to do with files that cannot be read as images."),
]
Preset = Literal["compact", "paper"]
ModelArgument = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A fitted detector, made by `oddlens fit`.")
]
ScorerArgument = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL",
        help="A fitted detector, or the .onnx file that `oddlens export` made of one.",
    ),
]
RateOption = Annotated[
    float,
    typer.Option(
        "--false-alarm-rate", help="The share of normal images that may be called anomalies."
    ),
]
ReportOption = Annotated[
    Path | None, typer.Option("--report", help="Write an HTML report to this file.")
]
BatchOption = Annotated[
    int | None, typer.Option("--batch-size", min=1, help="Images per step; default: by the device.")
]


def parse_settings(settings: Sequence[str], known: Collection[str], method: str) -> dict[str, Any]:
    """Read ``option=value`` pairs.

    A value is read as JSON where it is that (``0.5``, ``true``, ``[2, 4]``), else taken as text.

    Args:
        settings: as given, such as ``["mask_sizes=[2,4]"]``.
        known: the options of the method.
        method: its name, for messages.

    Raises:
        UsageError: no ``=``, an option that the method has not, or one that is given twice.
    """
    read: dict[str, Any] = {}
    for setting in settings:
        option, equals, value = setting.partition("=")
        option = option.strip().replace("-", "_")
        if not equals or not option:
            raise UsageError(f"--set {setting}: write it as option=value")
        if option not in known:
            raise UsageError(
                f"--set {option}: {method} has no such option; {suggestion(option, known)} "
                f"(`oddlens info --method {method}` explains them)"
            )
        if option in read:
            raise UsageError(f"--set {option}: given twice, decide for one value")
        read[option] = plain_value(value.strip())
    return read


def suggestion(word: str, known: Collection[str]) -> str:
    """What was probably meant, or all that could have been."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(known))}"


def path_or_paths(arguments: list[str]) -> str | list[str]:
    """One path by itself, so that the library's messages speak of it and not of a list."""
    return arguments[0] if len(arguments) == 1 else arguments


def plain_value(text: str) -> Any:
    """JSON where the text is that, else the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return {"True": True, "False": False, "None": None}.get(text, text)
