"""What all verbs share: every error becomes one sentence and an exit code."""

from __future__ import annotations

import errno
import functools
import json
import os
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TextIO

import typer

import oddlens
from oddlens.errors import Interrupted, OddlensError

P = ParamSpec("P")

INTERRUPTED = 130
_PACKAGE = str(Path(oddlens.__file__).parent)


def verb(function: Callable[P, None]) -> Callable[P, None]:
    """Make a function a verb: its errors are told in one sentence on stderr, as JSON with --json.

    With ``ODDLENS_DEBUG=1`` in the environment the traceback is shown as well.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json = bool(kwargs.get("as_json"))
        with warnings.catch_warnings():
            warnings.showwarning = functools.partial(_show_warning, as_json)
            try:
                function(*args, **kwargs)
            except (typer.Exit, typer.Abort, BrokenPipeError):
                raise  # no failures: `oddlens ... | head` is typer's to end quietly
            except (Exception, KeyboardInterrupt) as error:
                raise typer.Exit(report(error, as_json=as_json)) from error

    return run


def report(error: BaseException, *, as_json: bool) -> int:
    """Tell an error on stderr.

    Returns:
        The exit code that it stands for.
    """
    if os.environ.get("ODDLENS_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    code, sentence = _describe(error)
    if as_json:
        facts = {"type": type(error).__name__, "message": sentence, "exit_code": code}
        typer.echo(json.dumps({"error": facts}), err=True)
    else:
        kind = "interrupted" if code == INTERRUPTED else "error"
        typer.echo(f"{kind}: {sentence}", err=True)
    return code


def warn(sentence: str, *, as_json: bool) -> None:
    """Tell a warning on stderr, as one line."""
    typer.echo(json.dumps({"warning": sentence}) if as_json else f"warning: {sentence}", err=True)


def _describe(error: BaseException) -> tuple[int, str]:
    match error:
        case Interrupted():
            return INTERRUPTED, error.message
        case KeyboardInterrupt():
            return INTERRUPTED, "nothing was kept"
        case OddlensError():
            return error.exit_code, str(error)
        case typer.TyperException():
            return error.exit_code, _usage_sentence(error)
        case OSError() if error.errno == errno.ENOSPC:
            where = f"{error.filename}: " if error.filename else ""
            return 1, f"{where}the disk is full; free some space and run the command again"
        case OSError() if error.filename is not None:
            return 1, f"{error.filename}: {(error.strerror or str(error)).lower()}"
        case _:
            return 1, (
                f"{type(error).__name__}: {error}. This is a fault of oddlens: please report it "
                "with what ODDLENS_DEBUG=1 shows"
            )


def _usage_sentence(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    help_ = f" See {context.command_path} --help." if context is not None else ""
    return error.format_message().strip() + help_


def _show_warning(
    as_json: bool,
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Pass on what oddlens warns of; what other libraries tell their developers is left out."""
    if filename.startswith(_PACKAGE) or "ODDLENS_DEBUG" in os.environ:
        warn(str(message), as_json=as_json)
