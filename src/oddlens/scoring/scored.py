"""Scored images, before they are calibrated: where a detector and its exported form meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oddlens.scoring._arrays import FloatArray


@dataclass(frozen=True)
class Scored:
    """One batch on its way from cues to predictions.

    Attributes:
        scores: ``(N,)`` float64, fused.
        cues: raw values by cue, ``(N,)`` float64 each.
        maps: ``(N, H, W)`` float32, fused, or None where the method does not localize.
    """

    scores: FloatArray
    cues: dict[str, FloatArray]
    maps: npt.NDArray[np.float32] | None
