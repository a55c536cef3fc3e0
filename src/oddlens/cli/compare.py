"""``oddlens compare``: is one method better than another, on the trials that are recorded?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oddlens.cli.options import JsonFlag, QuietFlag
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen
from oddlens.errors import DataError

if TYPE_CHECKING:
    from oddlens.evaluation.compare import Comparison
    from oddlens.evaluation.summary import Configuration

_LEVEL = 0.05


@verb
def compare(
    first: Annotated[str, typer.Argument(metavar="METHOD", help="A method, such as multitask.")],
    second: Annotated[str, typer.Argument(metavar="METHOD", help="The one to hold against it.")],
    results: Annotated[
        list[Path],
        typer.Option(
            "--results", "-r", help="A file of records, or a folder of such files; repeatable."
        ),
    ],
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Compare two methods class by class, with Wilcoxon's signed-rank test over the classes."""
    from oddlens.evaluation.compare import compare as compared
    from oddlens.evaluation.records import RecordFile

    screen = Screen(as_json=as_json, quiet=quiet)
    records = [record for path in _files(results) for record in RecordFile(path).read()]
    found = compared(records, first.lower(), second.lower())
    rows = [row for each in found for row in _rows(each)]
    headers = ["", f"{first.lower()}, %", f"{second.lower()}, %", "difference", ""]
    screen.result({"comparisons": [_facts(each) for each in found]}, rows, headers=headers)
    for each in found:
        if each.least_p_value > _LEVEL:
            count = len(each.classes)
            screen.warn(
                f"{each.first.protocol} on {each.first.data}: of {count} "
                f"{'class' if count == 1 else 'classes'} no p-value can be below "
                f"{each.least_p_value:.2g}, so nothing can be shown; six or more can"
            )


def _files(places: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for place in places:
        inside = sorted(place.glob("*.jsonl")) if place.is_dir() else [place]
        if not inside or not inside[0].is_file():
            raise DataError(f"{place}: there is no file of records (.jsonl)")
        found += inside
    return found


def _rows(comparison: Comparison) -> Iterator[list[str]]:
    """What is compared, each class, their mean, and the verdict."""
    yield [_title(comparison.first), *(_budget(each) for each in _both(comparison)), "", ""]
    for name, values in comparison.classes.items():
        yield [f"  {name}", *_percents(*values), ""]
    seeds = ", ".join(map(str, comparison.seeds))
    yield [
        f"  mean of {len(comparison.classes)}",
        *_percents(*comparison.means),
        f"p = {comparison.p_value:.3g}; better in {comparison.wins[0]} : {comparison.wins[1]}; "
        f"seeds {seeds}",
    ]


def _both(comparison: Comparison) -> tuple[Configuration, Configuration]:
    return comparison.first, comparison.second


def _percents(one: float, other: float) -> list[str]:
    return [f"{100 * one:.1f}", f"{100 * other:.1f}", f"{100 * (other - one):+.1f}"]


def _title(one: Configuration) -> str:
    from oddlens.evaluation.summary import told

    notes = [f"{one.protocol}, {one.data}", told(json.loads(one.setting)), one.data_note]
    if one.test_limit is not None:
        notes.append(f"{one.test_limit:,} test images only")
    return ", ".join(filter(None, notes))


def _budget(one: Configuration) -> str:
    """The budget and the options that were given, beside the preset."""
    given = json.loads(one.options)
    preset = given.pop("preset", "")
    length = "its own length"
    if one.minutes is not None:
        length = f"{one.minutes:g} min"
    elif one.epochs is not None:
        length = f"{one.epochs} epochs"
    return ", ".join([preset, length, *(f"{name}={value}" for name, value in given.items())])


def _facts(comparison: Comparison) -> dict[str, Any]:
    return {
        **{name: vars(getattr(comparison, name)) for name in ("first", "second")},
        "classes": comparison.classes,
        "means": comparison.means,
        "median_difference": comparison.median_difference,
        "wins": comparison.wins,
        "seeds": comparison.seeds,
        "p_value": comparison.p_value,
        "least_p_value": comparison.least_p_value,
    }
