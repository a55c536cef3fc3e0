"""``oddlens benchmark``: run a published protocol on a data set, trial by trial."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from oddlens.cli.options import Device, JsonFlag, Preset, QuietFlag, parse_settings
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen
from oddlens.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from oddlens.evaluation.records import TrialRecord
    from oddlens.evaluation.runner import TrialSpec

HEADERS = ("normal class", "AUROC", "95 % interval", "best cue", "minutes", "ms an image", "seeds")


@verb
def benchmark(
    protocol: Annotated[
        Literal["one-vs-all"], typer.Argument(metavar="PROTOCOL", help="one-vs-all")
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data", help="fashion-mnist, mnist, cifar10, digits, or folder (one for each class)."
        ),
    ],
    root: Annotated[
        Path | None, typer.Option("--root", help="The folder that holds the data set.")
    ] = None,
    method: Annotated[str, typer.Option("--method", help="Which detector.")] = "multitask",
    preset: Annotated[
        Preset, typer.Option("--preset", help="A fast network, or the published one (for a GPU).")
    ] = "compact",
    classes: Annotated[
        list[str] | None,
        typer.Option("--classes", help="Normal classes, by name or number; repeatable; all."),
    ] = None,
    seeds: Annotated[
        list[int] | None, typer.Option("--seeds", min=0, help="Repeatable; 0 alone.")
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", help="Budget of each fit.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes over the images, instead.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Set an option of the method."),
    ] = None,
    test_limit: Annotated[
        int | None,
        typer.Option("--test-limit", min=1, help="Score so many test images of each class."),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Trials at a time.")] = 1,
    device: Annotated[Device, typer.Option("--device", help="Where to compute.")] = "auto",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the records.")] = Path(
        "results"
    ),
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Learn each class in turn and find all others odd; one record a trial, resumable.

    Trials that are recorded already are not run again.
    """
    from oddlens.detectors import get_method
    from oddlens.evaluation.runner import TrialSpec, run
    from oddlens.images.named import CATALOGUE, flips_for, open_named

    screen = Screen(as_json=as_json, quiet=quiet)
    if max_minutes is not None and epochs is not None:
        raise UsageError("--max-minutes and --epochs exclude each other: give one of them")
    known = get_method(method).options(preset)
    options = parse_settings(settings or [], known, method)
    opened = open_named(data, root)
    if "flips" in known:
        options = {"flips": flips_for(CATALOGUE[data].content), **options}
    if preset != "compact":
        options = {"preset": preset, **options}
    get_method(method)(**options)  # a bad option is told before anything is opened or trained
    chosen = [opened.classes[opened.label(name)] for name in classes or opened.classes]
    specs = [
        TrialSpec(
            data=data,
            root=root,
            normal=normal,
            method=method,
            options=options,
            seed=seed,
            minutes=max_minutes,
            epochs=epochs,
            test_limit=test_limit,
            device=device,
            jobs=jobs,
            command=_command(),
        )
        for seed in dict.fromkeys(seeds or [0])
        for normal in dict.fromkeys(chosen)
    ]
    path = out / f"{protocol}.jsonl"
    title = f"{protocol}, {CATALOGUE[data].title}, {method}"
    found: list[TrialRecord] = []
    with _watched(screen, title, specs) as show, screen.progress() as progress:
        for record in run(specs, path, progress):
            found.append(record)
            show(found)
    published = _published(protocol, opened.name)
    facts = {"records": path, "trials": [r.model_dump(mode="json") for r in found]}
    screen.result(
        {**facts, "mean_auroc": _mean(found), "published": published},
        [*_rows(found), *([_mean_row(found)] if found else []), *_published_rows(published)],
        headers=HEADERS,
    )


def _command() -> str:
    """What was called, without the places on this machine."""
    words = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return shlex.join(["oddlens", *words])


@contextmanager
def _watched(screen: Screen, title: str, specs: Sequence[TrialSpec]) -> Iterator[Any]:
    """Show each trial as it ends: a table that grows on a terminal, a line elsewhere."""
    if screen.as_json or screen.quiet or not sys.stderr.isatty():
        yield lambda found: screen.note(_line(found[-1], len(found), len(specs)))
        return
    from rich.console import Console

    console = Console(stderr=True)
    yield lambda found: console.print(_table(f"{title}: {len(found)} of {len(specs)}", found))


def _line(record: TrialRecord, done: int, total: int) -> str:
    low, high = (100 * record.metrics[f"auroc_{end}"] for end in ("low", "high"))
    return (
        f"{done} of {total}: {record.normal}, seed {record.seed}: AUROC "
        f"{100 * record.metrics['auroc']:.1f} ({low:.1f} to {high:.1f}), fitted in "
        f"{record.fit_seconds / 60:.1f} minutes"
    )


def _table(title: str, found: Sequence[TrialRecord]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for header in HEADERS:
        table.add_column(header)
    for row in _rows(found):
        table.add_row(*row)
    table.add_section()
    table.add_row(*_mean_row(found))
    return table


def _rows(found: Sequence[TrialRecord]) -> list[list[str]]:
    by_class: dict[str, list[TrialRecord]] = {}
    for record in found:
        by_class.setdefault(record.normal, []).append(record)
    return [_row(normal, each) for normal, each in by_class.items()]


def _row(normal: str, each: Sequence[TrialRecord]) -> list[str]:
    from oddlens.evaluation.records import mean_and_spread

    mean, spread = mean_and_spread([100 * record.metrics["auroc"] for record in each])
    low, high = (
        mean_and_spread([100 * record.metrics[f"auroc_{end}"] for record in each])[0]
        for end in ("low", "high")
    )
    cues = {
        name: mean_and_spread([record.cue_auroc[name] for record in each])[0]
        for name in each[0].cue_auroc
    }
    best = max(cues, key=lambda name: cues[name])
    return [
        normal,
        f"{mean:.1f}" + (f" ± {spread:.1f}" if spread is not None else ""),
        f"{low:.1f} to {high:.1f}",
        f"{best} {100 * cues[best]:.1f}",
        f"{mean_and_spread([record.fit_seconds / 60 for record in each])[0]:.1f}",
        f"{mean_and_spread([record.ms_per_image for record in each])[0]:.1f}",
        ", ".join(str(record.seed) for record in each),
    ]


def _mean(found: Sequence[TrialRecord]) -> float | None:
    from oddlens.evaluation.records import class_mean

    return class_mean(found)


def _mean_row(found: Sequence[TrialRecord]) -> list[str]:
    mean = _mean(found)
    assert mean is not None
    note = f" ({found[0].note})" if found[0].note else ""
    count = len({record.normal for record in found})
    return [f"mean of {count}{note}", f"{100 * mean:.1f}", "", "", "", "", ""]


def _published(protocol: str, data: str) -> list[dict[str, Any]]:
    """What others report as their mean over all classes."""
    text = files("oddlens.evaluation").joinpath("published.json").read_text(encoding="utf-8")
    return [e for e in json.loads(text) if (e["protocol"], e["data"]) == (protocol, data)]


def _published_rows(published: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [
        [f"published: {e['who']}", f"{100 * e['auroc']:.1f}", e["source"], "", "", "", ""]
        for e in published
    ]
