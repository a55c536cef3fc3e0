"""Train a detector's stages, one after the other, with checkpoints between and within."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oddlens.errors import TrainingError
from oddlens.images import ImageCache
from oddlens.training.checkpoint import CHECKPOINT, RunState
from oddlens.training.plan import Plan
from oddlens.training.precision import Precision, choose_precision
from oddlens.training.stage import Stage

Progress = Callable[[str, int, int], None]


@dataclass
class TrainingRecord:
    """What training did, for the artifact's provenance and the model card."""

    stages: list[dict[str, Any]] = field(default_factory=list)
    precision: str = "32"

    @property
    def steps(self) -> int:
        """Steps over all stages."""
        return sum(stage["steps"] for stage in self.stages)


def train(
    detector: nn.Module,
    stages: Sequence[Stage],
    images: ImageCache,
    *,
    seed: int,
    epochs: int | None = None,
    seconds: float | None = None,
    device: torch.device,
    precision: Precision = "auto",
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainingRecord:
    """Run the stages in order.

    Args:
        detector: holds every stage's module; its whole state goes into the checkpoint.
        stages: the phases.
        images: the images to train on.
        seed: decides every random draw, together with the stage and the step.
        epochs: passes over the images, for every stage; None for each stage's own length.
        seconds: budget for all stages together; excludes ``epochs``.
        device: where to train.
        precision: see ``choose_precision``.
        checkpoint: folder of the checkpoint, or None to keep none.
        resume: go on from the checkpoint where there is one.
        progress: called with (stage name, step, planned steps).

    Raises:
        TrainingError: the loss is not finite, or the checkpoint belongs to another run.
        Interrupted: Ctrl-C, after a checkpoint was kept.
    """
    from oddlens.training.lightning_adapter import StageRun

    chosen = choose_precision(device, precision)
    record = TrainingRecord(precision=chosen)
    signature = _signature(stages, images, seed, epochs)
    state = RunState()
    path = checkpoint / CHECKPOINT if checkpoint is not None else None
    if resume and path is not None and path.exists():
        state = RunState.read(path)
        if state.signature != signature:
            raise TrainingError(
                f"{path}: this checkpoint was made with other images, options, seed or length; "
                "call fit with the same ones, or without --resume to start again"
            )
    state.signature = signature
    for index, stage in enumerate(stages):
        if index < state.stage:
            continue
        start = state.step if index == state.stage else 0
        plan = _plan(stage, stages, index, images, epochs, seconds, state, start)
        run = StageRun(
            detector=detector,
            stage=stage,
            index=index,
            images=images,
            plan=plan,
            seed=seed,
            device=device,
            precision=chosen,
            checkpoint=path,
            restore=path if start or (resume and index == state.stage and state.found) else None,
            signature=signature,
            progress=progress,
        )
        record.stages.append(run.run())
        state = RunState(stage=index + 1, step=0, signature=signature)
    return record


def _plan(
    stage: Stage,
    stages: Sequence[Stage],
    index: int,
    images: ImageCache,
    epochs: int | None,
    seconds: float | None,
    state: RunState,
    start: int,
) -> Plan:
    if seconds is None:
        per_epoch = -(-len(images) // stage.batch_size)
        return Plan(steps=(epochs or stage.epochs) * per_epoch, step=start)
    share = stage.share / sum(other.share for other in stages)
    spent = state.seconds if index == state.stage else 0.0
    return Plan(seconds=max(share * seconds, 0.0), step=start, spent=spent)


def _signature(
    stages: Sequence[Stage], images: ImageCache, seed: int, epochs: int | None
) -> list[Any]:
    """What must agree between a checkpoint and the call that resumes it."""
    shape = [
        [stage.name, stage.batch_size, sum(p.numel() for p in stage.module.parameters())]
        for stage in stages
    ]
    return [len(images), images.size, seed, epochs, shape]
