"""``oddlens score``: how odd is each image?"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oddlens.cli.caveats import tell_caveats
from oddlens.cli.loading import load_scorer
from oddlens.cli.options import (
    BatchOption,
    JsonFlag,
    OnBadOption,
    QuietFlag,
    RateOption,
    ReportOption,
    ScorerArgument,
    path_or_paths,
)
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen, number, summary
from oddlens.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from oddlens.predictions import Predictions


@dataclass(frozen=True)
class Wanted:
    """What is to be written, and where."""

    out: Path | None
    maps: Path | None
    report: Path | None

    @property
    def where(self) -> str:
        """Where the scores are, once they are written."""
        return f"written to {self.out}" if self.out is not None else "printed"


@verb
def score(
    model: ScorerArgument,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGES...", help="Folders, globs, files.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write the scores to this .csv or .json file."),
    ] = None,
    maps: Annotated[
        Path | None, typer.Option("--maps", help="Write the anomaly maps to this folder.")
    ] = None,
    report: ReportOption = None,
    false_alarm_rate: RateOption = 0.01,
    batch_size: BatchOption = None,
    on_bad: OnBadOption = "skip",
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Score images: how odd is each, is it an anomaly, and where.

    Without --out the scores go to stdout: as CSV, or with --json as JSON.
    """
    screen = Screen(as_json=as_json, quiet=quiet)
    if out is not None and out.suffix.lower() not in WRITERS:
        raise UsageError(f"--out {out}: give it the ending .csv or .json")
    wanted = Wanted(out, maps, report)

    detector = load_scorer(model)
    try:
        with screen.progress() as progress:
            predictions = detector.predict(
                path_or_paths(images),
                false_alarm_rate=false_alarm_rate,
                maps=maps is not None or report is not None,
                on_bad=on_bad,
                batch_size=batch_size,
                progress=progress,
            )
    except Interrupted as stop:
        raise _keep(stop, screen, wanted) from stop
    _deliver(predictions, screen, wanted)


WRITERS = {".csv": "to_csv", ".json": "to_json"}


def _deliver(predictions: Predictions, screen: Screen, wanted: Wanted) -> None:
    """Write what is wanted, the scores first, and say what there is to know about it."""
    tell_caveats(screen, predictions)
    if wanted.out is None:
        sys.stdout.write(_as_text(predictions, ".json" if screen.as_json else ".csv"))
    else:
        getattr(predictions, WRITERS[wanted.out.suffix.lower()])(wanted.out)
    try:
        if wanted.maps is not None:
            predictions.save_maps(wanted.maps)
        if wanted.report is not None:
            predictions.report(wanted.report)
    except KeyboardInterrupt:
        message = f"stopped while writing maps and report; the scores are {wanted.where}"
        raise Interrupted(message, predictions) from None
    if wanted.out is not None:
        facts = _facts(predictions, wanted)
        screen.result(facts, summary(facts))


def _facts(predictions: Predictions, wanted: Wanted) -> dict[str, Any]:
    return {
        "images": len(predictions),
        "anomalies": int(predictions.is_anomaly.sum()),
        "skipped": len(predictions.skipped),
        "threshold": predictions.threshold.value,
        "false_alarm_rate": predictions.threshold.guaranteed,
        "scores": wanted.out,
        "maps": wanted.maps,
        "report": wanted.report,
    }


def _keep(stop: Interrupted, screen: Screen, wanted: Wanted) -> Interrupted:
    """Write out what was scored before Ctrl-C."""
    from oddlens.predictions import Predictions

    partial = stop.partial
    if not isinstance(partial, Predictions) or len(partial) == 0:
        return stop
    _deliver(partial, screen, wanted)
    return Interrupted(f"{stop.message}; {number(len(partial))} scores are {wanted.where}", partial)


def _as_text(predictions: Predictions, suffix: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"scores{suffix}"
        getattr(predictions, WRITERS[suffix])(path)
        return path.read_text(encoding="utf-8", errors="surrogateescape")
