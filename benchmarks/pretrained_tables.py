"""The table of frozen encoders: AnoMem, its variants and PatchCore's recipe on one encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.table_cells import (
    DATA,
    RESULTS,
    Record,
    data_of,
    in_order,
    origin,
    percent,
    read,
)
from oddlens.tables.cells import NOT_RUN, markdown

PRETRAINED = "pretrained"
HEADERS = (
    *("data", "detector", "image AUROC", "pixel AUROC", "AUPRO", "fit, s", "ms an image"),
    *("beyond the encoder", "kept of normals, KiB", "seed"),
)


def pretrained(folder: Path = RESULTS) -> str:
    """One row a record, by data set."""
    records = read(PRETRAINED, folder)
    order = in_order(map(data_of, records))
    rows = [_row(each) for each in sorted(records, key=lambda one: order.index(data_of(one)))]
    table = markdown(HEADERS, rows or [[NOT_RUN] * len(HEADERS)])
    return f"{table}\n\n{origin(records, PRETRAINED)}"


def _row(record: Record) -> list[str]:
    figures = [percent([record], name) for name in ("image_auroc", "pixel_auroc", "aupro")]
    pace: dict[str, Any] = record.get("ms_an_image") or {}
    kept = record.get("memory_bytes")
    return [
        DATA.get(data_of(record), data_of(record)),
        str(record.get("label", "")),
        *figures,
        *(_number(record.get("fit_seconds")), _number(pace.get("all"))),
        *(_number(pace.get("beyond")), _number(None if kept is None else kept / 1024)),
        str(record.get("seed", "")),
    ]


def _number(value: Any) -> str:
    if value is None:
        return NOT_RUN
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
