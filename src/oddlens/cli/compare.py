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
    from oddlens.evaluation.compare import Comparison, PairedTrial
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
    scores: Annotated[
        Path | None,
        typer.Option(
            "--scores",
            help="The folder of `oddlens benchmark --keep-scores`: each trial is tested as well, "
            "by DeLong's test on its images, adjusted after Holm.",
        ),
    ] = None,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Compare two methods class by class, with Wilcoxon's signed-rank test over the classes."""
    from oddlens.evaluation.compare import compare as compared
    from oddlens.evaluation.records import RecordFile

    screen = Screen(as_json=as_json, quiet=quiet)
    records = [record for path in _files(results) for record in RecordFile(path).read()]
    found = compared(records, first.lower(), second.lower(), scores=scores)
    if scores is not None and not any(each.trials for each in found):
        raise DataError(
            f"{scores}: has no scores of these trials; `oddlens benchmark --keep-scores` keeps them"
        )
    rows = [row for each in found for row in _rows(each)]
    headers = ["", f"{first.lower()}, %", f"{second.lower()}, %", "difference", ""]
    screen.result({"comparisons": [_facts(each) for each in found]}, rows, headers=headers)
    for sentence in dict.fromkeys(map(_too_few, found)):
        if sentence:
            screen.warn(sentence)


def _too_few(comparison: Comparison) -> str:
    """What is to be said where so few classes can show nothing; "" where they can."""
    if comparison.least_p_value <= _LEVEL:
        return ""
    one, count = comparison.first, len(comparison.classes)
    return (
        f"{one.protocol} on {one.data}: of {count} {'class' if count == 1 else 'classes'} no "
        f"p-value can be below {comparison.least_p_value:.2g}, so nothing can be shown; six or "
        "more can"
    )


def _files(places: Sequence[Path]) -> list[Path]:
    """The files that were named, and in folders those that ``oddlens benchmark`` writes."""
    from oddlens.evaluation.protocols import PROTOCOLS

    starts = tuple(name.replace("-", "_") for name in PROTOCOLS)
    found: list[Path] = []
    for place in places:
        inside = [place]
        if place.is_dir():
            inside = sorted(x for x in place.glob("*.jsonl") if x.name.startswith(starts))
        if not inside or not inside[0].is_file():
            raise DataError(f"{place}: there is no file of records (.jsonl)")
        found += inside
    return found


def _rows(comparison: Comparison) -> Iterator[list[str]]:
    """What is compared, each class, their mean, and the verdict."""
    yield [_title(comparison.first), "", "", "", _budgets(comparison)]
    for name, values in comparison.classes.items():
        told = [_delong(each) for each in comparison.trials if each.target == name]
        yield [f"  {name}", *_percents(*values), "; ".join(told)]
    seeds = ", ".join(map(str, comparison.seeds))
    yield [
        f"  mean of {len(comparison.classes)}",
        *_percents(*comparison.means),
        f"p = {comparison.p_value:.3g}; better in {comparison.wins[0]} : {comparison.wins[1]}; "
        f"seeds {seeds}",
    ]
    yield [f"  {_noise(comparison)}", "", "", "", ""]


def _delong(trial: PairedTrial) -> str:
    """The interval of a trial's difference, and its p-value before and after Holm."""
    one = trial.delong
    return (
        f"seed {trial.seed}: {100 * one.low:+.1f} to {100 * one.high:+.1f}, DeLong p = "
        f"{one.p_value:.2g}, after Holm {trial.adjusted:.2g}"
    )


def _noise(comparison: Comparison) -> str:
    """How much of the differences seeds make."""
    noise = comparison.noise
    if noise is None:
        return "one seed a class: how much of this is the noise of training is not known"
    told = f"seeds move the difference of a class by ± {100 * noise.seed_deviation:.1f}"
    if noise.classes > 1:
        told += f", classes by ± {100 * noise.class_deviation:.1f}"
    return f"{told}; the mean by ± {100 * noise.mean_error:.1f}"


def _percents(one: float, other: float) -> list[str]:
    return [f"{100 * one:.1f}", f"{100 * other:.1f}", f"{100 * (other - one):+.1f}"]


def _title(one: Configuration) -> str:
    from oddlens.evaluation.summary import told

    notes = [f"{one.protocol}, {one.data}", told(json.loads(one.setting)), one.data_note]
    if one.test_limit is not None:
        notes.append(f"{one.test_limit:,} test images only")
    return ", ".join(filter(None, notes))


def _budgets(comparison: Comparison) -> str:
    """The budget, and the options that were given to one of the two and not to the other."""
    both = [comparison.first, comparison.second]
    options = [json.loads(one.options) for one in both]
    same = {name for name in options[0] if options[0][name] == options[1].get(name)}
    lengths = list(dict.fromkeys(map(_length, both)))
    told = [" against ".join(lengths)]
    for one, given in zip(both, options, strict=True):
        own = [f"{name}={value}" for name, value in given.items() if name not in same]
        told += [f"{one.method} {', '.join(own)}"] if own else []
    return "; ".join(told)


def _length(one: Configuration) -> str:
    if one.minutes is not None:
        return f"{one.minutes:g} min{', float32' if one.precision == '32' else ''}"
    return "its own length" if one.epochs is None else f"{one.epochs} epochs"


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
        "trials": [
            {
                "target": each.target,
                "seed": each.seed,
                **vars(each.delong),
                "p_value_after_holm": each.adjusted,
            }
            for each in comparison.trials
        ],
        "seed_noise": comparison.noise and vars(comparison.noise),
    }
