"""Fitted detectors as ONNX files: one graph from 8-bit pixels to score, p-value, map and cues.

Writing such a file needs torch; scoring with it needs onnxruntime, and no torch. Nothing of either
is imported before it is asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oddlens.detector import Detector
    from oddlens.export.onnx_detector import OnnxDetector
    from oddlens.export.write import Exported

SUFFIX = ".onnx"
"""By its ending a file is known from an artifact, which is a folder."""


def is_onnx(path: Path) -> bool:
    """Whether a path is that of an exported file; a folder is an artifact, whatever its name."""
    return path.suffix.lower() == SUFFIX and not path.is_dir()


def to_onnx(detector: Detector, path: str | Path) -> Exported:
    """Write a fitted detector as one ONNX file and compare it with the detector.

    Args:
        detector: fitted; stays as it is.
        path: the file, which is replaced when it is there.

    Returns:
        What was written, and how far both were apart.

    Raises:
        UsageError: the detector is not fitted, or the libraries of the extra ``onnx`` are missing.
        OddlensError: graph and detector disagree, or the file cannot be written.
    """
    from oddlens.export.write import to_onnx

    return to_onnx(detector, Path(path))


def load_onnx(path: str | Path) -> OnnxDetector:
    """Load what ``to_onnx`` wrote; imports no torch.

    Raises:
        UsageError: onnxruntime is missing.
        ArtifactError: there is no such file, or it is damaged, foreign, or of a newer version.
    """
    from oddlens.export.onnx_detector import OnnxDetector

    return OnnxDetector.load(Path(path))
