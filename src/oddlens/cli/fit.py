"""``oddlens fit``: learn what normal images look like."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from oddlens.cli.build import build_detector
from oddlens.cli.ensemble import refuse_to_overwrite
from oddlens.cli.options import (
    Device,
    JsonFlag,
    OnBadOption,
    Preset,
    QuietFlag,
    path_or_paths,
)
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen, summary
from oddlens.errors import Interrupted, OddlensError, UsageError


@verb
def fit(
    normal: Annotated[
        list[str],
        typer.Argument(metavar="NORMAL...", help="Normal images: folders, globs, files."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to save the detector.")],
    method: Annotated[
        str,
        typer.Option("--method", help="Which detector; several with commas make an ensemble."),
    ] = "ssm",
    preset: Annotated[
        Preset, typer.Option("--preset", help="A fast network, or the published one (for a GPU).")
    ] = "compact",
    size: Annotated[
        int | None,
        typer.Option("--size", min=8, help="Side that images are resized to, in pixels."),
    ] = None,
    anomalies: Annotated[
        str | None, typer.Option("--anomalies", help="A few labelled anomalies, if there are any.")
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", help="Plan the training to end by then.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes over the images, instead.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of all that is random.")] = 0,
    device: Annotated[Device, typer.Option("--device", help="Where to compute.")] = "auto",
    holdout: Annotated[
        float | None,
        typer.Option(
            "--holdout",
            help="Share of the normal images that is kept back to calibrate with; default: 0.2, "
            "and 2,000 images at most.",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="OPTION=VALUE",
            help="Set an option of the method (`oddlens info --method` lists them); repeatable.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from where a run to the same --out stopped.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is at --out.")] = False,
    on_bad: OnBadOption = "raise",
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Learn what normal images look like, from normal images alone.

    While it trains, the run is kept beside --out as MODEL.training, so that it can be resumed.
    """
    screen = Screen(as_json=as_json, quiet=quiet)
    if max_minutes is not None and epochs is not None:
        raise UsageError("--max-minutes and --epochs exclude each other: give one of them")
    checkpoint = checkpoint_of(out)
    _refuse_to_overwrite(out, checkpoint, resume=resume, force=force)
    detector = build_detector(method, preset=preset, size=size, settings=settings or [])
    out.parent.mkdir(parents=True, exist_ok=True)
    with kept(checkpoint), screen.progress() as progress:
        detector.fit(
            path_or_paths(normal),
            anomalies=anomalies,
            epochs=epochs,
            max_minutes=max_minutes,
            seed=seed,
            device=device,
            holdout=holdout,
            on_bad=on_bad,
            checkpoint=checkpoint,
            resume=resume,
            progress=progress,
        )
    try:
        detector.save(out)
    except (OddlensError, OSError):
        screen.warn(f"what was trained is kept in {checkpoint}: run again with --resume to save it")
        raise
    shutil.rmtree(checkpoint, ignore_errors=True)

    facts = {"artifact": out, "method": method, "preset": preset, **detector.fit_report}
    # What a method tells of itself is for machines and `oddlens info`: a table is no place for it.
    told = {name: fact for name, fact in facts.items() if not isinstance(fact, dict)}
    screen.result(facts, summary(told))


def checkpoint_of(out: Path) -> Path:
    """Where a run keeps itself while it trains."""
    return out.with_name(out.name + ".training")


@contextmanager
def kept(checkpoint: Path) -> Iterator[None]:
    """Say what is not lost when the work ends early and the library did not say it."""
    way_on = f"what was trained is kept in {checkpoint}: go on with --resume"
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt as stop:
        raise (Interrupted(way_on) if checkpoint.exists() else stop) from None


def _refuse_to_overwrite(out: Path, checkpoint: Path, *, resume: bool, force: bool) -> None:
    """Say no before hours of work, not after them."""
    refuse_to_overwrite(out, force=force)
    if resume and not checkpoint.exists():
        raise UsageError(f"--resume: there is no {checkpoint} to go on from; leave --resume out")
    if checkpoint.exists() and not (resume or force):
        raise UsageError(
            f"{checkpoint} holds an unfinished run: go on with --resume, or begin anew with --force"
        )
