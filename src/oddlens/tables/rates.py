"""Tables of protocols with one trial a seed: out of distribution, and presentation attacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oddlens.evaluation.summary import Summary
from oddlens.tables.cells import (
    NOT_RUN,
    UNKNOWN,
    markdown,
    measured,
    milliseconds,
    seeds_of,
    spread,
)
from oddlens.tables.provenance import told_origin
from oddlens.tables.told import budget, data_sets, data_title, file_of, summaries_of, titled

OOD, ATTACKS = "out-of-distribution", "presentation-attack"

Found = list[tuple[str, list[Summary]]]
"""The tables of each data set, by its name."""


def found_of(protocol: str, folder: Path, data: str | None) -> Found:
    """What was run: on one data set, or on all that there are records of."""
    sets = data_sets(protocol, folder) if data is None else [data]
    return [(each, summaries_of(protocol, each, folder)) for each in sets]


def origins(protocol: str, folder: Path, found: Found) -> str:
    """Where the numbers come from, a paragraph a data set."""
    lines = [told_origin(every, file_of(protocol, each, folder)) for each, every in found]
    absent = folder / f"{protocol.replace('-', '_')}_*.jsonl"
    return "\n\n".join(lines) or told_origin([], absent)


OUT_OF_DISTRIBUTION = (
    *("normal", "odd", "detector", "budget", "AUROC", "FPR at 95 % TPR"),
    *("false alarms at 95 % found", "ms an image", "seeds"),
)


def out_of_distribution(folder: Path, data: str | None = None) -> str:
    """A row for each pair of data sets, method and budget.

    FPR at 95 % TPR takes normal images as the positive ones, as ODIN has it; the column behind it
    takes the odd ones. Lower is better in both.
    """
    found = found_of(OOD, folder, data)
    rows = [
        [
            *(data_title(each), _odd(one), f"**oddlens {titled(one)}**", budget(one)),
            *(measured(one.records, name) for name in _OOD),
            *(milliseconds(one.records), seeds_of(one.records)),
        ]
        for each, every in found
        for one in every
    ]
    table = markdown(OUT_OF_DISTRIBUTION, rows or [[NOT_RUN] * len(OUT_OF_DISTRIBUTION)])
    return f"{table}\n\n{origins(OOD, folder, found)}"


_OOD = ("image_auroc", "fpr_at_95_tpr", "false_alarms_at_95_found")


def _odd(summary: Summary) -> str:
    return data_title(str(summary.records[0].setting.get("odd", UNKNOWN)))


PRESENTATION_ATTACK = (
    *("data", "detector", "budget", "AUROC", "EER", "APCER at 5 % BPCER, worst kind"),
    *("the same, all kinds as one", "APCER", "BPCER", "ACER", "ms an image", "seeds"),
)
_RATES = (
    *("image_auroc", "eer", "apcer_at_bpcer", "apcer_at_bpcer_pooled", "apcer", "bpcer", "acer"),
)


def presentation_attack(folder: Path, data: str | None = None) -> str:
    """A row for each method and budget, and below it one for each kind of attack.

    The last three rates are at the threshold that held-out bona fide training images give, those
    before at one that the test set gives.
    """
    found = found_of(ATTACKS, folder, data)
    rows = [
        [
            *(data_title(each), f"**oddlens {titled(one)}**", budget(one)),
            *(measured(one.records, name) for name in _RATES),
            *(milliseconds(one.records), seeds_of(one.records)),
        ]
        for each, every in found
        for one in every
    ]
    table = markdown(PRESENTATION_ATTACK, rows or [[NOT_RUN] * len(PRESENTATION_ATTACK)])
    kinds = [_kinds(data_title(each), every) for each, every in found]
    return "\n\n".join([table, *filter(None, kinds), origins(ATTACKS, folder, found)])


def _kinds(title: str, found: Sequence[Summary]) -> str:
    """AUROC and APCER at 5 % BPCER of each kind of attack, a pair of columns a method."""
    names = dict.fromkeys(kind for one in found for each in one.records for kind in each.by_kind)
    if not names:
        return ""
    headers = [
        f"{titled(one)}, {budget(one)}: {what}"
        for one in found
        for what in ("AUROC", "APCER at 5 % BPCER")
    ]
    rows = [
        [
            kind,
            *(cell for one in found for cell in (_auroc_of(one, kind), _apcer_of(one, kind))),
        ]
        for kind in names
    ]
    return markdown([f"{title}, kind of attack", *headers], rows)


def _auroc_of(summary: Summary, kind: str) -> str:
    values = [each.by_kind.get(kind) for each in summary.records]
    return spread(values) if any(value is not None for value in values) else UNKNOWN


def _apcer_of(summary: Summary, kind: str) -> str:
    return measured(summary.records, f"apcer_at_bpcer of {kind}")
