"""``oddlens export``: a fitted detector as a file for another runtime."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

import typer

from oddlens.cli.options import JsonFlag, ModelArgument, QuietFlag
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen, summary
from oddlens.errors import UsageError


@verb
def export(
    model: ModelArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write, such as m.onnx.")],
    to: Annotated[
        Literal["onnx"], typer.Option("--to", help="The format: onnx, for onnxruntime.")
    ] = "onnx",
    int8: Annotated[
        Path | None,
        typer.Option(
            "--int8",
            metavar="FOLDER",
            help="Compute convolutions in whole numbers, with ranges and a calibration from this "
            "folder of normal images that the detector was not trained on.",
        ),
    ] = None,
    labelled: Annotated[
        Path | None,
        typer.Option(
            "--labelled",
            metavar="DATASET",
            help="With --int8: a folder in MVTec layout, to measure what it costs in AUROC.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is at --out.")] = False,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a fitted detector as one ONNX file, which scores without torch.

    `oddlens score`, `evaluate`, `info` and `serve` take the file in the place of the detector.
    """
    from oddlens.export import SUFFIX, to_onnx

    screen = Screen(as_json=as_json, quiet=quiet)
    if out.suffix.lower() != SUFFIX:
        raise UsageError(f"--out {out}: give it the ending {SUFFIX}")
    if out.exists() and not force:
        raise UsageError(f"{out} exists: choose another --out, or replace it with --force")

    if labelled is not None and int8 is None:
        raise UsageError("--labelled measures what --int8 costs: give both, or use `evaluate`")

    from oddlens.detector import load

    detector = load(model, device="cpu")
    screen.note("drawing the graph and trying it, which takes up to some minutes")
    with TemporaryDirectory() as folder:
        made = to_onnx(detector, out if int8 is None else Path(folder) / out.name)
        facts = {
            "file": out,
            "format": to,
            "method": detector.method,
            "megabytes": round(made.size / 1e6, 2),
            "largest_deviation": made.deviation,
        }
        if int8 is not None:
            screen.note("finding the ranges, and calibrating anew")
            facts |= _in_whole_numbers(made.path, out, int8, labelled)
    screen.result(facts, summary(facts))


def _in_whole_numbers(
    made: Path, out: Path, normal: Path, labelled: Path | None
) -> dict[str, object]:
    """Write the file anew; what there is to tell of it."""
    from oddlens.export.int8 import to_int8

    found = asdict(to_int8(made, out, normal, labelled=labelled))
    told = {name: value for name, value in found.items() if value is not None}
    return {"megabytes": round(out.stat().st_size / 1e6, 2), **told}
