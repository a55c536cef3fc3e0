"""Protocols: published ways to evaluate. One short file each, listed in ``PROTOCOLS``."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from oddlens.errors import UsageError
from oddlens.evaluation.protocols.base import Protocol, Tested, TestSet, Trial, TrialImages

__all__ = ["PROTOCOLS", "Protocol", "TestSet", "Tested", "Trial", "TrialImages", "get_protocol"]

PROTOCOLS = {
    "one-vs-all": "oddlens.evaluation.protocols.one_vs_all:OneVsAll",
    "few-anomalies": "oddlens.evaluation.protocols.few_anomalies:FewAnomalies",
    "style": "oddlens.evaluation.protocols.style:Style",
    "out-of-distribution": "oddlens.evaluation.protocols.out_of_distribution:OutOfDistribution",
    "localization": "oddlens.evaluation.protocols.localization:Localization",
    "presentation-attack": "oddlens.evaluation.protocols.presentation_attack:PresentationAttack",
}
"""Name to ``module:class``."""


def get_protocol(
    name: str,
    setting: Mapping[str, Any] | None = None,
    places: Mapping[str, Path] | None = None,
) -> Protocol:
    """The protocol of a name.

    Args:
        name: in ``PROTOCOLS``.
        setting: of a trial, see the protocol; None for its defaults.
        places: of a trial, likewise.

    Raises:
        UsageError: there is none, or the setting is out of range.
    """
    if name not in PROTOCOLS:
        close = get_close_matches(name, PROTOCOLS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(PROTOCOLS)}"
        raise UsageError(f"there is no protocol {name!r}: {hint}")
    module, _, attribute = PROTOCOLS[name].partition(":")
    found: Protocol = getattr(import_module(module), attribute)(**(setting or {}), **(places or {}))
    return found
