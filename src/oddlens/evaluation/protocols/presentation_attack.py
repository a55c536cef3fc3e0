"""Presentation attacks: bona fide faces are normal, attacks of any kind are anomalous.

Learned from bona fide training images alone. The metrics are those of ISO/IEC 30107-3, see
``oddlens.evaluation.attacks``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oddlens.errors import UsageError
from oddlens.evaluation.attacks import (
    BPCER,
    attack_intervals,
    equal_error_rate,
    rates_at,
    rates_at_bpcer,
)
from oddlens.evaluation.bootstrap import with_ends
from oddlens.evaluation.protocols.base import Protocol, Tested, TrialImages
from oddlens.evaluation.protocols.one_vs_all import OneVsAll
from oddlens.images.catalogue import BONA_FIDE, ClassData

REPLICATES = 500
"""Of the bootstrap: enough for two digits of an interval's ends (our choice)."""


class PresentationAttack(Protocol):
    """See the module."""

    name = "presentation-attack"
    content = "faces"

    def targets(self, data: ClassData) -> Sequence[str]:
        """Bona fide presentations, and nothing else.

        Raises:
            UsageError: the data set has no such class.
        """
        if BONA_FIDE not in data.classes:
            raise UsageError(
                f"{data.name} has no class {BONA_FIDE}, which {self.name} learns from: use --data "
                "attacks, wmca or siw-m"
            )
        return [BONA_FIDE]

    def images(self, data: ClassData, target: str, seed: int) -> TrialImages:
        """Bona fide training images to learn from, everything to be tested on."""
        return OneVsAll().images(data, target, seed)

    def metrics(self, data: ClassData, tested: Tested) -> dict[str, float]:
        """Error rates in [0, 1], each with ``_low`` and ``_high``.

        - ``eer``: of all attacks as one kind.
        - ``apcer_at_bpcer``: APCER at a BPCER of 5 % on the test set, of the kind that is worst;
          ``apcer_at_bpcer_pooled`` of all as one kind, and ``apcer_at_bpcer of <kind>``.
        - ``apcer``, ``bpcer``, ``acer``: at the threshold that held-out bona fide training images
          give for false alarms of 5 %, which no test image has touched.
        """
        scores, labels, kinds = tested.scores, tested.labels, tested.kinds
        # What is at the calibrated threshold is not flagged; here what is at one is.
        threshold = float(np.nextafter(tested.calibration.threshold(BPCER).value, np.inf))
        fixed, curve = (
            rates_at(scores, labels, kinds, threshold),
            rates_at_bpcer(scores, labels, kinds),
        )
        points = {
            "eer": equal_error_rate(scores, labels),
            "apcer_at_bpcer": curve.apcer,
            "apcer_at_bpcer_pooled": curve.pooled,
            "apcer": fixed.apcer,
            "bpcer": fixed.bpcer,
            "acer": fixed.acer,
            **{f"apcer_at_bpcer of {kind}": x for kind, x in curve.by_kind.items()},
        }
        intervals = attack_intervals(
            scores, labels, kinds, threshold=threshold, replicates=REPLICATES
        )
        return with_ends(points, intervals)
