"""An artifact as tests save it, and how two of them are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from oddlens.artifact import Artifact


def make(note: str = "first", **changes: Any) -> Artifact:
    content: dict[str, Any] = {
        "method": "ssm",
        "config": {"image_size": 128, "sizes": [2, 4, 8], "note": note},
        "weights": {"conv.weight": torch.arange(24.0).reshape(2, 3, 2, 2), "step": torch.tensor(7)},
        "calibration": {"scores": [0.1, 0.1 + 0.2, 5e-324]},
        "card": f"# SSM\n\r\n{note}: é, 漢\n",
        "provenance": {"seed": 0},
    }
    return Artifact(**(content | changes))


def same(one: Artifact, other: Artifact) -> bool:
    return (
        (one.method, one.config, one.calibration, one.card, one.provenance)
        == (other.method, other.config, other.calibration, other.card, other.provenance)
        and one.weights.keys() == other.weights.keys()
        and all(identical(one.weights[name], other.weights[name]) for name in one.weights)
    )


def identical(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.equal(other)


def listing(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())
