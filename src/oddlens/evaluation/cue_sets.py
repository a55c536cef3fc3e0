"""Which cues, and how fused? Every subset of a detector's cues, measured from one fit.

A cheap ablation: the network has learned all tasks, and only the score leaves some out. Where tasks
share an encoder, a network that had learned those tasks alone might do otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

from numpy.typing import NDArray

from oddlens.ensemble import Ensemble
from oddlens.evaluation.metrics import auroc
from oddlens.scoring import Fusion, fuse

if TYPE_CHECKING:
    import numpy as np

    from oddlens.detector import Detector

_MOST_CUES = 5
"""Of more, all subsets would be too many to tell anything."""
_FUSIONS: tuple[Fusion, ...] = ("mean", "median", "max")


def cue_set_aurocs(
    detector: Detector, cues: Mapping[str, NDArray[np.float64]], labels: NDArray[np.bool_]
) -> dict[str, float]:
    """AUROC of subsets of the cues, and of all of them under other fusions.

    Args:
        detector: fitted.
        cues: raw values, ``(N,)`` each, of the test images.
        labels: ``(N,)``, true = anomalous.

    Returns:
        ``"a + b"`` for two or more cues but not all, fused as the detector does: all subsets where
        there are up to five cues, and else those of each of the detector's ``cue_groups``; and
        ``"mean"``, ``"median"``, ``"max"`` of all, each cue with the same say. Empty for a single
        cue, and for an ensemble, whose cues are standardised already.
    """
    assert detector.standardiser is not None
    if len(cues) < 2 or isinstance(detector, Ensemble):
        return {}
    scales = detector.standardiser
    values = scales(cues)

    def measured(names: tuple[str, ...], how: Fusion) -> float:
        chosen = {name: values[name] for name in names}
        return auroc(fuse(chosen, how, scales.reference), labels)

    found = {}
    few = len(cues) <= _MOST_CUES
    for group in [tuple(cues)] if few else detector.cue_groups():
        for size in range(2, len(group) + 1):
            for names in combinations(group, size):
                if len(names) < len(cues):
                    found[" + ".join(names)] = measured(names, detector.config.fusion)
    return found | {how: measured(tuple(cues), how) for how in _FUSIONS}
