"""Records of trials: one JSON line each, appended as a trial ends."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from oddlens.errors import DataError

KEY = ("protocol", "data", "normal", "method", "options", "seed", "minutes", "epochs", "test_limit")
"""What tells one trial from another."""


class TrialRecord(BaseModel):
    """One fit and one test of a protocol.

    Attributes:
        protocol: such as ``one-vs-all``.
        data: name of the data set.
        data_sha256: its fingerprint.
        note: what must stand beside every number, such as "JPEG copy".
        normal: the class that was learned.
        method: of the detector.
        options: that were set, everything else at its default.
        seed: of all that is random.
        minutes: budget of fitting, or None.
        epochs: length of training, or None.
        test_limit: test images of each class, where fewer than all were scored, or None.
        metrics: ``auroc`` with ``auroc_low`` and ``auroc_high`` (95 %, DeLong), ``ap``.
        cue_auroc: of every cue by itself.
        counts: images: ``train``, ``test_normal``, ``test_anomalous``.
        fit: the detector's own report.
        fit_seconds: wall time.
        ms_per_image: wall time of scoring, decoding included.
        peak_memory_mib: of the process.
        jobs: trials that shared the machine.
        provenance: see ``provenance``.
    """

    model_config = ConfigDict(extra="forbid")

    protocol: str
    data: str
    data_sha256: str
    note: str = ""
    normal: str
    method: str
    options: dict[str, Any]
    seed: int = Field(ge=0)
    minutes: FiniteFloat | None = None
    epochs: int | None = None
    test_limit: int | None = None
    metrics: dict[str, FiniteFloat]
    cue_auroc: dict[str, FiniteFloat]
    counts: dict[str, int]
    fit: dict[str, Any]
    fit_seconds: FiniteFloat
    ms_per_image: FiniteFloat
    peak_memory_mib: int
    jobs: int = Field(1, ge=1)
    provenance: dict[str, Any]

    @property
    def key(self) -> str:
        """The fields of ``KEY``, comparable."""
        return key_of(self.model_dump(mode="json"))


def key_of(fields: Mapping[str, Any]) -> str:
    """What tells one trial from another, as a string."""
    return json.dumps([fields.get(name) for name in KEY], sort_keys=True)


def read_records(path: Path) -> list[TrialRecord]:
    """The records of a file, none where there is no file.

    A last line that was cut off is left out, with a ``UserWarning``.

    Raises:
        DataError: another line is no record.
    """
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    cut = lines.pop()
    if cut:
        warnings.warn(
            f"{path}: the last line was cut off; its trial is run again", UserWarning, stacklevel=2
        )
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(TrialRecord.model_validate_json(line))
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            raise DataError(
                f"{path}, line {number}: is no record of a trial ({where} {problem['msg']}); "
                "remove the line, or write to another --out"
            ) from error
    return found


def append_record(path: Path, record: TrialRecord) -> None:
    """Add one line, and see it on the disk; a line that was cut off before is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0)
        whole = file.read().rpartition(b"\n")[0]
        file.truncate(len(whole) + 1 if whole else 0)
        line = json.dumps(record.model_dump(mode="json"), sort_keys=True)
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def mean_and_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean, and sample standard deviation of two values or more."""
    return fmean(values), stdev(values) if len(values) > 1 else None


def by_class(records: Iterable[TrialRecord]) -> dict[str, list[float]]:
    """AUROCs over the seeds, by the class that was normal, in the order of appearance."""
    found: dict[str, list[float]] = {}
    for record in records:
        found.setdefault(record.normal, []).append(record.metrics["auroc"])
    return found


def class_mean(records: Iterable[TrialRecord]) -> float | None:
    """The mean over classes of the mean over seeds: what papers print."""
    each = [fmean(values) for values in by_class(records).values()]
    return fmean(each) if each else None
