"""From cues to one calibrated score: standardisation, fusion, conformal calibration."""

from __future__ import annotations

from oddlens.scoring.calibration import Calibration, Threshold
from oddlens.scoring.cues import Cues
from oddlens.scoring.fusion import Fusion, fuse
from oddlens.scoring.scored import Scored
from oddlens.scoring.standardise import Standardiser

__all__ = ["Calibration", "Cues", "Fusion", "Scored", "Standardiser", "Threshold", "fuse"]
