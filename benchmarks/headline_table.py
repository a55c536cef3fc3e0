"""The few numbers that README.md leads with: SSM on defects, the best detector on classes."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

from benchmarks.table_cells import (
    DATA,
    RESULTS,
    ROOT,
    grouped,
    minutes,
    options,
    percent,
    read,
)
from oddlens.evaluation.summary import Summary, published
from oddlens.images.catalogue import CATALOGUE
from oddlens.tables.by_class import headlines, mean_of
from oddlens.tables.cells import NOT_RUN, UNKNOWN, markdown, measured
from oddlens.tables.few_anomalies import curves, others
from oddlens.tables.names import SUMMARY
from oddlens.tables.told import (
    as_it_comes,
    budget,
    data_title,
    some_classes,
    summaries_of,
    titled,
    way_of,
)

LOCALIZATION = "ssm_localization"
REFERENCES = ROOT / "benchmarks" / "references.json"
LABELS = ("default", "surface")
"""Labels of the runs that the documents lead with: as it comes, and ``subject=surface``."""
CATEGORIES = {"bottle": ("mvtec", "bottle"), "magnetic_tile": ("magnetic-tile", "magnetic_tile")}
"""What `oddlens benchmark localization` calls them: data set and category."""
GAMMA = 0.05
ONE_VS_ALL = "one-vs-all"
HEADERS = ("question", "data", "detector", "training", "image AUROC", "pixel AUROC", "published")


def headline(folder: Path = RESULTS) -> str:
    """Where is the defect, and which kind of thing is it: ours beside what others published."""
    rows = [row for data in DATA for row in (*_defects(data, folder), *_pretrained(data, folder))]
    rows += [row for data in SUMMARY for row in (*_classes(data, folder), *_labelled(data, folder))]
    stems = (each.replace("-", "_") for each in SUMMARY)
    files = [LOCALIZATION, *(f"one_vs_all_{each}" for each in stems)]
    absent = [each for each in files if not (folder / f"{each}.jsonl").exists()]
    note = "".join(
        f" Not run yet: there is no record in `results/{each}.jsonl`." for each in absent
    )
    return (
        f"{markdown(HEADERS, rows)}\n\nIn percent, mean ± deviation over seeds where there are "
        f"several; seconds are medians; *published* is the image AUROC that others report, not "
        f"measured by us.{note}"
    )


def _defects(data: str, folder: Path) -> list[list[str]]:
    records = [
        each
        for each in read(LOCALIZATION, folder)
        if each.get("label") in LABELS and each.get("data") == data
    ]
    others = json.loads(REFERENCES.read_text(encoding="utf-8"))
    beside = "; ".join(
        f"{each['who'].removesuffix(', as published')} {100 * each['image_auroc']:.1f}"
        for each in others
        if each["data"] == data and "as published" in each["who"]
    )
    question, title = "where is the defect?", DATA[data]
    if not records:
        return [[question, title, *[NOT_RUN] * 4, beside or UNKNOWN]]
    return [
        [
            *(question, title, f"SSM{f', {given}' if given else ''}", f"{length} min"),
            *(percent(each, "image_auroc"), percent(each, "pixel_auroc"), beside or UNKNOWN),
        ]
        for (length, given), each in grouped(records, minutes, options).items()
    ]


def _pretrained(data: str, folder: Path) -> list[list[str]]:
    """On a frozen encoder, told what the images show."""
    protocol, (its, category) = "localization", CATEGORIES[data]
    rows = []
    for each in summaries_of(protocol, its, folder):
        if category not in each.classes or not _on_an_encoder(each) or not as_it_comes(each):
            continue
        mine = [record for record in each.records if record.target == category]
        figures = [measured(mine, name) for name in ("image_auroc", "pixel_auroc")]
        question = "where is the defect?"
        rows.append([question, DATA[data], titled(each), _length(each), *figures, UNKNOWN])
    return rows


def _labelled(data: str, folder: Path) -> list[list[str]]:
    """With one labelled anomaly among twenty images, of any other class."""
    rows = []
    for curve in curves(data, folder):
        point = curve.points().get(GAMMA)
        if point is None or curve.draw != "all":
            continue
        first = curve.summaries[0]
        which = some_classes(curve.classes, CATALOGUE[data].classes)
        note = first.configuration.data_note
        whose = ", ".join(filter(None, (data_title(data), note, f"{which} classes")))
        beside = [
            f"{who} {100 * by_gamma[GAMMA]:.1f}, all classes"
            for (who, _), by_gamma in others(data).items()
            if GAMMA in by_gamma
        ]
        rows.append(
            [
                *(f"the same, {GAMMA:.0%} labelled anomalies", whose, titled(first)),
                *(budget(first), f"{100 * point.mean:.1f}", UNKNOWN),
                "; ".join(beside) or UNKNOWN,
            ]
        )
    return rows


def _classes(data: str, folder: Path) -> list[list[str]]:
    """The best mean of those with the most classes, learned from scratch; then on an encoder."""
    found = headlines(ONE_VS_ALL, data, folder)
    question, title = "another kind of thing?", data_title(data)
    rows = []
    for pretrained in (False, True):
        mine = [each for each in found if _on_an_encoder(each) == pretrained]
        if not mine:
            continue
        best = max(mine, key=lambda each: (len(each.classes), each.mean_of_means))
        names = list(best.classes)
        which = some_classes(names, CATALOGUE[data].classes)
        note = best.configuration.data_note
        whose = ", ".join(filter(None, (title, note, f"{which} classes")))
        beside = _published(data, pretrained=pretrained)
        rows.append(
            [question, whose, titled(best), _length(best), mean_of(best, names), UNKNOWN, beside]
        )
    beside = _published(data, pretrained=False)
    return rows or [[question, title, *[NOT_RUN] * 3, UNKNOWN, beside]]


def _published(data: str, *, pretrained: bool) -> str:
    """The range of the means that others report, with the weights of ImageNet or without."""
    every = [each for each in published(ONE_VS_ALL, data) if each.pretrained == pretrained]
    means = [each.mean for each in every if each.mean is not None]
    told = [f"{100 * each:.1f}" for each in sorted({min(means), max(means)})] if means else []
    return f"{' to '.join(told)}, all classes" if told else UNKNOWN


def _on_an_encoder(summary: Summary) -> bool:
    """Whether it is a pretrained one: only such are a way of their own."""
    return "encoder=" in way_of(summary)


def _length(summary: Summary) -> str:
    """The budget; where none was given, how long fitting took in the median as well."""
    one = summary.configuration
    if one.minutes is not None or one.epochs is not None:
        return budget(summary)
    return f"{budget(summary)}: {median(each.fit_seconds for each in summary.records):.0f} s"
