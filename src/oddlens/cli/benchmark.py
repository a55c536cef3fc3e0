"""``oddlens benchmark``: a published way to evaluate, trial by trial."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oddlens.cli.benchmark_table import tell_outcome
from oddlens.cli.build import read_options
from oddlens.cli.options import Device, JsonFlag, Preset, QuietFlag, suggestion
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen
from oddlens.cli.sweep import read_odd, read_sweep, refuse_odd
from oddlens.cli.trial_table import TrialTable, title
from oddlens.errors import UsageError

if TYPE_CHECKING:
    from oddlens.evaluation.runner import Outcome
    from oddlens.images.catalogue import Content


@verb
def benchmark(
    protocol: Annotated[
        str,
        typer.Argument(
            metavar="PROTOCOL",
            help="A way to evaluate: one-vs-all, few-anomalies, style, out-of-distribution, "
            "localization or presentation-attack.",
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            "--data",
            help="A data set: fashion-mnist, mnist, cifar10, cifar100, svhn, digits, textures, "
            "mvtec, magnetic-tile, elpv, retinal-oct, cub200, foundertype, wmca, siw-m, attacks, "
            "or folder for any tree of train/<class> and test/<class>.",
        ),
    ],
    method: Annotated[
        str,
        typer.Option("--method", help="Which detector; several with commas make an ensemble."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Folder of the records (or a .jsonl file), one line a trial."
        ),
    ],
    root: Annotated[
        Path | None,
        typer.Option("--root", help="Where the data set lies; digits and textures need none."),
    ] = None,
    download: Annotated[
        bool,
        typer.Option(
            "--download",
            help="Fetch what is not there yet into --root (and --odd-root): fashion-mnist, mnist, "
            "cifar10, cifar100, svhn, cub200.",
        ),
    ] = False,
    preset: Annotated[
        Preset, typer.Option("--preset", help="A fast network, or the published one (for a GPU).")
    ] = "compact",
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--classes", help="Classes by name or number, such as 0-4 or cat,dog; default: all."
        ),
    ] = None,
    seeds: Annotated[
        list[str] | None, typer.Option("--seeds", help="Such as 0-2 or 0,1,2; default: 0.")
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", help="Budget of each trial's training.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes over the images, instead.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="OPTION=VALUE",
            help="Set an option of the method (`oddlens info --method` lists them), or as "
            "ssm.option=value of a member; repeatable.",
        ),
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, help="Trials at a time, which share the cores.")
    ] = 1,
    test_limit: Annotated[
        int | None,
        typer.Option(
            "--test-limit",
            min=4,
            help="Look at this many test images only: quick, recorded as such and kept apart.",
        ),
    ] = None,
    gammas: Annotated[
        list[str] | None,
        typer.Option(
            "--gammas",
            help="few-anomalies: labelled anomalies as shares of the training images, such as "
            "0,0.01,0.1; default: 0,0.005,0.01,0.05,0.1.",
        ),
    ] = None,
    anomalies: Annotated[
        list[str] | None,
        typer.Option(
            "--anomalies",
            help="few-anomalies: drawn from all other classes, or from a single one: all, single, "
            "or all,single for one after the other; default: all.",
        ),
    ] = None,
    odd: Annotated[
        str | None,
        typer.Option(
            "--odd", help="out-of-distribution: the data set whose test images are odd, by name."
        ),
    ] = None,
    odd_root: Annotated[
        Path | None, typer.Option("--odd-root", help="out-of-distribution: where that one lies.")
    ] = None,
    keep_scores: Annotated[
        Path | None,
        typer.Option(
            "--keep-scores",
            help="Folder to keep the scores of all test images in, a small file a trial, for "
            "`oddlens compare --scores`.",
        ),
    ] = None,
    device: Annotated[Device, typer.Option("--device", help="Where to compute.")] = "auto",
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Measure a method by a published protocol, trial by trial.

    Each trial is recorded as it ends; the same command goes on where it was cut off.
    """
    if max_minutes is not None and epochs is not None:
        raise UsageError("--max-minutes and --epochs exclude each other: give one of them")
    if max_minutes is not None and not 0 < max_minutes < float("inf"):
        raise UsageError(f"--max-minutes is {max_minutes:g}; it must be above 0")
    chosen_seeds = read_numbers(seeds or ["0"], "--seeds")

    from oddlens.evaluation.protocols import Trial, get_protocol
    from oddlens.evaluation.records import RecordFile
    from oddlens.evaluation.runner import run_trials
    from oddlens.evaluation.trial import load_data
    from oddlens.images.catalogue import find_entry, open_data

    screen = Screen(as_json=as_json, quiet=quiet)
    chosen_protocol = get_protocol(protocol)
    sweep = read_sweep(chosen_protocol, method, gammas, anomalies)
    refuse_odd(chosen_protocol, odd, odd_root)
    options, config = _options(method, preset, settings or [], data, chosen_protocol.content)
    if download:
        if find_entry(data).downloads:
            screen.note(f"fetching {data}, where it is not there yet")
        open_data(data, root, download=True)
    loaded = load_data(data, root)
    if odd is not None:
        sweep = [read_odd(odd, odd_root, download=download)]
    targets = chosen_protocol.targets(loaded)
    if classes is not None:
        targets = read_classes(classes, targets)
    digests = {target: chosen_protocol.digest(loaded, target) for target in targets}
    trials = [
        Trial(
            protocol=chosen_protocol.name,
            data=data,
            root=root,
            data_sha256=digests[target],
            target=target,
            method=",".join(each.strip() for each in method.lower().split(",")),
            options=options,
            seed=seed,
            minutes=max_minutes,
            epochs=epochs,
            test_limit=test_limit,
            device=device,
            setting=setting,
            places={} if odd_root is None else {"odd_root": odd_root},
        )
        for setting in sweep
        for seed in chosen_seeds
        for target in targets
    ]
    file = RecordFile(results_file(out, chosen_protocol.name, loaded.name))
    if jobs > 1 and max_minutes is not None:
        screen.note(f"{jobs} trials share the machine, so a budget in minutes buys less; recorded")
    table = TrialTable(trials, silent=as_json or quiet)
    with table:
        outcome = run_trials(
            trials,
            file,
            jobs=jobs,
            command=_command(root, odd_root, out, keep_scores),
            scores=keep_scores,
            watcher=table,
        )
    _tell_warnings(screen, outcome, table, config)
    bare = sum(not record.scores for record in table.were_there)
    if keep_scores is not None and bare:
        screen.warn(
            f"{bare:,} of the trials were recorded earlier without their scores, which cannot be "
            "had any more: use another --out to run them anew"
        )
    tell_outcome(screen, outcome, loaded, trials, file.path)
    if outcome.failed:
        raise typer.Exit(1)


def read_numbers(words: Sequence[str], option: str) -> list[int]:
    """Read ``0,2`` and ``0-4``, each number once, in the given order.

    Raises:
        UsageError: something is no number.
    """
    found: list[int] = []
    for word in (part.strip() for each in words for part in each.split(",")):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", word)
        if match is None:
            raise UsageError(f"{option} {word}: write numbers, such as 0,1,2 or 0-2")
        first = int(match[1])
        found += range(first, int(match[2] or first) + 1)
    if not found:
        raise UsageError(f"{option} {', '.join(words)}: a range that is empty")
    return list(dict.fromkeys(found))


def read_classes(words: Sequence[str], known: Sequence[str]) -> list[str]:
    """Read names of classes, or their numbers, each class once, in the given order.

    Raises:
        UsageError: there is no such class.
    """
    found: list[str] = []
    for word in (part.strip() for each in words for part in each.split(",")):
        if word in known:
            found.append(word)
        elif re.fullmatch(r"\d+(-\d+)?", word):
            numbers = read_numbers([word], "--classes")
            if numbers[-1] >= len(known):
                raise UsageError(f"--classes {word}: they are numbered 0 to {len(known) - 1}")
            found += [known[number] for number in numbers]
        else:
            raise UsageError(f"--classes {word}: there is no such class; {suggestion(word, known)}")
    return list(dict.fromkeys(found))


def results_file(out: Path, protocol: str, data: str) -> Path:
    """Where the records go: a file that is named as one, else one in the folder."""
    from oddlens.evaluation.records import file_name

    if out.suffix == ".jsonl":
        return out
    return out / file_name(protocol, data)


def _options(
    method: str,
    preset: str,
    settings: Sequence[str],
    data: str,
    content: Content | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A trial's options, with those that fit the data, and the whole configuration.

    ``content`` is what the images show where the protocol says it, and not the data set.
    """
    from oddlens.detectors.fitting_options import fitting_options
    from oddlens.ensemble.making import config_of, make, members_of
    from oddlens.images.catalogue import find_entry

    members = members_of(method)
    content = content or find_entry(data).content
    options = read_options(method, preset=preset, size=None, settings=settings)
    if len(members) == 1:
        (kind,) = members.values()
        options = fitting_options(kind.Options, options, content)
    else:
        options |= {
            name: fitting_options(kind.Options, options[name], content)
            for name, kind in members.items()
        }
    return options, config_of(make(method, options))


def _command(*places: Path | None) -> str:
    """The command as it was given, with no place on this machine in it."""
    arguments = sys.argv[1:]
    for place in filter(None, places):
        arguments = [each.replace(str(place), place.name or ".") for each in arguments]
    return shlex.join(["oddlens", *arguments])


def _tell_warnings(
    screen: Screen, outcome: Outcome, table: TrialTable, config: dict[str, Any]
) -> None:
    from oddlens.evaluation.summary import filled

    told: dict[str, list[str]] = {}
    for record in outcome.records:
        if record in table.were_there:
            continue
        for line in record.warnings:  # the same of many trials is told once
            told.setdefault(re.sub(r"[\d.,]+", "#", line), []).append(line)
    for line, *more in told.values():
        screen.warn(f"{line} (and {len(more):,} like it)" if more else line)
    other: set[str] = set()
    for record in table.were_there:
        labelled = record.fit.get("labelled_anomalies", 0) > 0
        now, before = (
            filled(record.method, each, labelled=labelled) for each in (config, record.config)
        )
        other |= {name for name in now.keys() | before.keys() if now.get(name) != before.get(name)}
    if other:
        screen.warn(
            f"trials that were recorded earlier had another default of {', '.join(sorted(other))}: "
            "use another --out to run them anew"
        )
    for trial, reason in outcome.failed:
        screen.warn(f"{title(trial)} failed: {reason}")
