"""Tables of protocols in which each class in turn is normal: one-vs-all and style."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from oddlens.evaluation.protocols import PROTOCOLS
from oddlens.evaluation.summary import Published, Summary, percent, published, told
from oddlens.images.catalogue import CATALOGUE
from oddlens.tables.beside import figures_of, not_run, sources_of, told_not_run
from oddlens.tables.cells import NOT_RUN, UNKNOWN, markdown, measured, milliseconds, seeds_of
from oddlens.tables.provenance import told_origin
from oddlens.tables.told import (
    as_it_comes,
    budget,
    data_sets,
    data_title,
    file_of,
    set_by_hand,
    some_classes,
    summaries_of,
    title_of,
    titled,
    way_of,
)

PROTOCOL = "one-vs-all"
REFERENCE = "multitask"
"""The method whose error others are held against."""

Shown = Callable[[Summary], bool]
"""Whether a table is to tell of a configuration."""


def every_one(_: Summary) -> bool:
    """All configurations."""
    return True


def by_class(protocol: str, data: str, folder: Path, shown: Shown = every_one) -> str:
    """Every class and the mean, of each method as it comes, and what others published.

    A cell of one seed has its 95 % interval, one of several their deviation. Methods without any
    record are named below.

    Args:
        protocol: one-vs-all, style or another that has classes.
        data: the data set.
        folder: of the records.
        shown: of which configurations.
    """
    every = summaries_of(protocol, data, folder)
    found = [each for each in every if shown(each) and as_it_comes(each)]
    file = file_of(protocol, data, folder)
    if not found:
        absent = [markdown(["class", "AUROC"], [["all", NOT_RUN]]), _others(protocol, data)]
        return "\n\n".join(filter(None, [*absent, told_origin([], file)]))
    copies = list(dict.fromkeys(_copy(each) for each in found))
    parts: list[str] = []
    for copy in copies:
        mine = [each for each in found if _copy(each) == copy]
        parts += [f"**{' '.join(filter(None, copy))}**"] if len(copies) > 1 else []
        parts.append(_classes(mine, data))
    parts += [told_not_run(every), _others(protocol, data), told_origin(found, file)]
    return "\n\n".join(part for part in parts if part)


def _copy(summary: Summary) -> tuple[str, str]:
    """What may not stand in one table: other images, another setting."""
    sha256 = summary.configuration.data_sha256
    return f"images {sha256[:8]}" if sha256 else "", told(summary.records[0].setting)


def _classes(found: Sequence[Summary], data: str) -> str:
    known = CATALOGUE[data].classes if data in CATALOGUE else ()
    named = dict.fromkeys(name for one in found for name in one.classes)
    classes = [*(name for name in known if name in named), *(n for n in named if n not in known)]
    rows = [[each, *(_of_class(one, each) for one in found)] for each in classes]
    common = [each for each in classes if all(each in one.classes for one in found)]
    if len(common) < len(classes) and common:
        which = some_classes(common, known or classes)
        rows.append([f"**mean of {which}**", *(mean_of(one, common) for one in found)])
    whole = [one if len(one.classes) == len(classes) else None for one in found]
    if any(whole):
        means = [UNKNOWN if one is None else mean_of(one, classes) for one in whole]
        which = "all" if len(classes) == len(known) else "these"
        rows.append([f"**mean of {which} {len(classes)}**", *means])
    ratios = [_ratio(one, found) for one in found]
    if any(ratios):
        rows.append(["error, relative to MultiTask", *(each or UNKNOWN for each in ratios)])
    rows.append(["ms an image", *(milliseconds(one.records) for one in found)])
    rows.append(["seeds", *(seeds_of(one.records) for one in found)])
    return markdown(["class", *(f"{titled(one)}, {budget(one)}" for one in found)], rows)


def _of_class(summary: Summary, target: str) -> str:
    mine = [each for each in summary.records if each.target == target]
    return measured(mine, "image_auroc") if mine else NOT_RUN


SUMMARY = ("data", "detector", "budget", "classes", "mean AUROC", "ms an image", "seeds")


def by_class_summary(protocol: str, sets: Sequence[str], folder: Path) -> str:
    """One row a method and data set, as it comes, and the published means beside it.

    Of several budgets the one with the most classes, then the longest, then on the faster machine.
    Methods without any record share a row.

    Args:
        protocol: as of ``by_class``.
        sets: data sets that are told even where they were not run; others with records follow.
        folder: of the records.
    """
    rows: list[list[str]] = []
    origins: list[str] = []
    others: list[Published] = []
    for data in dict.fromkeys([*sets, *data_sets(protocol, folder)]):
        found = headlines(protocol, data, folder)
        title = data_title(data)
        if not found:
            rows.append([title, *[NOT_RUN] * (len(SUMMARY) - 1)])
        rows += [_summary_row(one, title, data) for one in found]
        if found and (absent := not_run(summaries_of(protocol, data, folder))):
            rows.append([title, f"**oddlens {absent}**", *[NOT_RUN] * (len(SUMMARY) - 2)])
        rows += [_summary_of(other, title) for other in published(protocol, data)]
        others += published(protocol, data)
        origins.append(told_origin(found, file_of(protocol, data, folder)))
    told_by = sources_of(others, notes=False)
    return "\n\n".join([markdown(SUMMARY, rows), *filter(None, [told_by]), *origins])


def headlines(protocol: str, data: str, folder: Path) -> list[Summary]:
    """Of each method as it comes the table with the most classes, then with the longest budget.

    Where its encoder was chosen, or what the images show, it is another row.
    """
    return [each[0] for each in lengths(protocol, data, folder)]


def lengths(protocol: str, data: str, folder: Path) -> list[list[Summary]]:
    """Of each method as it comes all that it was given, what ``headlines`` tells of first."""
    found: dict[tuple[str, str], list[Summary]] = {}
    for one in summaries_of(protocol, data, folder):
        if as_it_comes(one):
            found.setdefault((titled(one), one.configuration.data_sha256), []).append(one)
    return [sorted(each, key=weight)[::-1] for each in found.values()]  # of equals the latest first


def _summary_row(one: Summary, title: str, data: str) -> list[str]:
    names = list(one.classes)
    known = CATALOGUE[data].classes if data in CATALOGUE else ()
    note = one.configuration.data_note
    return [
        title + (f", {note}" if note else ""),
        *(f"**oddlens {titled(one)}**", budget(one)),
        some_classes(names, known) if known else f"{len(names)}",
        *(mean_of(one, names), milliseconds(one.records), seeds_of(one.records)),
    ]


def _summary_of(other: Published, title: str) -> list[str]:
    of = "all" if other.of == "all classes" else other.of
    figures = figures_of(other, ["image_auroc"])
    return [title, f"{other.who}, as published", UNKNOWN, of, *figures, UNKNOWN, UNKNOWN]


VARIANTS = ("method", "options", "budget", "classes", "AUROC", "each cue alone", "seeds")


def variants(data: str, folder: Path, shown: Shown = every_one) -> str:
    """What options change: each variant below the same as it comes, on the variant's classes.

    Args:
        data: the data set.
        folder: of the records of one-vs-all.
        shown: of which configurations.
    """
    every = [each for each in summaries_of(PROTOCOL, data, folder) if shown(each)]
    rows: list[list[str]] = []
    told_of: list[Summary] = []
    for variant in sorted((each for each in every if not as_it_comes(each)), key=_place):
        classes = list(variant.classes)
        usual = [
            each
            for each in every
            if as_it_comes(each) and way_of(each) == way_of(variant)
            if _place(each)[:2] == _place(variant)[:2]
            if set(classes) <= set(each.classes)
        ]
        for each in (*usual, variant):
            row = _variant(each, classes)
            if row not in rows:
                rows.append(row)
                told_of.append(each)
    table = markdown(VARIANTS, rows or [[NOT_RUN] * len(VARIANTS)])
    return f"{table}\n\n{told_origin(told_of, file_of(PROTOCOL, data, folder))}"


def _variant(summary: Summary, classes: Sequence[str]) -> list[str]:
    records = [record for record in summary.records if record.target in classes]
    names = {name: None for record in records for name in record.cue_aurocs}
    alone = [
        f"{name} {percent(fmean(each.cue_aurocs[name] for each in records))}" for name in names
    ]
    return [
        *(title_of(summary), set_by_hand(summary) or "as it comes", budget(summary)),
        *(", ".join(classes), mean_of(summary, classes), "; ".join(alone)),
        seeds_of(summary.records),
    ]


def _place(summary: Summary) -> tuple[str, str, str]:
    """What a variant is compared within."""
    return summary.configuration.method, budget(summary), ", ".join(summary.classes)


def weight(summary: Summary) -> tuple[int, float, bool]:
    """What a headline goes by: classes, length, and whether minutes were spent in bfloat16."""
    one = summary.configuration
    length = one.minutes or float(one.epochs or 0)
    return len(summary.classes), length, one.precision != "32"


def mean_of(summary: Summary, classes: Sequence[str]) -> str:
    """Mean over classes; with its deviation where all of them are asked for."""
    if summary.mean is not None and len(classes) == len(summary.classes):
        return percent(summary.mean)
    return percent(fmean(summary.classes[each].mean for each in classes))


def _ratio(summary: Summary, every: Sequence[Summary]) -> str:
    """1 - AUROC over that of MultiTask as it comes, on the classes that both have.

    Of several budgets the same where there is one, else the first.
    """
    references = [
        one for one in every if one.configuration.method == REFERENCE and not set_by_hand(one)
    ]
    if not references or summary in references:
        return ""
    classes: list[str] = []
    for reference in sorted(references, key=lambda one: budget(one) != budget(summary)):
        if classes := [each for each in summary.classes if each in reference.classes]:
            break
    if not classes:
        return ""
    errors = [1 - fmean(one.classes[each].mean for each in classes) for one in (summary, reference)]
    return f"{errors[0] / errors[1]:.2f}" if errors[1] else ""


def _others(protocol: str, data: str) -> str:
    rows = [
        [
            *(each.who, *figures_of(each, ["image_auroc"]), each.of),
            each.source + (f"; {each.note}" if each.note else ""),
        ]
        for each in published(protocol, data)
    ]
    return markdown(["published, not ours", "AUROC", "mean of", "source"], rows) if rows else ""


def every_set(
    protocol: str, folder: Path, data: str | None = None, needed: Sequence[str] = ()
) -> str:
    """The table of each data set of a protocol, one below the other.

    Args:
        protocol: as of ``by_class``.
        folder: of the records.
        data: only this one.
        needed: those that are told even where they were not run.
    """
    assert protocol in PROTOCOLS
    found = [*data_sets(protocol, folder), *needed] if data is None else [data]
    sets = list(dict.fromkeys(found))
    if not sets:
        absent = folder / f"{protocol.replace('-', '_')}_*.jsonl"
        table = markdown(["class", "AUROC"], [["all", NOT_RUN]])
        return f"{table}\n\n{told_origin([], absent)}"
    tables = [by_class(protocol, each, folder) for each in sets]
    if len(sets) == 1:
        return tables[0]
    titles = [f"**{data_title(each)}**" for each in sets]
    return "\n\n".join(f"{title}\n\n{table}" for title, table in zip(titles, tables, strict=True))
