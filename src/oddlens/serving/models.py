"""The models that are served: loading them, and knowing each to the byte."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from oddlens.errors import ArtifactError, UsageError
from oddlens.export import is_onnx, load_onnx
from oddlens.predicting import PixelScorer
from oddlens.scoring import Calibration

if TYPE_CHECKING:
    from oddlens.detector import Detector

_CONFIG = "config.json"
_TRIES = 3


@dataclass(frozen=True, eq=False)
class Model:
    """A model in memory.

    Attributes:
        name: the file's name without its ending.
        path: of the .onnx file or the artifact.
        kind: which of both it is.
        scorer: what scores.
        calibration: what p-values and thresholds rest on.
        version: of the oddlens that made it.
        sha256: of the file, or of the artifact's ``config.json``.
        cues: their names.
        localizes: whether there are maps.
        map_pixels: of the map of one image; 0 where there are no maps.
        loaded_at: UTC.
    """

    name: str
    path: Path
    kind: Literal["onnx", "artifact"]
    scorer: PixelScorer
    calibration: Calibration
    version: str
    sha256: str
    cues: tuple[str, ...]
    localizes: bool
    map_pixels: int
    loaded_at: datetime


def name_of(path: Path) -> str:
    """What a model is called: ``bottle`` of ``models/bottle.onnx``."""
    return path.resolve().stem if path.name in ("", ".", "..") else path.stem


def load_model(path: Path) -> Model:
    """Load a model and score one image with it, so that the first caller does not wait.

    Raises:
        ArtifactError: it is missing, damaged, or changes all the time.
        UsageError: the libraries that it needs are missing.
    """
    for _ in range(_TRIES):
        before = fingerprint(path)
        model = _load(path, before)
        # The file may have been replaced between both readings: then it is another model.
        if fingerprint(path) == before:
            return model
    raise ArtifactError(f"{path}: changes while it is loaded; try again when it is written")


def fingerprint(path: Path) -> str:
    """SHA-256 of a model, see ``Model.sha256``.

    Raises:
        ArtifactError: there is no model.
    """
    file = path if is_onnx(path) else path / _CONFIG
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ArtifactError(
            f"{path}: cannot be read as a model ({reason}); give what `oddlens fit` or "
            "`oddlens export` wrote"
        ) from error


def _load(path: Path, sha256: str) -> Model:
    return _load_onnx(path, sha256) if is_onnx(path) else _load_artifact(path, sha256)


def _load_onnx(path: Path, sha256: str) -> Model:
    scorer = load_onnx(path)
    data = scorer.metadata
    return Model(
        name_of(path),
        path,
        "onnx",
        scorer,
        data.calibration,
        data.version,
        sha256,
        data.cues,
        data.localizes,
        _try(scorer).map_pixels,
        datetime.now(UTC),
    )


def _load_artifact(path: Path, sha256: str) -> Model:
    detector = _loaded_by_torch(path)
    if detector.calibration is None:
        raise ArtifactError(f"{path}: is not calibrated; fit it again")
    tried = _try(detector)
    return Model(
        name_of(path),
        path,
        "artifact",
        detector,
        detector.calibration,
        str(detector.provenance.get("oddlens", "unknown")),
        sha256,
        tried.cues,
        detector.calibration.map_peaks is not None,
        tried.map_pixels,
        datetime.now(UTC),
    )


def _loaded_by_torch(path: Path) -> Detector:
    try:
        from oddlens.detector import load
    except ImportError as error:
        raise UsageError(
            f"{path}: needs torch, which is not installed: export it with `oddlens export` where "
            "it is, and serve the .onnx file"
        ) from error
    return load(path)


@dataclass(frozen=True)
class _Tried:
    cues: tuple[str, ...]
    map_pixels: int


def _try(scorer: PixelScorer) -> _Tried:
    """Score a grey image, and look at what came out."""
    views = {size: np.full((1, size, size, 3), 128, np.uint8) for size in scorer.image_sizes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = scorer.scored_pixels(views)
    return _Tried(tuple(found.cues), 0 if found.maps is None else found.maps[0].size)
