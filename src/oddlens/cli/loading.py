"""A model to score with, by its path: a fitted detector, or what was exported of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from oddlens.errors import UsageError

if TYPE_CHECKING:
    from oddlens.detector import Detector
    from oddlens.export.onnx_detector import OnnxDetector


def load_scorer(model: Path) -> Detector | OnnxDetector:
    """Load whatever MODEL is; an exported file without torch, which may not be there.

    Raises:
        ArtifactError: it is missing, damaged, or neither.
        UsageError: the library that it needs is missing.
    """
    from oddlens.export import is_onnx, load_onnx

    if is_onnx(model):
        return load_onnx(model)
    try:
        from oddlens.detector import load
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UsageError(
            f"{model}: needs torch, which is not installed: export it with `oddlens export` where "
            "it is, and give the .onnx file"
        ) from error
    return load(model)
