"""Few labelled anomalies: curves, means over classes against gamma, and their table.

Gamma is the share of labelled anomalies; there is a curve for each method and kind of draw.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev

from oddlens.evaluation.protocols.few_anomalies import GAMMAS
from oddlens.evaluation.records import Record, RecordFile
from oddlens.evaluation.summary import Configuration, Published, Summary, published, summarise
from oddlens.images.catalogue import CATALOGUE
from oddlens.tables.cells import NOT_RUN, UNKNOWN, markdown, with_interval
from oddlens.tables.provenance import told_origin_of
from oddlens.tables.told import (
    budget,
    file_of,
    is_whole,
    set_by_hand,
    some_classes,
    title_of,
)

PROTOCOL, PLAIN = "few-anomalies", "one-vs-all"


@dataclass(frozen=True)
class Point:
    """A mean over classes.

    Attributes:
        mean: AUROC in [0, 1].
        low, high: over several seeds the sample deviation below and above the mean; of a single
            one the mean of the classes' 95 % intervals, which is wider than the mean's own.
        seeds: how many.
    """

    mean: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class Curve:
    """One method with one kind of draw.

    Attributes:
        summaries: one a gamma, from the smallest.
        draw: ``all``, ``single``, or ``none`` where only gamma 0 was run.
    """

    summaries: tuple[Summary, ...]
    draw: str

    @property
    def classes(self) -> list[str]:
        """Those that every gamma has."""
        first, *others = self.summaries
        return [name for name in first.classes if all(name in one.classes for one in others)]

    @property
    def name(self) -> str:
        """For people."""
        first = self.summaries[0]
        given = set_by_hand(first).replace("`", "")
        return ", ".join(filter(None, (title_of(first), given, f"anomalies {self.draw}")))

    def points(self) -> dict[float, Point]:
        """The mean over ``classes`` at each gamma."""
        return {gamma_of(one): _point(one, self.classes) for one in self.summaries}


def gamma_of(summary: Summary) -> float:
    """The share of labelled anomalies."""
    return float(summary.records[0].setting.get("gamma", 0))


def curves(data: str, folder: Path) -> list[Curve]:
    """What was run, in order of first appearance; gamma 0 belongs to every kind of draw."""
    found = [one for one in summarise(_records(data, folder)) if is_whole(one)]
    bases: dict[Configuration, list[Summary]] = {}
    groups: dict[tuple[Configuration, str], list[Summary]] = {}
    for one in found:
        draw = str(one.records[0].setting.get("anomalies", "none"))
        if draw == "none":
            bases.setdefault(_unlabelled(one.configuration), []).append(one)
        else:
            groups.setdefault((replace(one.configuration, setting=""), draw), []).append(one)
    made = []
    alone = dict(bases)
    for (alike, draw), summaries in groups.items():
        core = _unlabelled(alike)
        base = bases.get(core, [])
        alone.pop(core, None)
        made.append(Curve(tuple(sorted([*base, *summaries], key=gamma_of)), draw))
    made += [Curve(tuple(base), "none") for base in alone.values()]
    return [curve for curve in made if curve.classes]


def _unlabelled(configuration: Configuration) -> Configuration:
    """Without what says nothing where no anomaly is labelled, to find gamma 0 by."""
    config = json.loads(configuration.config)
    config.pop("distance_weight", None)
    return replace(configuration, setting="", config=json.dumps(config, sort_keys=True))


def _records(data: str, folder: Path) -> list[Record]:
    """Those of the protocol; of one-vs-all those that are the same trials without anomalies."""
    few = RecordFile(file_of(PROTOCOL, data, folder)).read()
    same = {_without_anomalies(each) for each in few}
    have = {_without_anomalies(each) for each in few if not each.setting.get("gamma")}
    plain = [
        each.model_copy(update={"protocol": PROTOCOL})
        for each in RecordFile(file_of(PLAIN, data, folder)).read()
    ]
    return [*few, *(each for each in plain if _without_anomalies(each) in same - have)]


def _without_anomalies(record: Record) -> str:
    return record.model_copy(update={"protocol": PROTOCOL, "setting": {}}).key


def few_anomalies(data: str, folder: Path) -> str:
    """A row for each curve, a column for each gamma, and what others published."""
    found = curves(data, folder)
    shares = sorted({*GAMMAS, *(gamma for curve in found for gamma in curve.points())})
    headers = [
        "detector",
        "anomalies",
        "budget",
        "classes",
        *(f"gamma {each:g}" for each in shares),
    ]
    rows = [_row(curve, shares, data) for curve in found] or [[NOT_RUN] * len(headers)]
    for (who, source), by_gamma in others(data).items():
        cells = [f"{100 * by_gamma[each]:.1f}" if each in by_gamma else UNKNOWN for each in shares]
        draw = _draw_of_others(data, who)
        rows.append([f"{who}, as published ({source})", draw, UNKNOWN, "all", *cells])
    return "\n\n".join([markdown(headers, rows), *_origins(found, data, folder)])


def _origins(found: Sequence[Curve], data: str, folder: Path) -> list[str]:
    """Where the numbers come from; gamma 0 may be from the file of one-vs-all."""
    own, plain = (file_of(protocol, data, folder) for protocol in (PROTOCOL, PLAIN))
    keys = {record.key for record in RecordFile(own).read()}
    summaries = [one for curve in found for one in curve.summaries]
    records = [record for one in summaries for record in one.records]
    lines = [told_origin_of([each for each in records if each.key in keys], own)]
    borrowed = [each for each in records if each.key not in keys]
    return [*lines, told_origin_of(borrowed, plain)] if borrowed else lines


def _row(curve: Curve, shares: Sequence[float], data: str) -> list[str]:
    first, points, classes = curve.summaries[0], curve.points(), curve.classes
    every = CATALOGUE[data].classes if data in CATALOGUE else ()
    named = ", ".join(filter(None, (f"**oddlens {title_of(first)}**", set_by_hand(first))))
    which = some_classes(classes, every)
    cells = [_cell(points[each]) if each in points else NOT_RUN for each in shares]
    return [named, curve.draw, budget(first), which, *cells]


def _cell(point: Point) -> str:
    if point.seeds > 1:
        return f"{100 * point.mean:.1f} ± {100 * (point.high - point.mean):.1f}"
    return with_interval(point.mean, point.low, point.high)


def _point(summary: Summary, classes: Sequence[str]) -> Point:
    by_seed: dict[int, list[Record]] = {}
    for record in summary.records:
        if record.target in classes:
            by_seed.setdefault(record.seed, []).append(record)
    whole = [each for each in by_seed.values() if len(each) == len(classes)]
    means = [fmean(record.metrics.image_auroc for record in each) for each in whole]
    if len(means) > 1:
        mean, deviation = fmean(means), stdev(means)
        return Point(mean, mean - deviation, mean + deviation, len(means))
    records = whole[0] if whole else [each for one in by_seed.values() for each in one]
    metrics = [record.metrics for record in records]
    return Point(
        fmean(each.image_auroc for each in metrics),
        fmean(each.image_auroc_low for each in metrics),
        fmean(each.image_auroc_high for each in metrics),
        seeds=1,
    )


def others(data: str) -> dict[tuple[str, str], dict[float, float]]:
    """What was published: by method and source a mean for each gamma."""
    found: dict[tuple[str, str], dict[float, float]] = {}
    every: Iterable[Published] = published(PROTOCOL, data)
    for other in every:
        if other.mean is None:
            continue
        source = other.source + (f"; {other.note}" if other.note else "")
        found.setdefault((other.who, source), {})[float(other.setting["gamma"])] = other.mean
    return found


def _draw_of_others(data: str, who: str) -> str:
    """What their labelled anomalies were drawn from, where that is known."""
    told = (each.setting.get("anomalies") for each in published(PROTOCOL, data) if each.who == who)
    return next((str(draw) for draw in told if draw), UNKNOWN)
