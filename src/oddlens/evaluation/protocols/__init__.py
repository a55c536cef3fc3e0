"""Published ways to evaluate. A protocol yields trials; the runner does the rest."""

from __future__ import annotations

from oddlens.evaluation.protocols.one_vs_all import one_vs_all
from oddlens.evaluation.protocols.trial import Trial

__all__ = ["Trial", "one_vs_all"]
