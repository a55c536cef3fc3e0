"""Tables of protocols with one trial a seed: out of distribution, and presentation attacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from oddlens.evaluation.summary import Published, Summary, published
from oddlens.tables.beside import figures_of, sources_of, told_not_run
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


def found_of(protocol: str, folder: Path, data: str | None, needed: Sequence[str] = ()) -> Found:
    """What was run: on one data set, or on those needed and all that there are records of."""
    sets = [*needed, *data_sets(protocol, folder)] if data is None else [data]
    return [(each, summaries_of(protocol, each, folder)) for each in dict.fromkeys(sets)]


def origins(protocol: str, folder: Path, found: Found) -> str:
    """Where the numbers come from, a paragraph a data set."""
    lines = [told_origin(every, file_of(protocol, each, folder)) for each, every in found]
    absent = folder / f"{protocol.replace('-', '_')}_*.jsonl"
    return "\n\n".join(lines) or told_origin([], absent)


OUT_OF_DISTRIBUTION = (
    *("normal", "odd", "detector", "budget", "AUROC", "FPR at 95 % TPR"),
    *("false alarms at 95 % found", "ms an image", "seeds"),
)


def out_of_distribution(
    folder: Path, data: str | None = None, needed: Sequence[tuple[str, str]] = ()
) -> str:
    """A row for each pair of data sets, method and budget; methods without any record are named.

    FPR at 95 % TPR takes normal images as the positive ones, as ODIN has it; the column behind it
    takes the odd ones. Lower is better in both. Records from before they had intervals are shown
    without.

    Args:
        folder: of the records.
        data: only with this one as the normal one.
        needed: pairs, the normal one first, that are told even where they were not run.
    """
    found = found_of(OOD, folder, data, [normal for normal, _ in needed])
    rows: list[list[str]] = []
    absent: list[str] = []
    others: list[Published] = []
    for each, every in found:
        names = [*map(_odd, every), *(odd for normal, odd in needed if normal == each)]
        for odd in dict.fromkeys(names):
            mine = [one for one in every if _odd(one) == odd]
            pair = [data_title(each), data_title(odd)]
            rows += [_ours(pair, one, _OOD) for one in mine] or [
                _not_run(OUT_OF_DISTRIBUTION, *pair)
            ]
            absent += [told_not_run(mine, f"on {' against '.join(pair)}")] if mine else []
            theirs = [one for one in published(OOD, each) if one.setting["odd"] == odd]
            rows += [_of_others(one, pair, _OOD) for one in theirs]
            others += theirs
    rows = rows or [_not_run(OUT_OF_DISTRIBUTION)]
    parts = [markdown(OUT_OF_DISTRIBUTION, rows), " ".join(filter(None, absent))]
    parts.append(sources_of(others))
    return "\n\n".join(filter(None, [*parts, origins(OOD, folder, found)]))


def _ours(of: Sequence[str], summary: Summary, names: Sequence[str]) -> list[str]:
    return [
        *(*of, f"**oddlens {titled(summary)}**", budget(summary)),
        *(measured(summary.records, name) for name in names),
        *(milliseconds(summary.records), seeds_of(summary.records)),
    ]


def _not_run(headers: Sequence[str], *known: str) -> list[str]:
    return [*known, *[NOT_RUN] * (len(headers) - len(known))]


def _of_others(other: Published, of: Sequence[str], names: Sequence[str]) -> list[str]:
    """A row of what others published: no budget, no milliseconds, no seeds."""
    who = f"{other.who}, as published"
    return [*of, who, UNKNOWN, *figures_of(other, names), UNKNOWN, UNKNOWN]


_OOD = ("image_auroc", "fpr_at_95_tpr", "false_alarms_at_95_found")


def _odd(summary: Summary) -> str:
    return str(summary.records[0].setting.get("odd", UNKNOWN))


PRESENTATION_ATTACK = (
    *("data", "detector", "budget", "AUROC", "EER", "APCER at 5 % BPCER, worst kind"),
    *("the same, all kinds as one", "APCER", "BPCER", "ACER", "ms an image", "seeds"),
)
_RATES = (
    *("image_auroc", "eer", "apcer_at_bpcer", "apcer_at_bpcer_pooled", "apcer", "bpcer", "acer"),
)


def presentation_attack(folder: Path, data: str | None = None, needed: Sequence[str] = ()) -> str:
    """A row for each method and budget, what others published, and a table of kinds of attack.

    The last three rates are at the threshold that held-out bona fide training images give, those
    before at one that the test set gives.

    Args:
        folder: of the records.
        data: only this data set.
        needed: data sets that are told even where they were not run.
    """
    found = found_of(ATTACKS, folder, data, needed)
    table, sources = with_others(
        ATTACKS, found, PRESENTATION_ATTACK, _of_attacks, lambda title, one: [title], _RATES
    )
    kinds = [_kinds(data_title(each), every) for each, every in found]
    return "\n\n".join(filter(None, [table, *kinds, sources, origins(ATTACKS, folder, found)]))


def with_others(
    protocol: str,
    found: Found,
    headers: Sequence[str],
    ours: Callable[[str, Summary], list[list[str]]],
    of: Callable[[str, Published], list[str]],
    names: Sequence[str],
) -> tuple[str, str]:
    """A table of our rows of each data set and those of others, and where the latter come from.

    Args:
        protocol: whose published figures.
        found: data sets with what was run of them; without, they are told as not run.
        headers: of the table.
        ours: the rows of a summary, from the data set's title and it.
        of: the first cells of a row of others, likewise.
        names: the metrics in the table, see ``figures_of``.
    """
    rows: list[list[str]] = []
    others: list[Published] = []
    for each, every in found:
        title, theirs = data_title(each), published(protocol, each)
        rows += [row for one in every for row in ours(title, one)] or [_not_run(headers, title)]
        rows += [_of_others(one, of(title, one), names) for one in theirs]
        others += theirs
    return markdown(headers, rows or [_not_run(headers)]), sources_of(others)


def _of_attacks(title: str, summary: Summary) -> list[list[str]]:
    return [_ours([title], summary, _RATES)]


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
