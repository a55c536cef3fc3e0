"""What each subset of a detector's cues is worth, from the records of one-vs-all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from oddlens.evaluation.records import Record
from oddlens.evaluation.summary import Summary, percent
from oddlens.tables.by_class import weight
from oddlens.tables.cells import NOT_RUN, UNKNOWN, markdown
from oddlens.tables.provenance import told_origin
from oddlens.tables.told import file_of, set_by_hand, summaries_of, title_of

PROTOCOL = "one-vs-all"
Value = Callable[[Record], float | None]


def cue_sets(data: str, method: str, folder: Path) -> str:
    """Single cues, subsets and all of a method as it comes; several fusions of all.

    Args:
        data: the data set.
        method: the detector's name.
        folder: of the records.
    """
    found = [
        each
        for each in summaries_of(PROTOCOL, data, folder)
        if each.configuration.method == method and not set_by_hand(each)
        if all(record.cue_set_aurocs for record in each.records)
    ]
    if not found:
        table = markdown(["cues", "fusion", "AUROC"], [["all", "", NOT_RUN]])
        return f"{table}\n\n{told_origin([], file_of(PROTOCOL, data, folder))}"
    longest = max(found, key=weight)
    classes = list(longest.classes)
    fusion = str(longest.records[0].config["fusion"])
    rows = []
    for cues, how, value in _measured(longest.records, fusion):
        means = [_mean(longest, target, value) for target in classes]
        known = [each for each in means if each is not None]
        every = percent(fmean(known)) if len(known) == len(means) else UNKNOWN
        rows.append(
            [cues, how, *(UNKNOWN if each is None else percent(each) for each in means), every]
        )
    table = markdown([f"{title_of(longest)}'s cues", "fusion", *classes, "mean"], rows)
    return f"{table}\n\n{told_origin([longest], file_of(PROTOCOL, data, folder))}"


def _measured(records: Sequence[Record], fusion: str) -> list[tuple[str, str, Value]]:
    """Cues, fusion and how to look it up, in the order of the table.

    Some classes may have cues that others have not: colour, where there is any.
    """

    def alone(name: str) -> Value:
        return lambda record: record.cue_aurocs.get(name)

    def of_set(name: str) -> Value:
        return lambda record: record.cue_set_aurocs.get(name)

    singles = sorted({name for record in records for name in record.cue_aurocs})
    names = list(dict.fromkeys(name for record in records for name in record.cue_set_aurocs))
    some = [(name, fusion, of_set(name)) for name in names if " + " in name]
    ways = [name for name in names if " + " not in name]
    same = all(len(record.cue_aurocs) == len(singles) for record in records)
    all_ = f"all {len(singles)}" if same else "all that there are"
    every = [
        (f"{all_}{' (the score)' if how == fusion else ''}", how, of_set(how))
        for how in sorted(ways, key=lambda how: (how != fusion, how))
    ]
    return [*((name, "", alone(name)) for name in singles), *some, *every]


def _mean(summary: Summary, target: str, value: Value) -> float | None:
    found = [value(record) for record in summary.records if record.target == target]
    known = [each for each in found if each is not None]
    return fmean(known) if len(known) == len(found) else None
