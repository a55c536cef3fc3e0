"""Results on stdout, everything else on stderr; for people or, with --json, for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import typer

from oddlens.cli.progress import Callback, bars, lines, silence
from oddlens.cli.runner import warn
from oddlens.jsonable import plain


class Screen:
    """Where a verb writes.

    Args:
        as_json: results are one JSON object on stdout; stderr holds one JSON object a line.
        quiet: no progress and no notes.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet

    def progress(self) -> AbstractContextManager[Callback]:
        """Bars on a terminal, a line now and then elsewhere, nothing for machines."""
        if self.as_json or self.quiet:
            return silence()
        return bars() if sys.stderr.isatty() else lines()

    def note(self, sentence: str) -> None:
        """Say on stderr what a person wants to know and a machine does not."""
        if not (self.as_json or self.quiet):
            typer.echo(sentence, err=True)

    def warn(self, sentence: str) -> None:
        """Say on stderr what nobody should miss."""
        warn(sentence, as_json=self.as_json)

    def result(
        self,
        data: Mapping[str, Any],
        rows: Iterable[Sequence[str]],
        *,
        headers: Sequence[str] = (),
    ) -> None:
        """Print the outcome of a verb on stdout.

        Args:
            data: all of it, for ``--json``.
            rows: what a person reads, as the rows of a table.
            headers: of the table's columns; every row has as many cells.
        """
        if self.as_json:
            typer.echo(json.dumps(plain(data), indent=2, allow_nan=False))
        else:
            print_table(rows, headers)


def print_table(rows: Iterable[Sequence[str]], headers: Sequence[str] = ()) -> None:
    """Print rows on stdout: fitted to a terminal, or as aligned columns that cut no cell."""
    cells = [list(row) for row in rows]
    if not cells:
        return
    if sys.stdout.isatty():
        _print_on_terminal(cells, headers)
        return
    if headers:
        cells.insert(0, list(headers))
    # The last column is not padded, so that one long cell does not stretch every line.
    widths = [
        max(len(row[at]) for row in cells if at < len(row)) for at in range(len(cells[0]) - 1)
    ]
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*padded, *row[len(widths) :]]).rstrip())


def _print_on_terminal(cells: Sequence[Sequence[str]], headers: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD if headers else None, show_header=bool(headers))
    for at in range(len(cells[0])):
        header = headers[at] if headers else ""
        table.add_column(header, overflow="fold", style="bold" if at == 0 else None)
    for row in cells:
        table.add_row(*map(Text, row))
    Console().print(table)


def number(value: float) -> str:
    """A number for people: thousands apart, no more digits than one reads."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"


def summary(facts: Mapping[str, object]) -> list[list[str]]:
    """Facts as the rows of a table for people; what is None is left out."""
    return [
        [key.replace("_", " "), number(value) if isinstance(value, int | float) else str(value)]
        for key, value in facts.items()
        if value is not None
    ]
