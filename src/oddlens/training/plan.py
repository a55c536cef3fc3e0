"""How long a stage runs: a number of steps, or as many as a budget of time allows."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median

_WARM_UP = 3
"""Steps that tell little of the pace: they allocate memory and choose kernels."""


class Plan:
    """Turns steps and seconds into progress, which drives the learning rate and the end.

    With a budget of seconds, progress is the share of the budget that is spent: the learning rate
    has run its course when time is up, whatever else the machine does meanwhile. Resumed, a budget
    goes on where it stood.

    Args:
        steps: fixed length, or None.
        seconds: budget, or None. Exactly one of the two is given.
        step: steps already done (a resumed run).
        spent: seconds already spent (a resumed run).
        clock: seconds since any origin; for tests.
    """

    def __init__(
        self,
        *,
        steps: int | None = None,
        seconds: float | None = None,
        step: int = 0,
        spent: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        assert (steps is None) != (seconds is None)
        self.step = step
        self._steps = steps
        self._seconds = seconds
        self._clock = clock
        self._last = clock()
        self._start = self._last - spent
        self._durations: deque[float] = deque(maxlen=30)
        self._measured = 0

    @property
    def progress(self) -> float:
        """How far the stage is, 0 to 1."""
        if self._steps is not None:
            return min(1.0, self.step / max(self._steps, 1))
        assert self._seconds is not None
        return min(1.0, self.elapsed / self._seconds) if self._seconds > 0 else 1.0

    @property
    def total(self) -> int:
        """The planned number of steps (an estimate while a budget of time runs)."""
        if self._steps is not None:
            return self._steps
        pace = self._pace()
        return self.step + (max(0, int(self._left() / pace)) if pace > 0 else 0)

    @property
    def done(self) -> bool:
        """Whether the stage has reached its end; a budget allows at least one step."""
        if self._steps is not None:
            return self.step >= self._steps
        # Half a step: ends as often a little early as a little late, never by more than that.
        return self.step > 0 and self._left() <= 0.5 * self._pace()

    @property
    def elapsed(self) -> float:
        """Seconds spent on the stage, those before a resume included."""
        return self._clock() - self._start

    def advance(self) -> None:
        """Count a step that has just ended."""
        now = self._clock()
        if self._measured == _WARM_UP:
            self._durations.clear()
        self._durations.append(now - self._last)
        self._measured += 1
        self._last = now
        self.step += 1

    def _left(self) -> float:
        assert self._seconds is not None
        return self._seconds - self.elapsed

    def _pace(self) -> float:
        """Seconds a step: the median of the last ones, 0 before the first."""
        return median(self._durations) if self._durations else 0.0
