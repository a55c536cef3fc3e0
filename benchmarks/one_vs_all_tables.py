"""Tables of the one-vs-all protocol, from results/one_vs_all_<data>.jsonl."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.table_cells import NOT_RUN, RESULTS, UNKNOWN, markdown, origin
from oddlens.detectors import get_method
from oddlens.ensemble.making import ENSEMBLE, members_of
from oddlens.evaluation.records import Record, RecordFile
from oddlens.evaluation.summary import Spread, Summary, percent, published, summarise
from oddlens.images.catalogue import CATALOGUE, fitting_flips, fitting_jitter

PROTOCOL = "one-vs-all"
DATA = ("fashion-mnist", "cifar10")
"""Data sets of the summary."""


def one_vs_all(data: str, folder: Path = RESULTS) -> str:
    """Every class and the mean, of each method as it comes, and what others published."""
    found = [
        each
        for each in summaries_of(data, folder)
        if not set_by_hand(each) and is_whole(each) and not is_anomem_ablation(each)
    ]
    name = file_of(data)
    if not found:
        return f"{markdown(['class', 'AUROC'], [['all', NOT_RUN]])}\n\n{origin([], name)}"
    classes = [
        each for each in CATALOGUE[data].classes if any(each in one.classes for one in found)
    ]
    rows = [[each, *(_cell(one.classes.get(each)) for one in found)] for each in classes]
    common = [each for each in classes if all(each in one.classes for one in found)]
    if len(common) < len(classes) and common:
        rows.append(
            [f"**mean of {those(common, classes)}**", *(_mean(one, common) for one in found)]
        )
    if len(common) == len(classes) or any(len(one.classes) == len(classes) for one in found):
        whole = [one if len(one.classes) == len(classes) else None for one in found]
        means = [UNKNOWN if one is None else _mean(one, classes) for one in whole]
        all_ = "all" if len(classes) == len(CATALOGUE[data].classes) else "these"
        rows.append([f"**mean of {all_} {len(classes)}**", *means])
    ratios = [_ratio(one, found) for one in found]
    if any(ratios):
        rows.append(["error, relative to MultiTask", *(each or UNKNOWN for each in ratios)])
    rows.append(["seeds", *(seeds_of(one) for one in found)])
    headers = ["class", *(f"{title_of(one)}, {budget(one)}" for one in found)]
    parts = [markdown(headers, rows), _others(data), told_origin(found, name)]
    return "\n\n".join(part for part in parts if part)


SUMMARY = ("data", "detector", "budget", "classes", "mean AUROC", "ms an image", "seeds")


def one_vs_all_summary(folder: Path = RESULTS) -> str:
    """One row a method and data set, as it comes, and the published means beside it.

    Of several budgets the one with the most classes, then the longest.
    """
    rows: list[list[str]] = []
    every: list[str] = []
    for data in DATA:
        every_one = [
            each
            for each in summaries_of(data, folder)
            if not set_by_hand(each) and is_whole(each) and not is_anomem_ablation(each)
        ]
        best: dict[str, Summary] = {}
        for one in sorted(every_one, key=lambda each: (len(each.classes), _length(each))):
            best[one.configuration.method] = one
        found = [one for one in every_one if one in best.values()]
        title, classes = CATALOGUE[data].title, CATALOGUE[data].classes
        if not found:
            rows.append([title, *[NOT_RUN] * (len(SUMMARY) - 1)])
        for one in found:
            names = list(one.classes)
            which = "all" if len(names) == len(classes) else those(names, classes)
            note = one.configuration.data_note
            rows.append(
                [
                    title + (f", {note}" if note else ""),
                    *(f"**oddlens {title_of(one)}**", budget(one), which, _mean(one, names)),
                    f"{fmean(record.metrics.ms_per_image for record in one.records):.1f}",
                    seeds_of(one),
                ]
            )
        for other in published(PROTOCOL, data):
            mean = percent(other.mean)
            rows.append(
                [title, f"{other.who}, as published", UNKNOWN, "all", mean, UNKNOWN, UNKNOWN]
            )
        every.append(told_origin(found, file_of(data)))
    return "\n\n".join([markdown(SUMMARY, rows), *every])


VARIANTS = ("method", "options", "budget", "classes", "AUROC", "each cue alone", "seeds")


def one_vs_all_variants(data: str, folder: Path = RESULTS) -> str:
    """What options change: each variant below the same as it comes, on the variant's classes.

    AnoMem's ablation has a table of its own.
    """
    every = [
        each
        for each in summaries_of(data, folder)
        if is_whole(each) and not is_anomem_ablation(each)
    ]
    rows: list[list[str]] = []
    shown: list[Summary] = []
    for variant in sorted((each for each in every if set_by_hand(each)), key=_place):
        classes = list(variant.classes)
        usual = [
            each
            for each in every
            if not set_by_hand(each) and _place(each)[:2] == _place(variant)[:2]
            if set(classes) <= set(each.classes)
        ]
        for each in (*usual, variant):
            row = _variant(each, classes)
            if row not in rows:
                rows.append(row)
                shown.append(each)
    table = markdown(VARIANTS, rows or [[NOT_RUN] * len(VARIANTS)])
    return f"{table}\n\n{told_origin(shown, file_of(data))}"


def _variant(summary: Summary, classes: Sequence[str]) -> list[str]:
    records = [record for record in summary.records if record.target in classes]
    names = {name: None for record in records for name in record.cue_aurocs}
    alone = [
        f"{name} {percent(fmean(each.cue_aurocs[name] for each in records))}" for name in names
    ]
    return [
        *(title_of(summary), set_by_hand(summary) or "as it comes", budget(summary)),
        *(", ".join(classes), _mean(summary, classes), "; ".join(alone), seeds_of(summary)),
    ]


def summaries_of(data: str, folder: Path) -> list[Summary]:
    return summarise(RecordFile(folder / f"{file_of(data)}.jsonl").read())


def file_of(data: str) -> str:
    """The name of a data set's records in results/, without its ending."""
    return re.sub(r"\W+", "_", f"{PROTOCOL}_{data}")


def is_whole(summary: Summary) -> bool:
    """Not a quick look at some of the test images."""
    return summary.configuration.test_limit is None


def is_anomem_ablation(summary: Summary) -> bool:
    """AnoMem trained for a single pass: too little for any other table."""
    one = summary.configuration
    return one.method == "anomem" and one.epochs == 1


def set_by_hand(summary: Summary) -> str:
    """The options that differ from what the method has by default today, as code."""
    one = summary.configuration
    config, options = json.loads(one.config), json.loads(one.options)
    members = members_of(one.method)
    if len(members) == 1:
        return _by_hand(one.method, one.data, {**config, **options})
    told = [] if config[ENSEMBLE] == {"fusion": "fisher"} else [f"`{config[ENSEMBLE]['fusion']}`"]
    for name, kind in members.items():
        own = _by_hand(kind.method, one.data, {**config[name], **options.get(name, {})})
        told += [f"{name}: {own}"] if own else []
    return "; ".join(told)


def _by_hand(method: str, data: str, actual: Mapping[str, Any]) -> str:
    return ", ".join(
        f"`{name}={value if isinstance(value, str) else json.dumps(value)}`"
        for name, value in not_usual(method, data, actual).items()
    )


def not_usual(method: str, data: str, actual: Mapping[str, Any]) -> dict[str, Any]:
    """Of a method's options on a data set those that were set by hand, by name."""
    usual = _usual(method, data, actual)
    return {
        name: value
        for name, value in sorted(actual.items())
        if value != usual.get(name) or (name == "preset" and value == "paper")
    }


def _usual(method: str, data: str, actual: Mapping[str, Any]) -> dict[str, Any]:
    """A method's options on a data set where nothing is set by hand."""
    kind = get_method(method).Options
    content = CATALOGUE[data].content
    flips = "none" if actual.get("variant") == "geotrans" else fitting_flips(content)
    by_rule = {"flips": flips, "jitter": fitting_jitter(content)}
    given = {name: value for name, value in by_rule.items() if name in kind.model_fields}
    preset = actual.get("preset", "compact")
    return kind.make({"preset": preset, **given}).model_dump(mode="json")


def _place(summary: Summary) -> tuple[str, str, str]:
    """What a variant is compared within."""
    return summary.configuration.method, budget(summary), ", ".join(summary.classes)


def title_of(summary: Summary) -> str:
    """The class, or of an ensemble those of its members."""
    members = members_of(summary.configuration.method)
    return " + ".join(kind.__name__ for kind in members.values())


def budget(summary: Summary) -> str:
    one = summary.configuration
    length = (
        f"{one.epochs} pass{'es' if one.epochs != 1 else ''}"
        if one.minutes is None
        else f"{one.minutes:g} min"
    )
    jobs = {int(record.provenance.get("jobs", 1)) for record in summary.records}
    shared = "" if jobs == {1} else f", {max(jobs)} at a time"
    hardware = [record.provenance.get("hardware", {}) for record in summary.records]
    threads = {int(each["threads"]) for each in hardware if "threads" in each}
    used = f", {max(threads)} thread{'s' if max(threads) > 1 else ''}" if threads else ""
    return f"{length}{used if one.device == 'cpu' else f' on {one.device}'}{shared}"


def _length(summary: Summary) -> float:
    one = summary.configuration
    return one.minutes or float(one.epochs or 0)


def _cell(spread: Spread | None) -> str:
    return UNKNOWN if spread is None else percent(spread)


def _mean(summary: Summary, classes: Sequence[str]) -> str:
    """Mean over classes; with its deviation where all of them are asked for."""
    if summary.mean is not None and len(classes) == len(summary.classes):
        return percent(summary.mean)
    return percent(fmean(summary.classes[each].mean for each in classes))


def _ratio(summary: Summary, every: Sequence[Summary]) -> str:
    """1 - AUROC over that of MultiTask as it comes, on the classes that both have."""
    references = [one for one in every if one.configuration.method == "multitask"]
    if not references or summary in references:
        return ""
    classes = [each for each in summary.classes if each in references[0].classes]
    if not classes:
        return ""
    errors = [
        1 - fmean(one.classes[each].mean for each in classes) for one in (summary, references[0])
    ]
    return f"{errors[0] / errors[1]:.2f}"


def those(common: Sequence[str], classes: Sequence[str]) -> str:
    first = list(classes[: len(common)])
    return f"the first {len(common)}" if list(common) == first else ", ".join(common)


def seeds_of(summary: Summary) -> str:
    found = sorted({seed for spread in summary.classes.values() for seed in spread.seeds})
    return ", ".join(map(str, found))


def _others(data: str) -> str:
    rows = [
        [each.who, percent(each.mean), each.source + (f"; {each.note}" if each.note else "")]
        for each in published(PROTOCOL, data)
    ]
    return markdown(["published, not ours", "mean of all classes", "source"], rows) if rows else ""


def told_origin(summaries: Sequence[Summary], name: str) -> str:
    records: list[Record] = [record for each in summaries for record in each.records]
    notes = sorted({record.data_note for record in records} - {""})
    told = f" Data: {', '.join(notes)}." if notes else ""
    return origin([record.model_dump(mode="json") for record in records], name) + told
