"""The live table of ``oddlens benchmark``: on a terminal a table, elsewhere a line a trial."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    from oddlens.evaluation.protocols import Trial
    from oddlens.evaluation.records import Record

MOST_ROWS = 20
"""Of the live table: a terminal shows little more."""


class TrialTable:
    """Watches trials; see ``oddlens.evaluation.runner.Watcher``.

    Args:
        trials: all that there will be.
        silent: show nothing.
        console: to draw on; None for stderr.
    """

    def __init__(
        self, trials: Sequence[Trial], *, silent: bool = False, console: Console | None = None
    ) -> None:
        self.were_there: list[Record] = []
        self._trials = trials
        self._silent = silent
        self._console = console
        self._live: Live | None = None
        self._began: dict[str, float] = {}
        self._phases: dict[str, str] = {}
        self._records: dict[str, Record] = {}

    def __enter__(self) -> Self:
        if self._silent or not (self._console or sys.stderr.isatty()):
            return self
        from rich.console import Console
        from rich.live import Live

        console = self._console or Console(file=sys.stderr)
        self._live = Live(
            console=console, get_renderable=self.drawn, refresh_per_second=2, transient=True
        )
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def skipped(self, trial: Trial, record: Record) -> None:
        """A trial is recorded already."""
        self.were_there.append(record)
        self._records[trial.key] = record
        self._say(f"{title(trial)}: recorded earlier, AUROC {_auroc(record)}")

    def started(self, trial: Trial) -> None:
        """A trial begins."""
        self._began[trial.key] = time.monotonic()
        self._phases[trial.key] = "begins"

    def progressed(self, trial: Trial, phase: str, done: int, total: int) -> None:
        """A trial goes on."""
        share = f" {done / total:.0%}" if total > 0 else ""
        self._phases[trial.key] = f"{phase}{share}"

    def finished(self, trial: Trial, record: Record) -> None:
        """A trial ended and is recorded."""
        self._records[trial.key] = record
        count = f"{len(self._records):,} of {len(self._trials):,}"
        minutes = record.fit_seconds / 60
        self._say(f"{title(trial)}: AUROC {_auroc(record)}, {minutes:.1f} minutes ({count})")

    def failed(self, trial: Trial, reason: str) -> None:
        """A trial failed; the reason is told at the end, by a warning."""
        self._phases[trial.key] = "failed"

    def drawn(self) -> Table:
        """The table as it stands."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, show_footer=True)
        foot, mean = self._foot()
        total = f"{len(self._records):,} of {len(self._trials):,}"
        footers = (foot, total, mean, "", "")
        headers = ("class", "seed", "AUROC, %", "95 % interval", "minutes")
        for header, footer in zip(headers, footers, strict=True):
            table.add_column(header, footer)
        for trial in self._shown():
            cells = (_what(trial), str(trial.seed), *self._state(trial))
            table.add_row(*map(Text, cells))
        return table

    def _foot(self) -> tuple[str, str]:
        """What the mean is of, and the mean over classes with its deviation over seeds."""
        from oddlens.evaluation.summary import percent, summarise

        summaries = summarise(self._records.values())
        if not summaries:
            return "", ""
        last = summaries[-1]
        of = f"mean of {len(last.classes):,}"
        return of, percent(last.mean if last.mean is not None else last.mean_of_means)

    def _shown(self) -> Sequence[Trial]:
        """All trials, or where they would not fit on a screen the latest that began."""
        if len(self._trials) <= MOST_ROWS:
            return self._trials
        going = [trial for trial in self._trials if trial.key in self._began]
        return sorted(going, key=lambda trial: self._began[trial.key])[-MOST_ROWS:]

    def _state(self, trial: Trial) -> tuple[str, str, str]:
        record = self._records.get(trial.key)
        if record is not None:
            metrics = record.metrics
            low, high = 100 * metrics.image_auroc_low, 100 * metrics.image_auroc_high
            interval = f"{low:.1f} to {high:.1f}"
            return f"{100 * metrics.image_auroc:.1f}", interval, f"{record.fit_seconds / 60:.1f}"
        if trial.key not in self._phases:
            return "", "", ""
        minutes = (time.monotonic() - self._began[trial.key]) / 60
        return "", self._phases[trial.key], f"{minutes:.1f}"

    def _say(self, sentence: str) -> None:
        if self._live is None and not self._silent:
            typer.echo(sentence, err=True)


def title(trial: Trial) -> str:
    """A trial in a line of text."""
    return f"{_what(trial)}, seed {trial.seed}"


def _what(trial: Trial) -> str:
    from oddlens.evaluation.summary import told

    return ", ".join(filter(None, (trial.target, told(trial.setting))))


def _auroc(record: Record) -> str:
    metrics = record.metrics
    low, high = 100 * metrics.image_auroc_low, 100 * metrics.image_auroc_high
    return f"{100 * metrics.image_auroc:.1f} ({low:.1f} to {high:.1f})"
