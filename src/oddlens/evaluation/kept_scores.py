"""The scores of trials on disk, for tests that need them image by image."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oddlens.errors import DataError
from oddlens.evaluation.metrics import auroc
from oddlens.evaluation.records import Record
from oddlens.files import write_bytes


@dataclass(frozen=True, eq=False)
class KeptScores:
    """What a detector said of a test set.

    Attributes:
        scores: (N,) float64, higher = more anomalous.
        labels: (N,) bool, true = anomalous.
        places: (N,) int64, which images of the test set those are: the others could not be read.
    """

    scores: NDArray[np.float64]
    labels: NDArray[np.bool_]
    places: NDArray[np.int64]


_DAMAGE = (
    *(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error),
    RuntimeError,  # such as a flipped bit that says "encrypted", or an unknown compression
)
"""What reading a damaged file raises."""


def scores_file(key: str) -> str:
    """The name of the file of a trial, from its key."""
    return f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"


def keep_scores(folder: Path, key: str, kept: KeptScores) -> str:
    """Write one compressed file.

    Args:
        folder: which is made where it is missing.
        key: of the trial.
        kept: what to write.

    Returns:
        The file's name, for the record.

    Raises:
        OddlensError: it cannot be written.
    """
    content = io.BytesIO()
    np.savez_compressed(content, scores=kept.scores, labels=kept.labels, places=kept.places)
    name = scores_file(key)
    write_bytes(folder / name, content.getvalue())
    return name


def read_scores(folder: Path, record: Record) -> KeptScores | None:
    """The scores of a record; None where none were kept, or they are not in the folder.

    Raises:
        DataError: the file is damaged, or of another run than the record.
    """
    path = folder / record.scores
    if not record.scores or not path.is_file():
        return None
    try:
        kept = _read(path)
    except _DAMAGE as error:
        raise DataError(
            f"{path}: cannot be read as the scores of a trial; remove it and its record, and run "
            "the trial again"
        ) from error
    if not _fits(kept, record):
        raise DataError(
            f"{path}: is of another trial than its record, or of another run of it; remove both "
            "and run it again"
        )
    return kept


def _fits(kept: KeptScores, record: Record) -> bool:
    """Whether a record is of those scores: a later run of the same trial has the same file name."""
    counts = (int((~kept.labels).sum()), int(kept.labels.sum()))
    if counts != (record.metrics.n_normal, record.metrics.n_anomalous):
        return False
    return abs(auroc(kept.scores, kept.labels) - record.metrics.image_auroc) < 1e-9


def _read(path: Path) -> KeptScores:
    """As ``keep_scores`` wrote it; ValueError where it is something else."""
    with np.load(path, allow_pickle=False) as found:
        kept = KeptScores(found["scores"], found["labels"], found["places"])
    kinds = [each.dtype.name for each in (kept.scores, kept.labels, kept.places)]
    if kinds != ["float64", "bool", "int64"]:
        raise ValueError(f"arrays of {kinds}")
    if kept.scores.ndim != 1 or not kept.scores.shape == kept.labels.shape == kept.places.shape:
        raise ValueError("arrays of different lengths")
    return kept
