"""Records of trials: their schema, and the file that they are appended to."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from oddlens.errors import DataError, OddlensError
from oddlens.evaluation.protocols.base import key_of


class TrialMetrics(BaseModel):
    """What a test set said; shares in [0, 1].

    ``image_auroc_low`` and ``_high`` are DeLong's 95 % interval. ``ms_per_image`` is the wall time
    of ``predict``, decoding included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_auroc: float = Field(ge=0, le=1)
    image_auroc_low: float = Field(ge=0, le=1)
    image_auroc_high: float = Field(ge=0, le=1)
    n_train: int = Field(ge=1)
    n_normal: int = Field(ge=1)
    n_anomalous: int = Field(ge=1)
    n_skipped: int = Field(ge=0)
    ms_per_image: float = Field(ge=0)


class Record(BaseModel):
    """One trial, as a line of ``results/<protocol>_<data>.jsonl``.

    Attributes:
        version: of this schema.
        protocol, data, data_sha256, target, setting, method, options, seed, minutes, epochs,
        test_limit: see ``Trial``; ``data`` is as the data set names itself.
        data_note: what must be said beside the number, such as "JPEG copy".
        config: every option of the detector, defaults included.
        metrics: of the fused score.
        more_metrics: what the protocol reports beside AUROC.
        cue_aurocs: AUROC of each cue alone.
        cue_set_aurocs: of subsets of the cues and of other fusions, see ``cue_set_aurocs``.
        by_kind: AUROC against each kind of anomaly (each other class) alone.
        fit_seconds: wall time of ``fit``, reading included.
        steps: of training.
        peak_memory_mib: largest resident memory during the trial.
        peak_gpu_mib: largest allocation on the GPU, or None.
        diagnostics: what the method tells of its training.
        fit: the detector's whole fit report.
        warnings: what was warned of.
        scores: the file of the scores of each image, where they were kept; see ``kept_scores``.
        provenance: commit, command, hardware, threads, jobs, versions, time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    protocol: str
    data: str
    data_note: str = ""
    data_sha256: str
    target: str
    setting: dict[str, Any] = Field(default_factory=dict)
    method: str
    options: dict[str, Any]
    config: dict[str, Any]
    seed: int
    minutes: float | None
    epochs: int | None
    test_limit: int | None
    metrics: TrialMetrics
    more_metrics: dict[str, float] = Field(default_factory=dict)
    cue_aurocs: dict[str, float]
    cue_set_aurocs: dict[str, float] = Field(default_factory=dict)
    by_kind: dict[str, float]
    fit_seconds: float
    steps: int
    peak_memory_mib: int
    peak_gpu_mib: int | None = None
    diagnostics: dict[str, Any]
    fit: dict[str, Any]
    warnings: list[str]
    scores: str = ""
    provenance: dict[str, Any]

    @property
    def key(self) -> str:
        """The key of the trial; see ``Trial.key``."""
        return key_of(self.model_dump(mode="json"))


def file_name(protocol: str, data: str) -> str:
    """What the file of a protocol's records of a data set is called."""
    return re.sub(r"\W+", "_", f"{protocol}_{data}") + ".jsonl"


class RecordFile:
    """A file of records, one JSON object a line, which survives being cut off.

    A line is written by one call and flushed to the disk. A last line that is only half there (the
    machine went down) is dropped by the next append; the trial that it was of is run again. Several
    processes may append to one file.

    Args:
        path: the file; it and its folder are made when the first record is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Record]:
        """All whole records, in order; none where there is no file.

        Raises:
            DataError: a line other than the last is no record, or the file cannot be read.
        """
        if not self.path.exists():
            return []
        try:
            lines = _whole_lines(self.path.read_bytes())
        except OSError as error:
            raise DataError(f"{self.path}: cannot be read ({error.strerror})") from error
        return [self._parse(line, at) for at, line in enumerate(lines, start=1) if line.strip()]

    def append(self, record: Record) -> None:
        """Add one record.

        Raises:
            OddlensError: the file cannot be written; its earlier records are untouched.
        """
        line = json.dumps(record.model_dump(mode="json"), sort_keys=True, allow_nan=False) + "\n"
        try:
            with self._locked() as file:
                content = file.read()
                kept = b"\n".join([*_whole_lines(content), b""])
                if kept != content:
                    _mend(file, len(content), len(kept))
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OddlensError(f"cannot write {self.path}: {error.strerror or error}") from error

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered, so that a line leaves in one call; "a" writes at the end whatever was read.
        with self.path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            yield file  # closing it gives the lock back

    def _parse(self, line: bytes, number: int) -> Record:
        try:
            return Record.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise DataError(
                f"{self.path}: line {number} is no record of a trial "
                f"({' '.join(filter(None, [place, first['msg']]))}); remove or mend it, or use "
                "another --out"
            ) from error


def _whole_lines(content: bytes) -> list[bytes]:
    """The lines of a file without a last one that is cut off; one that only lacks its end stays."""
    *lines, last = content.split(b"\n")
    if last:
        try:
            json.loads(last)
            lines.append(last)
        except ValueError:
            pass
    return lines


def _mend(file: BinaryIO, length: int, whole: int) -> None:
    """Give the last line its end, or take off the half of one."""
    if whole > length:
        file.write(b"\n")
    else:
        file.truncate(whole)
