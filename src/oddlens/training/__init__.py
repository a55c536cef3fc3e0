"""Training: stages, the plan that ends in time, and the adapter to Lightning."""

from oddlens.training.plan import Plan
from oddlens.training.precision import choose_precision
from oddlens.training.run import TrainingRecord, train
from oddlens.training.stage import Stage, cosine, step_decay

__all__ = [
    "Plan",
    "Stage",
    "TrainingRecord",
    "choose_precision",
    "cosine",
    "step_decay",
    "train",
]
