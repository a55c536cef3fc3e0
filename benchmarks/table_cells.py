"""Cells and origins of the tables in README.md and docs/, from records in results/."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
NOT_RUN = "not run"
UNKNOWN = "–"

Record = Mapping[str, Any]
Records = Sequence[Record]

DATA = {"bottle": "MVTec AD, bottle", "magnetic_tile": "magnetic tile"}
"""Data sets in the order of the tables; others that have records follow."""


def read(name: str, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """The records of ``<folder>/<name>.jsonl``, none where there is no such file."""
    path = folder / f"{name}.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def metric(record: Record, name: str) -> float | None:
    """One metric of a record, or None where it was not measured."""
    value = (record.get("metrics") or {}).get(name)
    return None if value is None else float(value)


def spread(values: Iterable[float | None], scale: float = 100.0, digits: int = 1) -> str:
    """Mean ± sample standard deviation; the mean alone of a single value."""
    known = [scale * value for value in values if value is not None]
    if not known:
        return NOT_RUN
    mean = f"{fmean(known):.{digits}f}"
    return f"{mean} ± {stdev(known):.{digits}f}" if len(known) > 1 else mean


def percent(records: Records, name: str) -> str:
    """A share in [0, 1] over the seeds, in percent."""
    return spread(metric(record, name) for record in records)


def milliseconds(records: Records) -> str:
    """Mean milliseconds an image; the spread would be the machine's, not the method's."""
    known = [value for record in records if (value := metric(record, "ms_per_image")) is not None]
    return f"{fmean(known):.0f}" if known else NOT_RUN


def seeds(records: Records) -> str:
    """The seeds behind a row."""
    found = sorted({int(record["seed"]) for record in records if record.get("seed") is not None})
    return ", ".join(map(str, found)) or NOT_RUN


def options(record: Record) -> str:
    """The options that a record sets, as code; "" for the defaults."""
    given = record.get("options") or {}
    return ", ".join(f"`{name}={_plain(value)}`" for name, value in sorted(given.items()))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def minutes(record: Record) -> str:
    """The training budget: minutes, or steps where they were fixed."""
    value = record.get("minutes")
    if value is None:
        return f"{record['steps']:,} steps" if record.get("steps") else NOT_RUN
    return f"{value:g}"


def markdown(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [list(headers), ["---"] * len(headers), *map(list, rows)]
    return "\n".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in r)} |" for r in lines)


def grouped(records: Records, *keys: Callable[[Record], str]) -> dict[tuple[str, ...], Records]:
    """Records by the values of ``keys``, in the order of their first appearance."""
    found: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        found.setdefault(tuple(key(record) for key in keys), []).append(record)
    return dict(found)


def data_of(record: Record) -> str:
    """The name of a record's data set."""
    return str(record.get("data", "unknown"))


def in_order(names: Iterable[str]) -> list[str]:
    """Data sets in the order of ``DATA``, others behind."""
    found = dict.fromkeys(names)
    return [*(name for name in DATA if name in found), *(n for n in found if n not in DATA)]


# --- where the numbers come from --------------------------------------------------------------


def origin(records: Records, file: str) -> str:
    """One line: commits, commands, hardware, seeds and the file of the records."""
    if not records:
        return f"Not run yet: there is no record in `results/{file}.jsonl`."
    known = [record["provenance"] for record in records if record.get("provenance")]
    if not known:
        return f"From `results/{file}.jsonl`, which does not say where it comes from."
    commits = distinct(_commit(one) for one in known)
    parts = [
        f"Commit{'s' if len(commits) > 1 else ''} {', '.join(commits)}",
        ", ".join(f"`{command}`" for command in distinct(_command(one) for one in known)),
        "; ".join(distinct(_hardware(one) for one in known)),
        f"seeds {seeds(records)}" if seeds(records) != NOT_RUN else "",
        f"records in `results/{file}.jsonl`",
    ]
    return "; ".join(part for part in parts if part) + "."


def distinct(values: Iterable[str]) -> list[str]:
    """Each text once, without empty ones, in the order of their first appearance."""
    return list(dict.fromkeys(value for value in values if value))


def _commit(one: Record) -> str:
    return f"{one.get('commit') or 'unknown'}{' with changes' if one.get('dirty') else ''}"


def _command(one: Record) -> str:
    """The command without what names a place on somebody's machine."""
    words = shlex.split(str(one.get("command") or ""))
    if "--keep" in words:
        at = words.index("--keep")
        del words[at : at + 2]
    return shlex.join(Path(word).name if word.startswith("/") else word for word in words)


def _hardware(one: Record) -> str:
    machine = one.get("hardware") or {}
    device = machine.get("device", "cpu")
    on = machine.get("cpu", "unknown machine") if device == "cpu" else device
    torch = f", torch {one['torch']}" if one.get("torch") else ""
    return (
        f"{on}, {machine.get('threads', '?')} threads on {machine.get('cores', '?')} cores{torch}"
    )
