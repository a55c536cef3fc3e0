"""How much is in the house at a time: what would be too much is refused at the door."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from oddlens.serving.faults import RefusedError

_LONGEST_WAIT = 60


class Pace:
    """How long images take, from what they took lately (the last ten passes or so count)."""

    _weight = 0.1

    def __init__(self) -> None:
        self._seconds_each: float | None = None

    def told(self, images: int, seconds: float) -> None:
        """So many images took so long."""
        each = seconds / images
        known = self._seconds_each
        self._seconds_each = each if known is None else known + self._weight * (each - known)

    def seconds_for(self, images: int) -> float:
        """How long so many images will take; a second, where nothing is known."""
        return 1.0 if self._seconds_each is None else images * self._seconds_each


class Gate:
    """Lets in so much at a time.

    Args:
        capacity: how much may be inside, in any unit.
        what: the unit, for messages.

    Attributes:
        inside: how much is inside now.
    """

    def __init__(self, capacity: int, what: str) -> None:
        self._capacity = capacity
        self._what = what
        self.inside = 0

    @contextmanager
    def admit(self, amount: int, *, retry_seconds: float = 1.0) -> Iterator[None]:
        """Hold so much while the block runs.

        Args:
            amount: what comes in, all or nothing.
            retry_seconds: when there may be room again.

        Raises:
            RefusedError: there is no room ("busy"), with ``Retry-After`` in whole seconds.
        """
        if self.inside + amount > self._capacity:
            wait = min(max(1, math.ceil(retry_seconds)), _LONGEST_WAIT)
            raise RefusedError(
                "busy",
                f"{self.inside} {self._what} are waiting, and there is room for "
                f"{self._capacity}: try again in {wait} s",
                {"Retry-After": str(wait)},
            )
        self.inside += amount
        try:
            yield
        finally:
            self.inside -= amount
