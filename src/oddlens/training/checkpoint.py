"""Where an unfinished run stands. A checkpoint is a working file, never an artifact."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from oddlens.errors import TrainingError

CHECKPOINT = "last.ckpt"
KEY = "oddlens"


@dataclass
class RunState:
    """Where a checkpoint stands."""

    stage: int = 0
    step: int = 0
    seconds: float = 0.0
    signature: list[Any] = field(default_factory=list)
    found: bool = False

    @classmethod
    def read(cls, path: Path) -> RunState:
        """Read the position of a checkpoint.

        Raises:
            TrainingError: the file is not one of ours, or is damaged.
        """
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)[KEY]
            return cls(**saved, found=True)
        except Exception as error:
            raise TrainingError(
                f"{path}: not a usable checkpoint ({error}); delete it or leave out --resume"
            ) from error
