"""Run trials: fit, score the test images, measure, record; go on where a run was cut."""

from __future__ import annotations

import multiprocessing
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from oddlens.errors import Interrupted
from oddlens.evaluation.intervals import delong_interval
from oddlens.evaluation.metrics import auroc, average_precision
from oddlens.evaluation.protocols import Trial, one_vs_all
from oddlens.evaluation.provenance import peak_memory_mib, provenance
from oddlens.evaluation.records import TrialRecord, append_record, key_of, read_records
from oddlens.images.named import NamedData, open_named

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class TrialSpec:
    """Everything that a process must know to run one trial of one-vs-all.

    Attributes:
        data: name in the catalogue.
        root: where it lies, or None.
        normal: the class.
        method: of the detector.
        options: of the method.
        seed: of all that is random.
        minutes: budget of fitting, or None.
        epochs: or the length of training, or None.
        test_limit: see ``one_vs_all``.
        device: where to compute.
        jobs: trials that share the machine; each has its share of the cores.
        command: what repeats the run.
    """

    data: str
    root: Path | None
    normal: str
    method: str
    options: dict[str, Any]
    seed: int = 0
    minutes: float | None = None
    epochs: int | None = None
    test_limit: int | None = None
    device: str = "auto"
    jobs: int = 1
    command: str = ""
    protocol: str = "one-vs-all"


def run(
    specs: Sequence[TrialSpec], out: Path, progress: Progress | None = None
) -> Iterator[TrialRecord]:
    """Run the trials that are not recorded yet; yield those that are, then the new ones.

    Args:
        specs: all of the same ``jobs``.
        out: file of records; each new one is on the disk before it is yielded.
        progress: called with (phase, done, total) of the trial under way; with one job alone.

    Raises:
        Interrupted: Ctrl-C; the trials that have ended are in the file.
    """
    known = {record.key: record for record in read_records(out)}
    ended, left = [], []
    for spec in specs:
        record = known.get(key_of(_fields(spec)))
        if record is None:
            left.append(spec)
        else:
            ended.append(record)
    yield from ended
    done = len(ended)
    try:
        for record in _together(left) if left and left[0].jobs > 1 else _one_by_one(left, progress):
            append_record(out, record)
            done += 1
            yield record
    except (Interrupted, KeyboardInterrupt):
        raise Interrupted(
            f"stopped after {done} of {len(specs)} trials; they are kept in {out}, and the same "
            "command goes on from there"
        ) from None


def _fields(spec: TrialSpec) -> dict[str, Any]:
    """The fields of ``KEY``, under the names that a record has."""
    return {**asdict(spec), "normal": spec.normal, "data": _opened(spec.data, spec.root).name}


def _one_by_one(specs: Sequence[TrialSpec], progress: Progress | None) -> Iterator[TrialRecord]:
    for spec in specs:
        yield run_trial(spec, progress)


def _together(specs: Sequence[TrialSpec]) -> Iterator[TrialRecord]:
    """In processes of their own. They are spawned: a fork would share locks of torch's threads."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(specs[0].jobs, mp_context=context) as pool:
        futures = [pool.submit(run_trial, spec) for spec in specs]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@lru_cache(maxsize=1)
def _opened(data: str, root: Path | None) -> NamedData:
    return open_named(data, root)


@lru_cache(maxsize=1)
def _fingerprint(data: str, root: Path | None) -> str:
    return _opened(data, root).fingerprint()


def run_trial(spec: TrialSpec, progress: Progress | None = None) -> TrialRecord:
    """Fit a detector, score the test images, and measure."""
    import torch

    if spec.jobs > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // spec.jobs))
    data = _opened(spec.data, spec.root)
    trial = one_vs_all(data, spec.normal, test_limit=spec.test_limit)
    return TrialRecord(
        protocol=trial.protocol,
        data=data.name,
        data_sha256=_fingerprint(spec.data, spec.root),
        note=data.note,
        normal=trial.normal,
        method=spec.method,
        options=spec.options,
        seed=spec.seed,
        minutes=spec.minutes,
        epochs=spec.epochs,
        test_limit=spec.test_limit,
        jobs=spec.jobs,
        **measure(spec, trial, progress),
        provenance=provenance(spec.command),
    )


def measure(spec: TrialSpec, trial: Trial, progress: Progress | None = None) -> dict[str, Any]:
    """The measured fields of a record."""
    from oddlens.detectors import get_method

    detector = get_method(spec.method)(**spec.options)
    with warnings.catch_warnings():
        # That a benchmark's images are smaller than the working size is known and wanted.
        warnings.filterwarnings("ignore", message=".*are smaller than the model's")
        start = time.monotonic()
        detector.fit(
            trial.train,
            max_minutes=spec.minutes,
            epochs=spec.epochs,
            seed=spec.seed,
            device=spec.device,
            progress=progress,
        )
        fitted = time.monotonic() - start
        start = time.monotonic()
        found = detector.predict(trial.test, maps=False, on_bad="raise", progress=progress)
        scored = time.monotonic() - start
    interval = delong_interval(found.scores, trial.anomalous)
    return {
        "metrics": {
            "auroc": auroc(found.scores, trial.anomalous),
            "auroc_low": interval.low,
            "auroc_high": interval.high,
            "ap": average_precision(found.scores, trial.anomalous),
        },
        "cue_auroc": {name: auroc(cue, trial.anomalous) for name, cue in found.cues.items()},
        "counts": {
            "train": int(detector.fit_report["images"]),
            "test_normal": int((~trial.anomalous).sum()),
            "test_anomalous": int(trial.anomalous.sum()),
        },
        "fit": detector.fit_report,
        "fit_seconds": round(fitted, 2),
        "ms_per_image": 1000 * scored / len(found),
        "peak_memory_mib": peak_memory_mib(),
    }
