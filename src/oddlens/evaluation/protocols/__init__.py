"""Protocols: published ways to evaluate. One short file each, listed in ``PROTOCOLS``."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from oddlens.errors import UsageError
from oddlens.evaluation.protocols.base import Protocol, TestSet, Trial, TrialImages

__all__ = ["PROTOCOLS", "Protocol", "TestSet", "Trial", "TrialImages", "get_protocol"]

PROTOCOLS = {
    "one-vs-all": "oddlens.evaluation.protocols.one_vs_all:OneVsAll",
    "few-anomalies": "oddlens.evaluation.protocols.few_anomalies:FewAnomalies",
}
"""Name to ``module:class``."""


def get_protocol(name: str, setting: Mapping[str, Any] | None = None) -> Protocol:
    """The protocol of a name.

    Args:
        name: in ``PROTOCOLS``.
        setting: of a trial, see the protocol; None for its defaults.

    Raises:
        UsageError: there is none, or the setting is out of range.
    """
    if name not in PROTOCOLS:
        close = get_close_matches(name, PROTOCOLS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(PROTOCOLS)}"
        raise UsageError(f"there is no protocol {name!r}: {hint}")
    module, _, attribute = PROTOCOLS[name].partition(":")
    found: Protocol = getattr(import_module(module), attribute)(**(setting or {}))
    return found
