"""oddlens learns what normal images look like, then says how odd a new one is, where, and why.

Everything below is imported when it is first touched, so that ``import oddlens`` costs next to
nothing and loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oddlens.detector import Detector, load
    from oddlens.detectors.anomem import AnoMem
    from oddlens.detectors.geometric_transforms import GeometricTransforms
    from oddlens.detectors.multicue import MultiCue
    from oddlens.detectors.multitask import MultiTask
    from oddlens.detectors.ssm import SSM
    from oddlens.ensemble import Ensemble
    from oddlens.errors import OddlensError
    from oddlens.evaluation.evaluate import evaluate
    from oddlens.predictions import Prediction, Predictions

__version__ = "0.1.0"

_HOME = {
    "AnoMem": "oddlens.detectors.anomem",
    "GeometricTransforms": "oddlens.detectors.geometric_transforms",
    "MultiCue": "oddlens.detectors.multicue",
    "MultiTask": "oddlens.detectors.multitask",
    "SSM": "oddlens.detectors.ssm",
    "Detector": "oddlens.detector",
    "Ensemble": "oddlens.ensemble",
    "OddlensError": "oddlens.errors",
    "Prediction": "oddlens.predictions",
    "Predictions": "oddlens.predictions",
    "evaluate": "oddlens.evaluation.evaluate",
    "load": "oddlens.detector",
}

__all__ = [
    "SSM",
    "AnoMem",
    "Detector",
    "Ensemble",
    "GeometricTransforms",
    "MultiCue",
    "MultiTask",
    "OddlensError",
    "Prediction",
    "Predictions",
    "__version__",
    "evaluate",
    "load",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'oddlens' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
