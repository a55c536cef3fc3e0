"""The tables of exported files and of the service, as ``onnx_speed.py`` and ``serving.py`` measure.

Of several runs with one method the latest whole one is shown; one that was cut off is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.table_cells import RESULTS, Record, Records, origin, read
from oddlens.detectors import get_method
from oddlens.tables.cells import NOT_RUN, markdown

CLIENTS, PARTS = (1, 8, 32), (50, 99)
LATENCIES = tuple((f"p{part}", clients) for clients in CLIENTS for part in PARTS)
TIMES = ("torch", "onnxruntime", "torch against onnxruntime")
ONNX, SERVING = "onnx_speed", "serving"
EXPORTED = (
    *("detector", "images, px", "torch, ms an image", "onnxruntime, ms an image", "times faster"),
    *("largest relative deviation", "file, MiB"),
)
SERVED = (
    *("detector", "in process, images/s", "service, images/s", "share"),
    *("p50 / p99 of 1 client, ms", "of 8", "of 32"),
)
LOADED = (
    *("detector", "requests", "scored", "bad, refused", "lost", "wrong", "busy, tried again"),
    *("requests/s", "memory at the end, MiB", "growth, MiB"),
)


def exported(folder: Path = RESULTS) -> str:
    """Every method: torch against onnxruntime on the same arrays, and how far apart they are."""
    latest = _latest(read(ONNX, folder), (*TIMES, "largest deviation", "file"))
    rows = [
        [
            method,
            ", ".join(map(str, each["torch"]["image_sizes"])),
            *(_number(each[what]) for what in TIMES),
            f"{each['largest deviation']['value']:.0e}",
            _number(each["file"]),
        ]
        for method, each in latest.items()
    ]
    table = markdown(EXPORTED, rows or [[NOT_RUN] * len(EXPORTED)])
    return f"{table}\n\n{origin(_shown(latest), ONNX)}"


def served(folder: Path = RESULTS) -> str:
    """Throughput of full batches beside that in process, and latencies of single images."""
    rows = []
    needed = ("in process", "service", "service against in process", *LATENCIES)
    latest = _latest(read(SERVING, folder), needed)
    for method, each in latest.items():
        pace = [_number(each[what]) for what in ("in process", "service")]
        share = f"{each['service against in process']['value']:.2f}"
        waits = [
            " / ".join(_number(each[f"p{part}", clients]) for part in PARTS) for clients in CLIENTS
        ]
        rows.append([get_method(method).__name__, *pace, share, *waits])
    table = markdown(SERVED, rows or [[NOT_RUN] * len(SERVED)])
    return f"{table}\n\n{origin(_shown(latest), SERVING)}"


def loaded(folder: Path = RESULTS) -> str:
    """The long load: what came of every request, and what memory did meanwhile."""
    rows = []
    needed = (("load", 32), "load", "memory at the end", "memory growth")
    latest = _latest(read(SERVING, folder), needed)
    for method, each in latest.items():
        counts = each["load", 32]
        names = ("requests", "scored", "refused as they should", "lost", "wrong")
        told = [f"{counts[name]:,}" for name in (*names, "busy, tried again")]
        rest = [_number(each[what]) for what in ("load", "memory at the end", "memory growth")]
        rows.append([get_method(method).__name__, *told, *rest])
    table = markdown(LOADED, rows or [[NOT_RUN] * len(LOADED)])
    return f"{table}\n\n{origin(_shown(latest), SERVING)}"


def _latest(records: Records, needed: Sequence[object]) -> dict[str, dict[object, Record]]:
    """By method, and then by what was measured; and of how many clients, where it was asked of.

    A run measures each thing once, so that one which is there already begins another run.
    """
    runs: dict[str, list[dict[object, Record]]] = {}
    for record in records:
        what, clients = record["what"], record.get("clients")
        key = what if clients is None or "batch" in record else (what, clients)
        of_method = runs.setdefault(record["method"], [{}])
        if key in of_method[-1]:
            of_method.append({})
        of_method[-1][key] = record
    whole = {
        name: [run for run in each if set(needed) <= run.keys()] for name, each in runs.items()
    }
    return {name: each[-1] for name, each in whole.items() if each}


def _shown(latest: dict[str, dict[object, Record]]) -> Records:
    return [record for each in latest.values() for record in each.values()]


def _number(record: Record) -> str:
    value = float(record["value"])
    return f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"
