"""How good a detector is: metrics on raw scores and maps, with confidence intervals.

Importing this package loads numpy and scipy, but not torch.
"""

from __future__ import annotations

from oddlens.evaluation.attacks import (
    AttackRates,
    attack_intervals,
    equal_error_rate,
    rates_at,
    rates_at_bpcer,
    threshold_at_bpcer,
)
from oddlens.evaluation.evaluate import Evaluation, evaluate
from oddlens.evaluation.intervals import (
    Interval,
    delong_covariance,
    delong_interval,
    image_intervals,
    pixel_intervals,
)
from oddlens.evaluation.metrics import auroc, average_precision, f1_max, fpr_at_tpr
from oddlens.evaluation.paired import PairedDifference, delong_paired, holm
from oddlens.evaluation.pixels import PixelMetrics, pixel_metrics

__all__ = [
    "AttackRates",
    "Evaluation",
    "Interval",
    "PairedDifference",
    "PixelMetrics",
    "attack_intervals",
    "auroc",
    "average_precision",
    "delong_covariance",
    "delong_interval",
    "delong_paired",
    "equal_error_rate",
    "evaluate",
    "f1_max",
    "fpr_at_tpr",
    "holm",
    "image_intervals",
    "pixel_intervals",
    "pixel_metrics",
    "rates_at",
    "rates_at_bpcer",
    "threshold_at_bpcer",
]
