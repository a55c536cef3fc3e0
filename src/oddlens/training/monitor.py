"""How well a stage's task is solved on held-out normals, a few times while it trains."""

from __future__ import annotations

import logging
import math

import numpy as np
import torch
from torch import Generator, nn

from oddlens.images import ImageCache
from oddlens.training.plan import Plan
from oddlens.training.stage import Stage

MARKS = (0.25, 0.5, 0.75)
"""Progress at which a stage is looked at, besides its end."""
_IMAGES = 64
_SHARE = 0.04
"""Looks see at most this share of the images that training saw. Without gradients an image costs
about a third of what it costs in training, so that this is some 1 to 2 % of the time."""

Point = dict[str, float]
_log = logging.getLogger(__name__)


class Monitor:
    """Calls ``stage.monitor`` and keeps what it says.

    It counts images and not seconds, and draws from a generator of its own, so that the looks are
    the same in a resumed run and training is the same with and without them.

    Args:
        detector: holds the stage's module.
        stage: what trains.
        tune: held-out images, or None; of them 64 are looked at, always the same.
        plan: stands where the run stands.
        seed: of the monitor's own draws.
        points: what was found before a resume.

    Attributes:
        points: for each look ``step`` and the monitor's finite values.
    """

    def __init__(
        self,
        detector: nn.Module,
        stage: Stage,
        tune: ImageCache | None,
        plan: Plan,
        seed: list[int],
        points: list[Point],
    ) -> None:
        self._detector = detector
        self._stage = stage
        self._plan = plan
        self._seed = int(np.random.SeedSequence([*seed, 0]).generate_state(1)[0])
        self._sample = None if tune is None else tune.evenly(_IMAGES)
        self._marks = [mark for mark in MARKS if mark > plan.progress]
        self.points = list(points)

    def during(self) -> None:
        """After a step: look, where a mark was passed and the looks have not cost too much."""
        passed = [mark for mark in self._marks if mark <= self._plan.progress]
        self._marks = self._marks[len(passed) :]
        if not passed or self._plan.done or self._sample is None:
            return
        looked = (len(self.points) + 1) * len(self._sample)
        if looked <= _SHARE * self._plan.step * self._stage.batch_size:
            self._look()

    def end(self) -> None:
        """Look once more, at the plan's end."""
        if self._plan.done and (not self.points or self.points[-1]["step"] != self._plan.step):
            self._look()

    def _look(self) -> None:
        if self._stage.monitor is None or not self._sample:
            return
        modes = {module: module.training for module in self._detector.modules()}
        self._detector.eval()
        with torch.random.fork_rng(), torch.no_grad():
            found = self._mean()
        for module, training in modes.items():
            module.training = training
        # What is not finite has no place in an artifact's JSON; the loss will tell of it.
        kept = {name: round(value, 4) for name, value in found.items() if math.isfinite(value)}
        self.points.append({"step": self._plan.step, **kept})
        told = ", ".join(f"{name} {value:g}" for name, value in kept.items())
        _log.info(
            "stage %s, step %d, on held-out normals: %s", self._stage.name, self._plan.step, told
        )

    def _mean(self) -> dict[str, float]:
        """The monitor's values over the sample, the mean weighted by images."""
        assert self._stage.monitor is not None
        assert self._sample is not None
        device = next(self._stage.module.parameters()).device
        generator = Generator().manual_seed(self._seed)
        total: dict[str, float] = {}
        count = len(self._sample)
        for start in range(0, count, self._stage.batch_size):
            chosen = range(start, min(start + self._stage.batch_size, count))
            images = self._sample.batch(chosen).to(device)
            for name, value in self._stage.monitor(images, generator).items():
                total[name] = total.get(name, 0.0) + value * len(chosen) / count
        return total
