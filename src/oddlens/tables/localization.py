"""The table of localization: categories, and their mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from oddlens.evaluation.records import Record
from oddlens.evaluation.summary import Summary
from oddlens.tables.cells import (
    UNKNOWN,
    measured,
    milliseconds,
    seeds_of,
    value_of,
)
from oddlens.tables.rates import found_of, origins, with_others
from oddlens.tables.told import budget, titled

PROTOCOL = "localization"
FIGURES = ("image_auroc", "pixel_auroc", "aupro", "pixel_ap")
HEADERS = (
    *("data", "category", "detector", "budget"),
    *("image AUROC", "pixel AUROC", "AUPRO", "pixel AP", "ms an image", "seeds"),
)


def localization(folder: Path, data: str | None = None, needed: Sequence[str] = ()) -> str:
    """A row for each category, method and budget; means of several categories, and of others.

    Args:
        folder: of the records.
        data: only this data set.
        needed: data sets that are told even where they were not run.
    """
    found = found_of(PROTOCOL, folder, data, needed)
    table, sources = with_others(
        PROTOCOL, found, HEADERS, _rows, lambda title, other: [title, other.of], FIGURES
    )
    return "\n\n".join(filter(None, [table, sources, origins(PROTOCOL, folder, found)]))


def _rows(title: str, summary: Summary) -> list[list[str]]:
    who = [f"**oddlens {titled(summary)}**", budget(summary)]
    rows = []
    for category in summary.classes:
        mine = [each for each in summary.records if each.target == category]
        figures = [measured(mine, name) for name in FIGURES]
        rows.append([title, category, *who, *figures, milliseconds(mine), seeds_of(mine)])
    if len(rows) > 1:
        means = [_mean(summary.records, name) for name in FIGURES]
        last = [milliseconds(summary.records), seeds_of(summary.records)]
        rows.append([title, f"**mean of {len(rows)}**", *who, *means, *last])
    return rows


def _mean(records: Sequence[Record], name: str) -> str:
    """Mean over the categories that have the figure, of their means over seeds."""
    found: dict[str, list[float]] = {}
    for record in records:
        value = value_of(record, name)
        if value is not None:
            found.setdefault(record.target, []).append(value)
    return f"{100 * fmean(map(fmean, found.values())):.1f}" if found else UNKNOWN
