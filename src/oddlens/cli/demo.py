"""``oddlens demo``: the main job on embedded real data, end to end, in minutes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from oddlens.cli.caveats import tell_caveats
from oddlens.cli.evaluate import table, write_evaluation_report
from oddlens.cli.fit import checkpoint_of, kept
from oddlens.cli.options import JsonFlag, QuietFlag
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen
from oddlens.errors import Interrupted

NOTE = (
    "The images are crops of a real photograph of a surface; training and test crops share no "
    "pixel. The defects are made: pieces of other photographs and drawn scratches, blended in."
)


@verb
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to put everything.")] = Path(
        "oddlens-demo"
    ),
    minutes: Annotated[float, typer.Option("--minutes", help="How long to train.")] = 3.0,
    surface: Annotated[str, typer.Option("--surface", help="Which photograph.")] = "brick",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of all that is random.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from where a demo with the same --out stopped.")
    ] = False,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Learn a real surface, find made defects in it, and show them in a report."""
    from oddlens.demo import make_surface_dataset
    from oddlens.detectors import get_method
    from oddlens.evaluation import evaluate

    screen = Screen(as_json=as_json, quiet=quiet)
    model, report = out / f"{surface}.oddlens", out / "report.html"
    dataset = make_surface_dataset(out / "data" / surface, surface=surface, seed=seed)
    screen.note(f"1. made the images of a {surface} surface in {dataset}")

    checkpoint = checkpoint_of(model)
    with kept(checkpoint), screen.progress() as progress:
        detector = get_method("ssm")()
        detector.fit(
            str(dataset / "train" / "good"),
            max_minutes=minutes,
            seed=seed,
            checkpoint=checkpoint,
            resume=resume,
            progress=progress,
        )
        detector.save(model)
    shutil.rmtree(checkpoint, ignore_errors=True)
    screen.note(f"2. learned what is normal from train/good, saved as {model}")
    try:
        with screen.progress() as progress:
            evaluation = evaluate(detector, dataset, progress=progress)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"stopped while evaluating; measure it with `oddlens evaluate {model} {dataset}`"
        ) from stop
    screen.note("3. scored the test images and compared with the masks of the made defects")
    tell_caveats(screen, evaluation.predictions)
    write_evaluation_report(evaluation, report, NOTE)

    facts = {**evaluation.metrics, "model": model, "report": report}
    rows = [*table(evaluation), ["model", str(model), ""], ["report", str(report), ""]]
    screen.result(facts, rows, headers=["metric", "value", "95 % interval"])
    screen.note(f"Look at the report: {report.resolve().as_uri()}")
