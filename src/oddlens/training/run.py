"""Train a detector's stages, one after the other, with checkpoints between and within."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oddlens.errors import TrainingError
from oddlens.images import ImageCache
from oddlens.training.checkpoint import CHECKPOINT, RunState, read_checkpoint
from oddlens.training.plan import Plan
from oddlens.training.precision import Precision, choose_precision
from oddlens.training.stage import Stage

Progress = Callable[[str, int, int], None]


@dataclass
class TrainingRecord:
    """What training did, for the artifact's provenance and the model card.

    Attributes:
        stages: of each stage ``name, steps, seconds, batch_size, final_loss, final_terms`` and
            ``history`` (pairs of step and loss), and ``monitored`` where the stage has a monitor;
            a resumed run's include what went before.
        precision: the arithmetic of the networks, ``"32"`` or ``"bf16"``.
        changed: the options that were changed when the run was resumed.
    """

    stages: list[dict[str, Any]] = field(default_factory=list)
    precision: str = "32"
    changed: list[str] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """Steps over all stages."""
        return sum(stage["steps"] for stage in self.stages)


def train(
    detector: nn.Module,
    stages: Sequence[Stage],
    images: ImageCache,
    *,
    tune: ImageCache | None = None,
    anomalies: ImageCache | None = None,
    seed: int,
    epochs: int | None = None,
    deadline: float | None = None,
    device: torch.device,
    precision: Precision = "auto",
    options: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainingRecord:
    """Run the stages in order.

    Args:
        detector: holds every stage's module; its whole state goes into the checkpoint.
        stages: the phases.
        images: the images to train on.
        tune: held-out images for the stages' monitors, or None to do without.
        anomalies: labelled ones that the stages' losses draw from, or None; a run is resumed with
            the same ones only.
        seed: decides every random draw, together with the stage and the step.
        epochs: passes over the images, for every stage; None for each stage's own length.
        deadline: reading of ``time.monotonic`` at which to end, all stages together; excludes
            ``epochs``. Time that a resumed run spent before counts as if it had just been spent.
        device: where to train.
        precision: see ``choose_precision``.
        options: of the method, in what JSON knows. A run may be resumed under other options (a
            lower learning rate after the loss diverged); that is warned of and recorded.
        defaults: of the options, for those that the version which began a run did not have.
        checkpoint: folder of the checkpoint, or None to keep none. Where ``resume`` does not ask
            for it, a checkpoint that is already there is deleted.
        resume: go on from the checkpoint where there is one.
        progress: called with (stage name, step, planned steps).

    Raises:
        TrainingError: the loss is not finite, or the checkpoint belongs to another run.
        Interrupted: Ctrl-C, after a checkpoint was kept.
    """
    from oddlens.training.lightning_adapter import StageRun

    chosen = choose_precision(device, precision)
    path = checkpoint / CHECKPOINT if checkpoint is not None else None
    state = RunState(
        signature=_signature(stages, images, anomalies, seed, epochs), options={**(options or {})}
    )
    if path is not None and path.exists():
        if resume:
            state = _go_on(detector, path, state, defaults or {})
        else:
            path.unlink()
    spent = state.spent
    finished = list(state.records)
    for index in range(state.stage, len(stages)):
        here = state if index == state.stage else RunState()
        plan = _plan(
            stages[index:],
            images,
            epochs,
            None if deadline is None else deadline - time.monotonic() - spent,
            here,
        )
        run = StageRun(
            detector=detector,
            stage=stages[index],
            index=index,
            images=images,
            tune=tune,
            plan=plan,
            seed=seed,
            device=device,
            precision=chosen,
            checkpoint=path,
            restore=path if here.step else None,
            before=RunState(
                losses=here.losses,
                monitored=here.monitored,
                records=list(finished),
                signature=state.signature,
                options=state.options,
                changed=state.changed,
            ),
            progress=progress,
        )
        finished.append(run.run())
    return TrainingRecord(finished, chosen, state.changed)


def _plan(
    stages: Sequence[Stage],
    images: ImageCache,
    epochs: int | None,
    left: float | None,
    state: RunState,
) -> Plan:
    """The plan of the first of the stages that are left; it stands where ``state`` says.

    Args:
        stages: those that have not ended.
        images: to train on.
        epochs: asked for, or None.
        left: seconds for these stages together, or None.
        state: of the first of them.
    """
    stage = stages[0]
    if left is None:
        per_epoch = -(-len(images) // stage.batch_size)
        steps = (epochs or stage.epochs) * per_epoch
        if epochs is None and stage.most_steps is not None:
            steps = min(steps, stage.most_steps)
        return Plan(steps=steps, step=state.step)
    share = stage.share / sum(other.share for other in stages)
    budget = max(share * (left + state.seconds), 0.0)
    return Plan(seconds=budget, step=state.step, spent=state.seconds)


def _go_on(
    detector: nn.Module, path: Path, wanted: RunState, defaults: Mapping[str, Any]
) -> RunState:
    """Load the checkpoint's weights into the detector and tell where the run stands."""
    state, weights = read_checkpoint(path)
    other = [key for key in wanted.signature if wanted.signature[key] != state.signature.get(key)]
    if other:
        raise TrainingError(
            f"{path}: this checkpoint was made with other {' and '.join(other)}; "
            "call with the same, or without --resume to start again"
        )
    try:
        detector.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())  # torch's has several lines
        raise TrainingError(
            f"{path}: this checkpoint does not fit the options ({reason}); "
            "call with the same, or without --resume to start again"
        ) from error
    # An option that an earlier version did not have was as it is by default.
    before = {**defaults, **state.options}
    changed = [key for key in wanted.options if wanted.options[key] != before.get(key)]
    if changed:
        warnings.warn(
            f"the run goes on with another {', '.join(changed)} than it began with",
            UserWarning,
            stacklevel=1,
        )
    state.changed = sorted({*state.changed, *changed})
    state.options = wanted.options
    return state


def _signature(
    stages: Sequence[Stage],
    images: ImageCache,
    anomalies: ImageCache | None,
    seed: int,
    epochs: int | None,
) -> dict[str, Any]:
    """What must agree between a checkpoint and the call that resumes it, by its name."""
    return {
        "images": _fingerprint(images),
        "anomalies": None if anomalies is None else _fingerprint(anomalies),
        "seed": seed,
        "epochs": epochs,
        "networks or batch sizes": [
            [stage.name, stage.batch_size, sum(p.numel() for p in stage.module.parameters())]
            for stage in stages
        ],
    }


def _fingerprint(images: ImageCache) -> str:
    """A hash of the files' names (folders may have moved) and of a few images."""
    few = images.batch(sorted({0, len(images) // 2, len(images) - 1}))
    names = "\0".join(Path(name).name for name in images.names)
    digest = hashlib.sha256(f"{len(images)} {images.size} {names}".encode(errors="surrogateescape"))
    digest.update(few.contiguous().numpy().tobytes())
    return digest.hexdigest()
