"""The methods, one file each. Nothing heavy is imported until a method is asked for."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from oddlens.errors import UsageError

if TYPE_CHECKING:
    from oddlens.detector import Detector

METHODS = {
    "ssm": "oddlens.detectors.ssm:SSM",
    "multitask": "oddlens.detectors.multitask:MultiTask",
    "geometric": "oddlens.detectors.geometric_transforms:GeometricTransforms",
    "multicue": "oddlens.detectors.multicue:MultiCue",
    "anomem": "oddlens.detectors.anomem:AnoMem",
}
"""Method name to ``module:class``."""

_COMBINED = {"ensemble": "oddlens.ensemble:Ensemble"}
"""What is no method by itself but can be saved: it is made from detectors."""


def get_method(name: str) -> type[Detector]:
    """The class of a method.

    Raises:
        UsageError: there is no such method.
    """
    key = name.lower()
    if key not in METHODS:
        close = get_close_matches(key, METHODS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(METHODS))}"
        raise UsageError(f"there is no method {name!r}: {hint}")
    return _imported(METHODS[key])


def get_class(name: str) -> type[Detector]:
    """The class of what an artifact holds: a method, or an ensemble of some.

    Raises:
        UsageError: there is no such method.
    """
    return _imported(_COMBINED[name]) if name in _COMBINED else get_method(name)


def _imported(place: str) -> type[Detector]:
    module, _, attribute = place.partition(":")
    found: type[Detector] = getattr(import_module(module), attribute)
    return found
