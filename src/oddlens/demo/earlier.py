"""Surface data that an earlier version of the demo made: when they may be replaced.

Such a version left no list of what it wrote, but the first line of its README says how many images
of each part it made, and the README was written last. So a folder that holds exactly these files,
none of them changed after the README, holds only what the demo wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from oddlens.demo.defects import DEFECTS
from oddlens.demo.whole import README, marker_of
from oddlens.errors import DataError

EDITION = 3
"""Of the data: goes up whenever the same arguments give other images. 1 were crops that overlap,
2 tiles, each with defects of one kind; neither told its number."""

_START = "oddlens demo data: "


def data_marker(**facts: object) -> str:
    """First line of the README: this edition, and the arguments of the data."""
    told = {"edition": EDITION, **facts}
    return _START + " ".join(f"{name}={value}" for name, value in told.items())


def made_earlier(out: Path, surface: str, seed: int) -> bool:
    """Whether a folder holds what an earlier edition made of the same surface and seed.

    Args:
        out: the folder.
        surface: that is asked for now.
        seed: that is asked for now.

    Raises:
        DataError: it does, but not only that: files were added, taken away or changed.
    """
    facts = _facts(marker_of(out))
    asked = {"surface": surface, "seed": str(seed)}
    if not facts.items() >= asked.items() or int(facts.get("edition", 1)) >= EDITION:
        return False
    if out.is_symlink():  # Its target lies elsewhere, and is not ours to remove.
        return False
    other = _other(out, {name: int(facts[name]) for name in ("train", "good", "defective")})
    if other is not None:
        raise DataError(
            f"{out}: demo data that an earlier version made and that were changed since ({other}); "
            "keep what is yours, then delete this folder, or choose another one for the demo"
        )
    return True


def _facts(line: str) -> dict[str, str]:
    """What the marker of any edition says; empty where the line is none."""
    pattern = re.escape(_START) + (
        r"(?:edition=(?P<edition>\d+) )?surface=(?P<surface>\w+) seed=(?P<seed>\d+) size=\d+ "
        r"(?:grid=\d+ )?train=(?P<train>\d+) good=(?P<good>\d+) defective=(?P<defective>\d+)"
    )
    found = re.fullmatch(pattern, line)
    return {name: text for name, text in found.groupdict().items() if text} if found else {}


def _other(out: Path, counts: dict[str, int]) -> str | None:
    """The first file in which a folder differs from what the demo wrote; None without one."""
    written = set(_written(**counts))
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*")}
    files = {name for name, path in found.items() if path.is_symlink() or not path.is_dir()}
    if files != written:
        return min(files ^ written)
    finished = (out / README).stat().st_mtime_ns
    for name in sorted(files):
        if found[name].is_symlink() or found[name].stat().st_mtime_ns > finished:
            return name
    return None


def _written(train: int, good: int, defective: int) -> Iterator[str]:
    """The files of every edition so far, relative to the folder."""
    yield README
    for part, count in (("train", train), ("test", good)):
        yield from (f"{part}/good/{index:03d}.png" for index in range(count))
    # Kinds in turn: the first ones have one more where the number is not a multiple.
    places = product(range(defective), DEFECTS)
    for (number, kind), _ in zip(places, range(defective), strict=False):
        yield f"test/{kind}/{number:03d}.png"
        yield f"ground_truth/{kind}/{number:03d}_mask.png"
