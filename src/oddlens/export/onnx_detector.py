"""An exported detector, run by onnxruntime. This module and what it imports know no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from oddlens.errors import ArtifactError, UsageError
from oddlens.export.metadata import UNSIGNED, OnnxMetadata
from oddlens.images import ImagesLike, ImageSource, SizeWatch, Skipped, stream_pixels
from oddlens.images.stream import OnBad
from oddlens.predicting import predict
from oddlens.predictions import Predictions
from oddlens.scoring import Calibration, Scored

MISSING = "ONNX files need libraries that are not installed: pip install 'oddlens[onnx]'"
_BATCH = 16


class OnnxDetector:
    """Scores images as the detector does that it was exported from, up to rounding.

    It runs on the CPU. Files are decoded, checked and resized by the very code that a detector
    uses.

    Attributes:
        metadata: what the file says of itself.
        path: the file.
    """

    def __init__(self, session: Any, metadata: OnnxMetadata, path: Path) -> None:
        self._session = session
        self.metadata = metadata
        self.path = path

    @classmethod
    def load(cls, path: Path) -> OnnxDetector:
        """See ``oddlens.export.load_onnx``."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise ArtifactError(f"{path}: there is no such file") from None
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ArtifactError(f"{path}: cannot be read ({reason})") from error
        session = open_session(content, str(path))
        metadata = OnnxMetadata.from_props(session.get_modelmeta().custom_metadata_map, str(path))
        if signature(content, metadata.sha256) != metadata.sha256:
            raise ArtifactError(
                f"{path}: is not what was exported (its SHA-256 differs): copy the file again, or "
                "export the detector again"
            )
        return cls(session, metadata, path)

    @property
    def method(self) -> str:
        """The method's name, such as ``"ssm"``."""
        return self.metadata.method

    @property
    def calibration(self) -> Calibration:
        """What p-values and thresholds rest on."""
        return self.metadata.calibration

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the detector comes from, and what was made of it: part of what is measured."""
        from onnxruntime import __version__

        exported = {"oddlens": self.metadata.version, "onnxruntime": __version__}
        if self.metadata.quantisation:
            exported["quantisation"] = self.metadata.quantisation
        return {**self.metadata.provenance, "exported": exported}

    def predict(
        self,
        images: ImagesLike,
        *,
        false_alarm_rate: float = 0.01,
        maps: bool = True,
        on_bad: OnBad = "skip",
        batch_size: int | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> Predictions:
        """Score images and decide at a false-alarm rate; see ``Detector.predict``."""
        return predict(
            self,
            self.calibration,
            images,
            false_alarm_rate=false_alarm_rate,
            maps=maps,
            on_bad=on_bad,
            batch_size=batch_size,
            progress=progress,
        )

    def scored_stream(
        self,
        source: ImageSource,
        *,
        maps: bool,
        on_bad: OnBad,
        skipped: list[Skipped],
        batch_size: int | None = None,
    ) -> Generator[tuple[tuple[str, ...], Scored], None, None]:
        """See ``Detector.scored_stream``."""
        sizes = self.metadata.image_sizes
        watched = SizeWatch(source, max(sizes))
        step = _BATCH if batch_size is None else batch_size
        batches = stream_pixels(watched, sizes, step, on_bad=on_bad, skipped=skipped)
        with closing(batches):
            for batch in batches:
                yield batch.names, self.scored_pixels(batch.views, maps=maps)
        watched.warn()

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """See ``Detector.image_sizes``."""
        return self.metadata.image_sizes

    def scored_pixels(
        self, views: dict[int, npt.NDArray[np.uint8]], *, maps: bool = True
    ) -> Scored:
        """See ``Detector.scored_pixels``."""
        found = self.run(views)
        cues = dict(zip(self.metadata.cues, found["cues"].T, strict=True))
        return Scored(found["score"], cues, found.get("map") if maps else None)

    def standings(
        self, cues: Mapping[str, npt.NDArray[np.float64]]
    ) -> dict[str, npt.NDArray[np.float64]]:
        """See ``Detector.standings``; empty for files of versions that wrote no scales."""
        scales = self.metadata.scales
        return {name: (cues[name] - mean) / std for name, (mean, std) in scales.items()}

    def run(self, views: dict[int, npt.NDArray[np.uint8]]) -> dict[str, npt.NDArray[Any]]:
        """What the graph says of N images: its outputs by name.

        Args:
            views: by size S, uint8 ``(N, S, S, 3)``, N >= 1.
        """
        data = self.metadata
        given = dict(zip(data.inputs, (views[size] for size in data.image_sizes), strict=True))
        answers = self._session.run(list(data.outputs), given)
        return dict(zip(data.outputs, answers, strict=True))


def open_session(content: bytes, name: str) -> Any:
    """An onnxruntime session on the CPU.

    Raises:
        UsageError: onnxruntime is missing.
        ArtifactError: the bytes are no ONNX model, or one that cannot be run.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(MISSING) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it has to say comes as an error as well
    try:
        return onnxruntime.InferenceSession(
            content, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # of its own kinds, which it does not publish
        reason = " ".join(str(error).split())[:200]
        raise ArtifactError(
            f"{name}: is no ONNX model that onnxruntime can run ({reason}); export the detector "
            "again"
        ) from error


def signature(content: bytes, written: str) -> str:
    """SHA-256 of a file's content with zeros in the place where its own SHA-256 is ``written``."""
    return hashlib.sha256(content.replace(written.encode(), UNSIGNED.encode())).hexdigest()
