"""Several fitted detectors as one."""

from __future__ import annotations

from oddlens.ensemble.ensemble import Ensemble

__all__ = ["Ensemble"]
