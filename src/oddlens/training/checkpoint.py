"""Where an unfinished run stands. A checkpoint is a working file, never an artifact."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from oddlens.errors import TrainingError

CHECKPOINT = "last.ckpt"
KEY = "oddlens"
_DETECTOR = "detector."


@dataclass
class RunState:
    """Where a run stands.

    Attributes:
        stage: the stage under way; those before it have ended.
        step: how many of its steps are done.
        seconds: spent on it.
        losses: of its steps.
        monitored: what its monitor found so far.
        records: what the stages did that have ended.
        signature: what tells one run from another.
        options: of the method.
        changed: the options that were changed when the run was resumed.
    """

    stage: int = 0
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    monitored: list[dict[str, float]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    signature: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)

    @property
    def spent(self) -> float:
        """Seconds of training, over all stages."""
        return self.seconds + sum(float(record["seconds"]) for record in self.records)


def read_checkpoint(path: Path) -> tuple[RunState, dict[str, Tensor]]:
    """Read where a run stands, and the detector's weights there.

    Raises:
        TrainingError: the file is not one of ours, or is damaged.
    """
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        weights = {
            name.removeprefix(_DETECTOR): value for name, value in saved["state_dict"].items()
        }
        return RunState(**saved[KEY]), weights
    except Exception as error:
        raise TrainingError(
            f"{path}: not a usable checkpoint ({error}); delete it or leave out --resume"
        ) from error
