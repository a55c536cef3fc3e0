"""What ``check_folder`` says: counts, and problems with the file, the fault and the way out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        severity: ``"error"``: oddlens refuses this, or results would be wrong;
            ``"warning"``: worth a look.
        path: the file or folder, relative to the checked folder; ``"."`` for all of it.
        message: what is wrong, as a clause that follows the path.
    """

    severity: Severity
    path: str
    message: str


@dataclass(frozen=True)
class CheckSummary:
    """Counts over a checked folder.

    Attributes:
        root: the folder, as given.
        layout: ``"mvtec"`` or ``"folder"`` (a plain folder of normal images).
        images: image files, without masks.
        unreadable: those of them that cannot be decoded.
        masks: mask files.
        folders: images by folder, relative to ``root``.
        sizes: readable images by ``"<width>x<height>"``, the commonest first.
        grey: readable images with R = G = B everywhere.
        colour: the other readable images.
        ignored: files that are not looked at, by their names' ending.
    """

    root: str
    layout: Literal["mvtec", "folder"]
    images: int
    unreadable: int
    masks: int
    folders: dict[str, int]
    sizes: dict[str, int]
    grey: int
    colour: int
    ignored: dict[str, int]


@dataclass(frozen=True)
class CheckReport:
    """What ``check_folder`` found.

    Attributes:
        summary: the counts.
        problems: errors first, then by path in natural order.
    """

    summary: CheckSummary
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """True when there is no error; there may be warnings."""
        return all(problem.severity != "error" for problem in self.problems)

    def to_json(self) -> str:
        """Give the report as a JSON object with ``ok``, ``summary`` and ``problems``."""
        return json.dumps({"ok": self.ok, **asdict(self)}, indent=2)
