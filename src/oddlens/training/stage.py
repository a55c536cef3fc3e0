"""A stage: one training phase of a detector, as the method describes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from torch import Generator, Tensor, nn
from torch.optim import Optimizer

Loss = Callable[[Tensor, Generator], dict[str, Tensor]]
"""``(images (N, 3, S, S), generator) -> terms``: scalars whose sum is minimised."""

Watch = Callable[[Tensor, Generator], dict[str, float]]
"""``(held-out images (N, 3, S, S), generator) -> values``: means over the images, such as each
task's accuracy."""

Schedule = Callable[[float], float]
"""``progress in [0, 1] -> factor`` on the base learning rate."""


@dataclass(frozen=True)
class Stage:
    """One training phase.

    Attributes:
        name: for progress and messages.
        module: what is trained; it is put in training mode, the rest of the detector is not.
        loss: the terms for one batch. Every random draw comes from the generator it is given,
            which depends on the seed, the stage and the step alone; that is why a resumed run ends
            in the very weights of an unbroken one.
        optimizer: makes the optimizer for the trainable parameters.
        schedule: the learning rate's course, as a function of progress rather than of steps, so
            that it fits any budget.
        epochs: length where neither epochs nor minutes are asked for.
        most_steps: a bound on that length, for large sets of images, or None.
        batch_size: images a step.
        share: of a budget in minutes, relative to the other stages.
        clip: largest gradient norm, or None.
        monitor: how well the task is solved on held-out normals, asked a few times while training
            and at its end, in evaluation mode and without gradients; or None.
    """

    name: str
    module: nn.Module
    loss: Loss
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    schedule: Schedule
    epochs: int
    most_steps: int | None = field(default=None, kw_only=True)
    batch_size: int
    share: float = 1.0
    clip: float | None = None
    monitor: Watch | None = field(default=None, kw_only=True)


def cosine(progress: float, *, warmup: float = 0.03) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    if progress < warmup:
        return (progress + 1e-3) / (warmup + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def step_decay(milestones: Sequence[float]) -> Schedule:
    """A tenth of the rate from each milestone on (as a share of the whole length)."""
    return lambda progress: float(10.0 ** -sum(progress >= point for point in milestones))
