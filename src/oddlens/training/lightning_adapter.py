"""The one module that knows Lightning: runs a stage, checkpoints it, resumes it, stops it.

Lightning's epochs are used as segments of at most ``_SEGMENT`` steps: a checkpoint falls on the end
of a segment, so that a run resumed from it repeats nothing and skips nothing.
"""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from torch import Generator, Tensor, nn

from oddlens.errors import Interrupted, TrainingError
from oddlens.images import ImageCache
from oddlens.training.checkpoint import KEY, RunState
from oddlens.training.monitor import Monitor
from oddlens.training.plan import Plan
from oddlens.training.stage import Stage

_SEGMENT = 50
_CHECKPOINT_SECONDS = 20.0
_LOGGED_POINTS = 200
_WAY_OUT = (
    "start again, or go on with --resume, with a lower learning rate (--set learning_rate=...) "
    "or in float32 (--set precision=32)"
)


class _Segments:
    """Batches of one segment, starting at the plan's step; an epoch's order comes from the seed."""

    def __init__(self, run: StageRun) -> None:
        self._images = run.images
        self._plan = run.plan
        self._seed = [run.seed, run.index]
        self._batch = min(run.stage.batch_size, len(run.images))
        self._per_epoch = -(-len(run.images) // self._batch)
        self._epoch = -1
        self._order = np.empty(0, dtype=np.intp)

    def __iter__(self) -> Iterator[Tensor]:
        for step in range(self._plan.step, self._plan.step + _SEGMENT):
            if self._plan.done:
                return
            yield self._images.batch(self._indices(step))

    def _indices(self, step: int) -> list[int]:
        epoch, place = divmod(step, self._per_epoch)
        if epoch != self._epoch:
            self._epoch = epoch
            rng = np.random.default_rng([*self._seed, epoch])
            self._order = rng.permutation(len(self._images))
        # The last batch of an epoch is filled up with the epoch's first images: one batch size,
        # one step time, and no image twice in a batch.
        places = np.arange(place * self._batch, (place + 1) * self._batch)
        indices: list[int] = self._order.take(places, mode="wrap").tolist()
        return indices


class _StageModule(L.LightningModule):
    """A stage as Lightning wants it."""

    def __init__(self, run: StageRun) -> None:
        super().__init__()
        self.detector = run.detector
        self._run = run
        self._base_rates: list[float] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        module = self._run.stage.module
        optimizer = self._run.stage.optimizer([p for p in module.parameters() if p.requires_grad])
        self._base_rates = [group["lr"] for group in optimizer.param_groups]
        return optimizer

    def on_train_epoch_start(self) -> None:
        self.detector.eval()
        self._run.stage.module.train()

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        factor = self._run.stage.schedule(self._run.plan.progress)
        (optimizer,) = self.trainer.optimizers
        for group, base in zip(optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = base * factor

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self._run.loss(batch)

    def on_train_batch_end(self, outputs: Any, batch: Tensor, batch_idx: int) -> None:
        self._run.plan.advance()
        self._run.report()
        self._run.monitor.during()
        if self._run.ends:
            self.trainer.should_stop = True

    def on_train_epoch_end(self) -> None:
        if self._run.ends:
            self.trainer.should_stop = True
        self._run.monitor.end()
        self._run.save(self.trainer, force=self.trainer.should_stop)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[KEY] = asdict(self._run.state())


@dataclass
class StageRun:
    """One stage of one run.

    Attributes:
        detector: holds the stage's module.
        stage: what to train.
        index: its place among the stages.
        images: to train on.
        plan: its length; stands where a resumed run stood.
        seed: decides every random draw, together with ``index`` and the step.
        device: where to train.
        precision: arithmetic of the networks.
        checkpoint: file to keep the run in, or None.
        restore: checkpoint to take the optimizer from, when the stage is resumed within.
        before: the stages that have ended, the losses of this one before a resume, and what else
            a checkpoint carries on.
        progress: called with (stage name, step, planned steps).
        tune: held-out images for the stage's monitor, or None.
        interrupted: whether Ctrl-C asked for the end.
    """

    detector: nn.Module
    stage: Stage
    index: int
    images: ImageCache
    plan: Plan
    seed: int
    device: torch.device
    precision: Literal["32", "bf16"]
    checkpoint: Path | None = None
    restore: Path | None = None
    before: RunState = field(default_factory=RunState)
    progress: Callable[[str, int, int], None] | None = None
    tune: ImageCache | None = None
    interrupted: bool = False

    def __post_init__(self) -> None:
        self._losses = list(self.before.losses)
        self._terms: dict[str, Tensor] = {}
        self.monitor = Monitor(
            self.detector,
            self.stage,
            self.tune,
            self.plan,
            [self.seed, self.index],
            self.before.monitored,
        )
        self._saved_at = time.monotonic()
        self._saved_step = self.plan.step if self.restore else None
        self._warned = False

    @property
    def ends(self) -> bool:
        """Whether this was the last step, for now or for good."""
        return self.plan.done or self.interrupted

    def run(self) -> dict[str, Any]:
        """Train to the plan's end and describe what was done.

        Raises:
            TrainingError: the loss or the weights are not finite.
            Interrupted: Ctrl-C.
        """
        if not self.plan.done:
            with _quiet(), _interruptible(self):
                try:
                    self._trainer().fit(
                        _StageModule(self),
                        _Segments(self),
                        ckpt_path=str(self.restore) if self.restore else None,
                        weights_only=True,
                    )
                except SystemExit:  # Lightning's answer to a second Ctrl-C
                    self.interrupted = True
        self.detector.to(self.device)
        self.detector.eval()
        if self.interrupted:
            raise Interrupted(self._interruption())
        if not self._finite():
            raise TrainingError(
                f"the weights are not finite after step {self.plan.step:,} of stage "
                f"{self.stage.name}; {_WAY_OUT}"
            )
        return self.record()

    def loss(self, images: Tensor) -> Tensor:
        """The loss of the plan's step, a scalar to minimise."""
        step = self.plan.step
        seed = int(np.random.SeedSequence([self.seed, self.index, step]).generate_state(1)[0])
        torch.manual_seed(seed)  # for layers that draw from the global generator, such as dropout
        terms = self.stage.loss(images, Generator().manual_seed(seed))
        total = torch.stack(list(terms.values())).sum()
        value = float(total.detach())
        if not math.isfinite(value):
            named = ", ".join(f"{name} {float(term.detach()):g}" for name, term in terms.items())
            raise TrainingError(
                f"the loss is not finite at step {step:,} of stage {self.stage.name} ({named}); "
                f"{_WAY_OUT}"
            )
        self._terms = {name: term.detach() for name, term in terms.items()}
        self._losses.append(value)
        return total

    def report(self) -> None:
        """Tell the progress callback."""
        if self.progress is not None:
            self.progress(self.stage.name, self.plan.step, max(self.plan.total, self.plan.step))

    def record(self) -> dict[str, Any]:
        """What the stage has done so far, in what JSON knows."""
        stride = max(1, len(self._losses) // _LOGGED_POINTS)
        last = self._losses[-20:]
        return {
            "name": self.stage.name,
            "steps": self.plan.step,
            "seconds": round(self.plan.elapsed, 2),
            "batch_size": self.stage.batch_size,
            "final_loss": sum(last) / len(last) if last else None,
            "final_terms": {name: float(term) for name, term in self._terms.items()},
            "history": [[i, round(loss, 6)] for i, loss in enumerate(self._losses)][::stride],
            **({"monitored": self.monitor.points} if self.monitor.points else {}),
        }

    def state(self) -> RunState:
        """Where the run stands; at the plan's end, that is the beginning of the next stage."""
        state = RunState(**vars(self.before))
        if self.plan.done:
            state.stage, state.losses, state.monitored = self.index + 1, [], []
            state.records = [*self.before.records, self.record()]
        else:
            state.stage, state.losses = self.index, self._losses
            state.monitored = self.monitor.points
            state.step, state.seconds = self.plan.step, self.plan.elapsed
        return state

    def save(self, trainer: L.Trainer, *, force: bool) -> None:
        """Write the checkpoint, atomically, at most every so many seconds.

        A disk that is full or fails is warned of once and tried again later: training is worth
        more than its checkpoint (our choice). Weights that are not finite are not kept.
        """
        recent = time.monotonic() - self._saved_at < _CHECKPOINT_SECONDS
        if self.checkpoint is None or (recent and not force) or not self._finite():
            return
        partial = self.checkpoint.with_suffix(".part")
        try:
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(partial)
            partial.replace(self.checkpoint)
            self._saved_step = self.plan.step
        except OSError as error:
            with suppress(OSError):
                partial.unlink()
            if not self._warned:
                warnings.warn(
                    f"{self.checkpoint}: the checkpoint cannot be written "
                    f"({error.strerror or error}); training goes on without it",
                    UserWarning,
                    stacklevel=1,
                )
            self._warned = True
        self._saved_at = time.monotonic()

    def _finite(self) -> bool:
        return all(bool(p.isfinite().all()) for p in self.stage.module.parameters())

    def _trainer(self) -> L.Trainer:
        return L.Trainer(
            accelerator="gpu" if self.device.type == "cuda" else "cpu",
            devices=[self.device.index or 0] if self.device.type == "cuda" else 1,
            precision="bf16-mixed" if self.precision == "bf16" else "32-true",
            max_epochs=-1,
            gradient_clip_val=self.stage.clip,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
        )

    def _interruption(self) -> str:
        done = f"stopped after {self.plan.step:,} of {self.plan.total:,} steps"
        if self.checkpoint is None:
            return f"{done}; nothing was kept, since no checkpoint folder was given"
        if not self.checkpoint.exists():
            return f"{done}; nothing was kept, since no checkpoint was written"
        match self._saved_step:
            case None:
                kept = "the stages before this one"
            case self.plan.step:
                kept = "they"
            case saved:
                kept = f"the first {saved:,}"
        return f"{done}; {kept} are kept in {self.checkpoint.parent}: go on with --resume"


@contextmanager
def _interruptible(run: StageRun) -> Iterator[None]:
    """The first Ctrl-C ends the step and keeps a checkpoint, the second one ends at once."""

    def stop(number: int, frame: FrameType | None) -> None:
        if run.interrupted:
            raise KeyboardInterrupt
        run.interrupted = True

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if before is None else before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Lightning tells its own users; ours have the progress callback."""
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
