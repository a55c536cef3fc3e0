"""How the members of an ensemble share a budget of minutes."""

from __future__ import annotations

import json
from pathlib import Path

from oddlens.files import write_bytes

_FOR_MEMBERS = 0.9
"""Share of a budget that the members have; each sets something aside for its own calibration, so
that what scoring the held-out images once more takes is in proportion (our choice)."""
_LEAST = 0.1
"""Of an equal share, that a member has in any case: after one that overran it learns little, and
says so."""
_FILE = "budget.json"


class Budget:
    """Every member may use an equal share of what those before it have left.

    With a folder it is kept on disk, so that a resumed fit gives each member what the unbroken one
    would have: a member that was interrupted its old share, those behind it what is left by the
    others. It is made anew for other minutes or members.

    Args:
        minutes: of the whole fit, or None: no member has a limit then.
        members: how many there are.
        folder: where checkpoints are kept, or None.
        resume: go on with what is in the folder.
    """

    def __init__(
        self, minutes: float | None, members: int, folder: Path | None, *, resume: bool
    ) -> None:
        self.minutes, self.members = minutes, members
        self._path = None if folder is None or minutes is None else folder / _FILE
        self._shares: dict[str, float] = {}
        self._used: dict[str, float] = {}
        if resume and self._path is not None and self._path.is_file():
            self._read(self._path)

    def share(self, name: str) -> float | None:
        """Minutes for the next member."""
        if self.minutes is None:
            return None
        if name not in self._shares:
            whole = _FOR_MEMBERS * self.minutes
            left = whole - sum(self._used.values())
            equal = left / max(1, self.members - len(self._used))
            self._shares[name] = max(equal, _LEAST * whole / self.members)
            self._write()
        return self._shares[name]

    def done(self, name: str, minutes: float, *, resumed: bool) -> None:
        """A member is fitted, and took so long.

        Args:
            name: the member's.
            minutes: that it took in this process.
            resumed: it may have begun in an earlier one, so that all of its share counts as used.
        """
        if self.minutes is None or name in self._used:
            return
        self._used[name] = max(minutes, self._shares[name]) if resumed else minutes
        self._write()

    def knows(self, name: str) -> bool:
        """Whether a member has been given its share."""
        return name in self._shares

    def _read(self, path: Path) -> None:
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if (kept["minutes"], kept["members"]) == (self.minutes, self.members):
                self._shares = {name: float(value) for name, value in kept["shares"].items()}
                self._used = {name: float(value) for name, value in kept["used"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return  # a damaged note costs a good division of the time, and nothing else

    def _write(self) -> None:
        if self._path is None:
            return
        kept = {
            "minutes": self.minutes,
            "members": self.members,
            "shares": self._shares,
            "used": self._used,
        }
        write_bytes(self._path, json.dumps(kept).encode())
