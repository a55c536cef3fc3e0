"""Write the tables of README.md and docs/ anew from the records in results/.

    python benchmarks/tables.py            # rewrite what differs
    python benchmarks/tables.py --check    # say what differs, and fail if anything does

A table stands between ``<!-- table:NAME -->`` and ``<!-- end -->``; NAME is a key of ``TABLES``.
What has no record reads "not run". The numbers of others, and their sources, are in
references.json.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
REFERENCES = ROOT / "benchmarks" / "references.json"
NOT_RUN = "not run"
UNKNOWN = "–"

Record = Mapping[str, Any]
Records = Sequence[Record]

BLOCK = re.compile(r"<!-- table:(\w+) -->\n(.*?)<!-- end -->", re.DOTALL)
DATA = {"bottle": "MVTec AD, bottle", "magnetic_tile": "magnetic tile"}
"""Data sets in the order of the tables; others that have records follow."""


def read(name: str, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """The records of ``<folder>/<name>.jsonl``, none where there is no such file."""
    path = folder / f"{name}.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


# --- cells ------------------------------------------------------------------------------------


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
    commits = _each(_commit(one) for one in known)
    parts = [
        f"Commit{'s' if len(commits) > 1 else ''} {', '.join(commits)}",
        ", ".join(f"`{command}`" for command in _each(_command(one) for one in known)),
        "; ".join(_each(_hardware(one) for one in known)),
        f"seeds {seeds(records)}" if seeds(records) != NOT_RUN else "",
        f"records in `results/{file}.jsonl`",
    ]
    return "; ".join(part for part in parts if part) + "."


def _each(values: Iterable[str]) -> list[str]:
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


# --- tables -----------------------------------------------------------------------------------

LOCALIZATION, ABLATION, SPEED = "ssm_localization", "ssm_ablation", "speed"
BASELINES = ("default", "training default")
"""The groups of the unchanged detector, which heads every other group of the same script."""
HEADLINES = ("default", "surface")
"""Labels of the runs that the documents lead with: as it comes, and ``subject=surface``."""
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
    sources = _each(f"{other['who']} ({other['source']})" for other in others)
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


TABLES: dict[str, Callable[[Path], str]] = {
    "ssm_headline": ssm_headline,
    "ssm_defects": ssm_defects,
    "ssm_trials": ssm_trials,
    "ssm_ablations": ssm_ablations,
    "speed": speed,
}


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
    if low is None or high is None:
        return f"{100 * value:.1f}"
    return f"{100 * value:.1f} ({100 * low:.1f}–{100 * high:.1f})"


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


def rewritten(text: str, folder: Path = RESULTS) -> str:
    """A document with every table made anew.

    Raises:
        ValueError: a table is unknown, or a marker has no partner.
    """
    opened, closed = text.count("<!-- table:"), text.count("<!-- end -->")
    if not opened == closed == len(BLOCK.findall(text)):
        raise ValueError("the markers <!-- table:NAME --> and <!-- end --> do not pair up")

    def fresh(found: re.Match[str]) -> str:
        name = found[1]
        if name not in TABLES:
            raise ValueError(f"there is no table {name!r}: there are {', '.join(TABLES)}")
        return f"<!-- table:{name} -->\n{TABLES[name](folder)}\n<!-- end -->"

    return BLOCK.sub(fresh, text)


def differing(root: Path = ROOT) -> dict[Path, str]:
    """The documents whose tables differ from the records, with their text as it should be."""
    found = {}
    for path in documents(root):
        text = path.read_text(encoding="utf-8")
        try:
            fresh = rewritten(text, root / "results")
        except ValueError as error:
            raise ValueError(f"{path.relative_to(root)}: {error}") from error
        if fresh != text:
            found[path] = fresh
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
