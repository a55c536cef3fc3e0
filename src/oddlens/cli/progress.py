"""Progress of long work on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

Callback = Callable[[str, int, int], None]
"""Called with (phase, done, total); a total of 0 is an unknown one."""

SECONDS_BETWEEN_LINES = 15.0


@contextmanager
def silence() -> Iterator[Callback]:
    """No progress at all."""
    yield lambda phase, done, total: None


@contextmanager
def lines(clock: Callable[[], float] = time.monotonic) -> Iterator[Callback]:
    """A plain line now and then and one at the end of each phase: for logs and pipes."""
    last = clock()
    finished: set[str] = set()

    def callback(phase: str, done: int, total: int) -> None:
        nonlocal last
        ends = total > 0 and done >= total
        if ends and phase in finished:
            return
        if not ends:
            finished.discard(phase)
            if clock() - last < SECONDS_BETWEEN_LINES:
                return
        else:
            finished.add(phase)
        last = clock()
        of = f" of {total:,} ({done / total:.0%})" if total > 0 else ""
        typer.echo(f"{phase}: {done:,}{of}", err=True)

    yield callback


@contextmanager
def bars(console: Console | None = None) -> Iterator[Callback]:
    """One bar per phase, with the time that is left: for terminals."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left", style="dim"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console or Console(file=sys.stderr)) as progress:

        def callback(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = progress.add_task(phase, total=None)
            progress.update(tasks[phase], completed=done, total=total or None)

        yield callback
