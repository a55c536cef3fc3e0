"""Unfitted detectors from plain values: a method with its options, or several as an ensemble.

Such values can be written into a record and sent to another process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oddlens.detector import Detector
from oddlens.detectors import get_method
from oddlens.ensemble.ensemble import Ensemble, names_of

ENSEMBLE = "ensemble"
"""The name of an ensemble's own options, beside those of its members."""


def members_of(method: str) -> dict[str, type[Detector]]:
    """The classes behind ``ssm,anomem`` by the names of the members; of ``ssm`` just its own.

    Raises:
        UsageError: there is no such method.
    """
    methods = [each.strip().lower() for each in method.split(",")]
    return {name: get_method(each) for name, each in zip(names_of(methods), methods, strict=True)}


def make(method: str, options: Mapping[str, Any]) -> Detector:
    """Make an unfitted detector.

    Args:
        method: its name, or several with commas between: an ensemble of them.
        options: of the method; of an ensemble, by the name of a member its options, and under
            ``ensemble`` those of the ensemble itself.

    Raises:
        UsageError: there is no such method or option, or a value is out of range.
    """
    members = members_of(method)
    if len(members) == 1:
        (kind,) = members.values()
        return kind(**options)
    made = [kind(**options.get(name, {})) for name, kind in members.items()]
    return Ensemble(made, **options.get(ENSEMBLE, {}))


def config_of(detector: Detector) -> dict[str, Any]:
    """Every option, defaults included, as JSON knows them; in the form that ``make`` takes."""
    own = detector.config.model_dump(mode="json")
    if not isinstance(detector, Ensemble):
        return own
    members = detector.named_members.items()
    return {
        **{name: each.config.model_dump(mode="json") for name, each in members},
        ENSEMBLE: {"fusion": own["fusion"]},
    }
