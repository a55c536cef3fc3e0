"""``oddlens evaluate``: how good is a detector on labelled images?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oddlens.cli.caveats import tell_caveats
from oddlens.cli.loading import load_scorer
from oddlens.cli.options import (
    JsonFlag,
    QuietFlag,
    RateOption,
    ReportOption,
    ScorerArgument,
)
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen, number
from oddlens.errors import Interrupted

if TYPE_CHECKING:
    from oddlens.evaluation import Evaluation


@verb
def evaluate(
    model: ScorerArgument,
    dataset: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET",
            help="A folder in MVTec layout: test/good, test/<defect>, ground_truth/<defect>.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the metrics to this JSON file.")
    ] = None,
    report: ReportOption = None,
    false_alarm_rate: RateOption = 0.01,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Measure a detector on labelled images: AUROC, AUPRO and more, with 95 % intervals."""
    from oddlens.evaluation import evaluate as measure

    screen = Screen(as_json=as_json, quiet=quiet)
    detector = load_scorer(model)
    try:
        with screen.progress() as progress:
            evaluation = measure(
                detector,
                dataset,
                out=out,
                false_alarm_rate=false_alarm_rate,
                progress=progress,
            )
    except Interrupted as stop:
        raise _keep(stop, out) from stop
    tell_caveats(screen, evaluation.predictions)
    if out is not None:
        screen.note(f"metrics: {out}")
    if report is not None:
        write_evaluation_report(evaluation, report)
        screen.note(f"report: {report}")
    screen.result(
        {**evaluation.metrics, "by_defect": evaluation.by_defect},
        table(evaluation),
        headers=["metric", "value", "95 % interval"],
    )


def _keep(stop: Interrupted, out: Path | None) -> Interrupted:
    """Write out what was scored before Ctrl-C, beside where the metrics were to go."""
    from oddlens.evaluation import Evaluation
    from oddlens.predictions import Predictions

    partial = stop.partial
    predictions = partial.predictions if isinstance(partial, Evaluation) else partial
    if not isinstance(predictions, Predictions) or len(predictions) == 0:
        return stop
    if out is None:
        return Interrupted(f"{stop.message}; the scores are not kept, since there is no --out")
    path = out.with_name(f"{out.name}.partial.csv")
    predictions.to_csv(path)
    return Interrupted(
        f"{stop.message}; {number(len(predictions))} scores are written to {path}", partial
    )


def write_evaluation_report(evaluation: Evaluation, path: Path, note: str | None = None) -> None:
    """Write the report of an evaluation, with what is known to be true of each image."""
    from oddlens.report import write_report

    write_report(
        evaluation.predictions,
        path,
        labels=evaluation.labels,
        masks=evaluation.masks,
        metrics=evaluation.metrics,
        note=note,
    )


def table(evaluation: Evaluation) -> Iterator[list[str]]:
    """Metrics as rows: name, value, interval."""
    metrics = evaluation.metrics
    for name, value in metrics.items():
        if name.endswith(("_low", "_high")) or not isinstance(value, int | float):
            continue
        low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
        interval = "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
        yield [name, number(value) if isinstance(value, int) else f"{value:.4f}", interval]
    for defect, auroc in evaluation.by_defect.items():
        yield [f"image_auroc of {defect}", f"{auroc:.4f}", ""]
