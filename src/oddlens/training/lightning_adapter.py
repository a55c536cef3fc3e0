"""The one module that knows Lightning: runs a stage, checkpoints it, resumes it, stops it.

Lightning's epochs are used as segments of at most ``_SEGMENT`` steps: a checkpoint falls on the end
of a segment, so that a run resumed from it repeats nothing and skips nothing.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import lightning as L
import numpy as np
import torch
from torch import Generator, Tensor, nn

from oddlens.errors import ArtifactError, Interrupted, TrainingError
from oddlens.images import ImageCache
from oddlens.training.checkpoint import KEY
from oddlens.training.plan import Plan
from oddlens.training.stage import Stage

_SEGMENT = 50
_CHECKPOINT_SECONDS = 20.0
_LOGGED_POINTS = 200


class _Segments:
    """Batches of one segment, starting at the plan's step; an epoch's order comes from the seed."""

    def __init__(self, images: ImageCache, plan: Plan, batch_size: int, seed: int) -> None:
        self._images = images
        self._plan = plan
        self._batch = min(batch_size, len(images))
        self._seed = seed
        self._per_epoch = -(-len(images) // self._batch)
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
            self._order = np.random.default_rng([self._seed, epoch]).permutation(len(self._images))
        chosen = self._order[place * self._batch : (place + 1) * self._batch]
        # The last batch of an epoch is filled up from its start: one batch size, one step time.
        return np.resize(chosen, self._batch).tolist() if len(chosen) else []


class _StageModule(L.LightningModule):
    """A stage as Lightning wants it."""

    def __init__(self, run: StageRun) -> None:
        super().__init__()
        self.detector = run.detector
        self._stage = run.stage
        self._plan = run.plan
        self._run = run
        self.history: list[tuple[int, float]] = []
        self.terms: dict[str, float] = {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        parameters = [p for p in self._stage.module.parameters() if p.requires_grad]
        optimizer = self._stage.optimizer(parameters)
        self._base_rates = [group["lr"] for group in optimizer.param_groups]
        return optimizer

    def on_train_start(self) -> None:
        self.detector.eval()
        self._stage.module.train()

    def on_train_epoch_start(self) -> None:
        self._stage.module.train()

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        factor = self._stage.schedule(self._plan.progress)
        for group, base in zip(self.optimizers().param_groups, self._base_rates, strict=True):  # type: ignore[union-attr]
            group["lr"] = base * factor

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        seed = self._run.step_seed(self._plan.step)
        torch.manual_seed(seed)  # for layers that draw from the global generator, such as dropout
        terms = self._stage.loss(batch, Generator().manual_seed(seed))
        total = torch.stack(list(terms.values())).sum()
        if not math.isfinite(value := float(total.detach())):
            raise TrainingError(
                f"the loss is not finite at step {self._plan.step} of stage {self._stage.name} "
                f"({', '.join(f'{name} {float(term.detach()):g}' for name, term in terms.items())})"
                "; lower the learning rate (--set learning_rate=...) or try --set precision=32"
            )
        self.terms = {name: float(term.detach()) for name, term in terms.items()}
        self.history.append((self._plan.step, value))
        return total

    def on_train_batch_end(self, outputs: Any, batch: Tensor, batch_idx: int) -> None:
        self._plan.advance()
        self._run.report()
        if self._plan.done or self._run.interrupted:
            self.trainer.should_stop = True

    def on_train_epoch_end(self) -> None:
        if self._plan.done or self._run.interrupted:
            self.trainer.should_stop = True
        self._run.save(self.trainer, force=self.trainer.should_stop)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[KEY] = {
            "stage": self._run.index,
            "step": self._plan.step,
            "seconds": self._plan.elapsed,
            "signature": self._run.signature,
        }


@dataclass
class StageRun:
    """One stage of one run."""

    detector: nn.Module
    stage: Stage
    index: int
    images: ImageCache
    plan: Plan
    seed: int
    device: torch.device
    precision: Literal["32", "bf16"]
    checkpoint: Path | None
    restore: Path | None
    signature: list[Any]
    progress: Any = None
    interrupted: bool = False
    _saved_at: float = field(default_factory=time.monotonic)

    def step_seed(self, step: int) -> int:
        """The seed of every draw in one step."""
        return int(np.random.SeedSequence([self.seed, self.index, step]).generate_state(1)[0])

    def run(self) -> dict[str, Any]:
        """Train to the plan's end and describe what was done."""
        begin = time.monotonic()
        module = _StageModule(self)
        batches = _Segments(self.images, self.plan, self.stage.batch_size, self.seed)
        if not self.plan.done:
            with _quiet(), _interruptible(self):
                trainer = self._trainer()
                trainer.fit(
                    module,
                    batches,
                    ckpt_path=str(self.restore) if self.restore else None,
                    weights_only=True,
                )
        elif self.restore:
            state = torch.load(self.restore, map_location=self.device, weights_only=True)
            module.load_state_dict(state["state_dict"])
        self.detector.to(self.device)
        self.detector.eval()
        if self.interrupted:
            raise Interrupted(self._interruption())
        return {
            "name": self.stage.name,
            "steps": self.plan.step,
            "seconds": round(time.monotonic() - begin, 2),
            "batch_size": self.stage.batch_size,
            "final_loss": _mean_of_last(module.history),
            "final_terms": module.terms,
            "history": _thinned(module.history),
        }

    def report(self) -> None:
        """Tell the progress callback."""
        if self.progress is not None:
            self.progress(self.stage.name, self.plan.step, max(self.plan.total, self.plan.step))

    def save(self, trainer: L.Trainer, *, force: bool) -> None:
        """Write the checkpoint, atomically, at most every so many seconds."""
        if self.checkpoint is None:
            return
        if not force and time.monotonic() - self._saved_at < _CHECKPOINT_SECONDS:
            return
        partial = self.checkpoint.with_suffix(".part")
        try:
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
            trainer.save_checkpoint(partial)
            os.replace(partial, self.checkpoint)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise ArtifactError(
                f"{self.checkpoint}: the checkpoint cannot be written ({error.strerror or error}); "
                "free some space and go on with --resume"
            ) from error
        self._saved_at = time.monotonic()

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
        return f"{done}; they are kept in {self.checkpoint.parent}: go on with --resume"


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
        signal.signal(signal.SIGINT, before)


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


def _mean_of_last(history: list[tuple[int, float]], count: int = 20) -> float | None:
    values = [value for _, value in history[-count:]]
    return sum(values) / len(values) if values else None


def _thinned(history: list[tuple[int, float]]) -> list[tuple[int, float]]:
    stride = max(1, len(history) // _LOGGED_POINTS)
    return [(step, round(value, 6)) for step, value in history[::stride]]
