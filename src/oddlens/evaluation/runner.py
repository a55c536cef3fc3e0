"""Many trials, one after the other or side by side; each is recorded as it ends."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from oddlens.errors import Interrupted, OddlensError, UsageError
from oddlens.evaluation.protocols import Trial
from oddlens.evaluation.records import Record, RecordFile
from oddlens.evaluation.trial import run_trial

_SECONDS_BETWEEN_REPORTS = 0.5


class Watcher(Protocol):
    """Is told how the trials go; by itself it does nothing about it."""

    def skipped(self, trial: Trial, record: Record) -> None:
        """A trial is recorded already."""
        return

    def started(self, trial: Trial) -> None:
        """A trial begins."""
        return

    def progressed(self, trial: Trial, phase: str, done: int, total: int) -> None:
        """A trial goes on."""
        return

    def finished(self, trial: Trial, record: Record) -> None:
        """A trial ended and is recorded."""
        return

    def failed(self, trial: Trial, reason: str) -> None:
        """A trial failed; the others go on."""
        return


class Unwatched(Watcher):
    """Nobody looks."""


@dataclass
class Outcome:
    """What became of the trials.

    Attributes:
        records: of all trials that are done, earlier ones included, in order of the trials.
        skipped: how many of them were of earlier runs.
        failed: trials that failed, and why.
    """

    records: list[Record] = field(default_factory=list)
    skipped: int = 0
    failed: list[tuple[Trial, str]] = field(default_factory=list)


def run_trials(
    trials: Sequence[Trial],
    file: RecordFile,
    *,
    jobs: int = 1,
    command: str = "",
    scores: Path | None = None,
    watcher: Watcher | None = None,
) -> Outcome:
    """Run the trials that are not recorded yet, and append each record as its trial ends.

    Args:
        trials: what to measure, in order.
        file: where records are.
        jobs: trials at a time; above 1, each in a process of its own with its share of the
            threads. Budgets in minutes then buy less, since the trials share the machine; ``jobs``
            is recorded with each.
        command: that was given, for the records.
        scores: a folder to keep the scores of each image in, a file a trial; None to keep none.
        watcher: is told how it goes.

    Returns:
        The outcome. A trial that fails does not stop the others.

    Raises:
        UsageError: ``jobs`` is below 1.
        DataError: the file of records is damaged.
        Interrupted: Ctrl-C; ``partial`` is the outcome so far. Finished trials are recorded.
    """
    if jobs < 1:
        raise UsageError(f"jobs is {jobs}; it must be at least 1")
    watch = watcher or Unwatched()
    outcome = Outcome()
    known = {record.key: record for record in file.read()}
    waiting = []
    for trial in trials:
        if trial.key in known:
            outcome.records.append(known[trial.key])
            outcome.skipped += 1
            watch.skipped(trial, known[trial.key])
        else:
            waiting.append(trial)
    work = _one_by_one if jobs == 1 else _side_by_side
    try:
        with closing(work(waiting, How(command, jobs, scores), watch)) as results:
            for trial, result in results:
                if isinstance(result, Record):
                    file.append(result)
                    outcome.records.append(result)
                    watch.finished(trial, result)
                else:
                    outcome.failed.append((trial, result))
                    watch.failed(trial, result)
    except KeyboardInterrupt:
        count = len(outcome.records)
        raise Interrupted(
            f"stopped with {count:,} of {len(trials):,} trials done, which are kept in "
            f"{file.path}: the same command goes on from there",
            outcome,
        ) from None
    finally:
        places = {trial.key: at for at, trial in enumerate(trials)}
        outcome.records.sort(key=lambda record: places[record.key])
    return outcome


Result = Record | str
"""A trial's record, or why there is none."""


class How(NamedTuple):
    """What is the same for all trials of a run; see ``run_trial``."""

    command: str
    jobs: int
    scores: Path | None


def _one_by_one(
    trials: Sequence[Trial], how: How, watch: Watcher
) -> Generator[tuple[Trial, Result], None, None]:
    for trial in trials:
        watch.started(trial)

        def tell(phase: str, done: int, total: int, trial: Trial = trial) -> None:
            watch.progressed(trial, phase, done, total)

        try:
            result: Result = run_trial(trial, **how._asdict(), progress=tell)
        except OddlensError as error:
            result = str(error)
        except Exception as error:  # noqa: BLE001  # such as memory: it must not take the other trials along
            result = f"{type(error).__name__}: {error}"
        yield trial, result


class _Running(NamedTuple):
    trial: Trial
    process: SpawnProcess


def _side_by_side(
    trials: Sequence[Trial], how: How, watch: Watcher
) -> Generator[tuple[Trial, Result], None, None]:
    """A process for each trial, so that none inherits another's memory or threads."""
    threads = max(1, torch.get_num_threads() // how.jobs)
    waiting = deque(trials)
    running: dict[Connection, _Running] = {}
    try:
        while waiting or running:
            while waiting and len(running) < how.jobs:
                trial = waiting.popleft()
                ear, process = _start(trial, how, threads)
                running[ear] = _Running(trial, process)
                watch.started(trial)
            for ready in wait(list(running)):
                ear = next(each for each in running if each is ready)
                trial, process = running[ear]
                result = _hear(ear, trial, watch)
                if result is not None:
                    process.join()
                    ear.close()
                    del running[ear]
                    lost = f"its process ended with exit code {process.exitcode}"
                    yield trial, result or lost
    finally:
        for each in running.values():
            each.process.terminate()
        for each in running.values():
            each.process.join()


def _start(trial: Trial, how: How, threads: int) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    ear, mouth = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(mouth, trial, how, threads), daemon=True)
    with _ctrl_c_is_ours():
        process.start()
    mouth.close()  # ours; the process has its own, and its end is then the end of the pipe
    return ear, process


@contextmanager
def _ctrl_c_is_ours() -> Iterator[None]:
    """Ctrl-C goes to all processes of a terminal: those that start here never see it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _hear(ear: Connection, trial: Trial, watch: Watcher) -> Result | None:
    """Take one message; None while the trial goes on, "" where it ended without a word."""
    try:
        kind, content = ear.recv()
    except EOFError:
        return ""
    if kind == "progress":
        watch.progressed(trial, *content)
        return None
    return Record.model_validate(content) if kind == "record" else str(content)


def _work(mouth: Connection, trial: Trial, how: How, threads: int) -> None:
    """What a process does."""
    torch.set_num_threads(threads)
    try:
        record = run_trial(trial, **how._asdict(), progress=_throttled(mouth.send))
    except OddlensError as error:
        mouth.send(("failed", str(error)))
    else:
        mouth.send(("record", record.model_dump(mode="json")))
    mouth.close()


def _throttled(send: Callable[[Any], None]) -> Callable[[str, int, int], None]:
    """Progress that is sent twice a second at most: nobody reads faster."""
    last = 0.0

    def tell(phase: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_REPORTS:
            last = time.monotonic()
            send(("progress", (phase, done, total)))

    return tell
