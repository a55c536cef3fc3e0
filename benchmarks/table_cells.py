"""Cells of the tables of this repository's own measurements, from records in results/."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from oddlens.tables.cells import NOT_RUN, spread
from oddlens.tables.provenance import origin as told

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"

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


def origin(records: Records, file: str) -> str:
    """Where the numbers of ``results/<file>.jsonl`` come from."""
    return told(records, f"results/{file}.jsonl")
