"""Write the tables of README.md and docs/ anew from the records in results/.

    python -m benchmarks.tables            # rewrite what differs
    python -m benchmarks.tables --check    # say what differs, and fail if anything does

A table stands between ``<!-- table:NAME -->`` and ``<!-- end -->``; NAME is a key of ``OWN``, the
tables of what the scripts beside this one measured, or a name that ``oddlens tables`` knows. What
has no record reads "not run". The numbers of others, and their sources, are in references.json.
The picture of few labelled anomalies is compared and drawn anew as well.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.anomem_ablation_tables import anomem_ablation, no_ablation
from benchmarks.headline_table import LABELS as HEADLINES
from benchmarks.headline_table import LOCALIZATION, REFERENCES, headline
from benchmarks.pretrained_tables import pretrained
from benchmarks.serving_tables import exported, loaded, served
from benchmarks.table_cells import (
    DATA,
    RESULTS,
    ROOT,
    Record,
    Records,
    data_of,
    grouped,
    in_order,
    metric,
    milliseconds,
    minutes,
    options,
    origin,
    percent,
    read,
    seeds,
)
from oddlens.errors import OddlensError
from oddlens.tables import render, rewritten
from oddlens.tables.by_class import by_class, variants
from oddlens.tables.cells import NOT_RUN, UNKNOWN, distinct, markdown, spread, with_interval
from oddlens.tables.picture import as_svg

PICTURE = Path("docs", "images", "few_anomalies.svg")


# --- tables -----------------------------------------------------------------------------------

ABLATION, SPEED = "ssm_ablation", "speed"
BASELINES = ("default", "training default")
"""The groups of the unchanged detector, which heads every other group of the same script."""
FIGURES = ("image_auroc", "pixel_auroc", "aupro", "pixel_ap")
RATES = ("detection_rate", "false_alarm_rate_seen", "false_alarm_rate_guaranteed")
COSTS = ("fit_seconds", "peak_memory_mib")
HEADLINE = (
    *("data", "detector", "minutes", "image AUROC", "pixel AUROC", "AUPRO", "pixel AP"),
    *("ms an image", "seeds"),
)


def ssm_headline(folder: Path = RESULTS) -> str:
    """SSM as users run it beside the published numbers, in percent, mean ± std over seeds."""
    records = _headline(folder)
    others = json.loads(REFERENCES.read_text(encoding="utf-8"))
    rows: list[list[str]] = []
    for data in in_order([*DATA, *map(data_of, records)]):
        title = DATA.get(data, data)
        mine = [record for record in records if data_of(record) == data]
        for (length, given), each in (grouped(mine, minutes, options) or {("", ""): []}).items():
            figures = [percent(each, name) for name in FIGURES]
            who = f"**oddlens SSM**{f', {given}' if given else ''}"
            row = [title, who, length or NOT_RUN, *figures, milliseconds(each), seeds(each)]
            rows.append(row)
        for other in (one for one in others if one["data"] == data):
            known = [other.get(name) for name in FIGURES]
            figures = [UNKNOWN if value is None else f"{100 * value:.1f}" for value in known]
            rows.append([title, other["who"], UNKNOWN, *figures, UNKNOWN, UNKNOWN])
    sources = distinct(f"{other['who']} ({other['source']})" for other in others)
    note = f"The other rows are not ours: {'; '.join(sources)}."
    return f"{markdown(HEADLINE, rows)}\n\n{origin(records, LOCALIZATION)} {note}"


def ssm_defects(folder: Path = RESULTS) -> str:
    """Image AUROC by kind of defect, in percent, mean ± std over seeds."""
    records = _headline(folder)
    rows = []
    for (data, length, given), each in grouped(records, data_of, minutes, options).items():
        kinds = sorted({kind for record in each for kind in record.get("by_defect") or {}})
        for kind in kinds:
            values = [(record.get("by_defect") or {}).get(kind) for record in each]
            title = DATA.get(data, data) + (f", {given}" if given else "")
            rows.append([title, length, kind, spread(values), seeds(each)])
    headers = ("data", "minutes", "defect", "image AUROC", "seeds")
    empty = [[DATA[data], NOT_RUN, NOT_RUN, NOT_RUN, NOT_RUN] for data in DATA]
    return f"{markdown(headers, rows or empty)}\n\n{origin(records, LOCALIZATION)}"


TRIALS = (
    *("data", "configuration", "seed", "minutes", "image AUROC", "pixel AUROC", "AUPRO"),
    *("pixel AP", "found, %", "false alarms, %", "guaranteed, %", "steps", "fit, s", "MiB"),
)


def ssm_trials(folder: Path = RESULTS) -> str:
    """Every trial with its 95 % intervals and what it cost."""
    records = read(LOCALIZATION, folder)
    rows = []
    for record in records:
        data, label = data_of(record), _label(record)
        row = [DATA.get(data, data), label, seeds([record]), minutes(record)]
        row += [_with_interval(record, name) for name in FIGURES]
        row += [percent([record], name) for name in RATES]
        cost = ((record.get("fit") or {}).get("steps"), *map(record.get, COSTS))
        rows.append([*row, *map(_whole, cost)])
    empty = [[NOT_RUN] * len(TRIALS)]
    return f"{markdown(TRIALS, rows or empty)}\n\n{origin(records, LOCALIZATION)}"


def ssm_ablations(folder: Path = RESULTS) -> str:
    """One table a group of ablations, one row a label, the unchanged detector first."""
    records = read(ABLATION, folder)
    base = [record for record in records if _group(record) in BASELINES]
    pieces = []
    for (group,), each in grouped([r for r in records if r not in base], _group).items():
        run = {_run(record) for record in each}
        rows = [*(record for record in base if _run(record) in run), *each]
        pieces.append(f"**{group[:1].upper()}{group[1:]}**\n\n{_ablation(rows)}")
    if not pieces:
        pieces = [_ablation(base)]
    return "\n\n".join([*pieces, origin(records, ABLATION)])


def _ablation(records: Records) -> str:
    """One row a label; the columns of one data set and training budget stand together."""
    found = list(grouped(records, data_of, minutes))
    order = in_order(data for data, _ in found)
    places = sorted(found, key=lambda place: order.index(place[0]))
    names = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "aupro": "AUPRO"}
    headers = [
        f"{data}, {length if 'steps' in length else f'{length} min'}: {name}"
        for data, length in places
        for name in names.values()
    ]
    rows = []
    for (label, given), each in grouped(records, _label, options).items():
        figures: list[str] = []
        by_place: dict[str, list[str]] = {}
        for place in places:
            here = [record for record in each if (data_of(record), minutes(record)) == place]
            figures += [percent(here, name) for name in names]
            if here:
                by_place.setdefault(seeds(here), []).append(place[0])
        told = [f"{which} ({', '.join(where)})" for which, where in by_place.items()]
        rows.append([label, given, *figures, "; ".join(told if len(told) > 1 else by_place)])
    headers = ["what", "options", *headers, "seeds"]
    return markdown(headers, rows or [[NOT_RUN] * len(headers)])


def speed(folder: Path = RESULTS) -> str:
    """What was measured of speed."""
    records = read(SPEED, folder)
    rows = [
        [
            *(_text(each, "what"), _number(each.get("value")), _text(each, "unit")),
            *(_text(each, "note"), _machine(each)),
        ]
        for each in records
    ]
    headers = ("what", "value", "unit", "note", "machine")
    return f"{markdown(headers, rows or [[NOT_RUN] * 5])}\n\n{origin(records, SPEED)}"


OWN: dict[str, Callable[[Path], str]] = {
    "headline": headline,
    "ssm_headline": ssm_headline,
    "ssm_defects": ssm_defects,
    "ssm_trials": ssm_trials,
    "ssm_ablations": ssm_ablations,
    "ablation_anomem_fashion_mnist": partial(anomem_ablation, "fashion-mnist"),
    "one_vs_all_fashion_mnist": partial(by_class, "one-vs-all", "fashion-mnist", shown=no_ablation),
    "variants_fashion_mnist": partial(variants, "fashion-mnist", shown=no_ablation),
    "pretrained": pretrained,
    "speed": speed,
    "exported": exported,
    "served": served,
    "loaded": loaded,
}
"""The tables of this repository's own scripts, and those of the library that are too much here."""


def table(name: str, folder: Path = RESULTS) -> str:
    """A table of ours or of the library; UsageError where there is none."""
    return OWN[name](folder) if name in OWN else render(name, folder)


def _headline(folder: Path) -> list[dict[str, Any]]:
    return [record for record in read(LOCALIZATION, folder) if record.get("label") in HEADLINES]


def _text(record: Record, key: str) -> str:
    return str(record.get(key, ""))


def _label(record: Record) -> str:
    return _text(record, "label")


def _group(record: Record) -> str:
    return str(record.get("group") or "others")


def _run(record: Record) -> tuple[str, str, str]:
    """What an ablation is compared within: one script, one data set, one training budget."""
    words = str((record.get("provenance") or {}).get("command") or "").split()
    return words[1] if len(words) > 1 else "", data_of(record), minutes(record)


def _with_interval(record: Record, name: str) -> str:
    value, low, high = (metric(record, f"{name}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return NOT_RUN
    return with_interval(value, low, high)


def _machine(record: Record) -> str:
    hardware = (record.get("provenance") or {}).get("hardware") or {}
    return str(hardware.get("cpu", "unknown"))


def _whole(value: Any) -> str:
    return NOT_RUN if value is None else f"{value:,.0f}"


def _number(value: Any) -> str:
    if value is None:
        return NOT_RUN
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


# --- documents --------------------------------------------------------------------------------


def documents(root: Path = ROOT) -> list[Path]:
    """The files that may hold tables."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def differing(root: Path = ROOT) -> dict[Path, str]:
    """The documents and the picture that differ from the records, as they should be."""
    found = {}
    for path in documents(root):
        text = path.read_text(encoding="utf-8")
        try:
            fresh = rewritten(text, lambda name: table(name, root / "results"))
        except OddlensError as error:
            raise type(error)(f"{path.relative_to(root)}: {error}") from error
        if fresh != text:
            found[path] = fresh
    picture = root / PICTURE
    if picture.parent.is_dir():
        drawn = as_svg(root / "results").decode()
        if not picture.exists() or picture.read_text(encoding="utf-8") != drawn:
            found[picture] = drawn
    return found


def main() -> int:
    """Rewrite, or with ``--check`` only compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail if one differs")
    call = parser.parse_args()
    found = differing()
    for path, text in found.items():
        print(f"{path.relative_to(ROOT)}: {'differs from results/' if call.check else 'rewritten'}")
        if not call.check:
            path.write_text(text, encoding="utf-8")
    if found and call.check:
        print("write them anew with: make tables", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
