"""``oddlens export``: a fitted detector as a file for another runtime."""

from __future__ import annotations

from pathlib import Path
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
    force: Annotated[bool, typer.Option("--force", help="Replace what is at --out.")] = False,
    quiet: QuietFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Write a fitted detector as one ONNX file, which scores without torch.

    `oddlens score` and `oddlens info` take the file in the place of the detector.
    """
    from oddlens.export import SUFFIX, to_onnx

    screen = Screen(as_json=as_json, quiet=quiet)
    if out.suffix.lower() != SUFFIX:
        raise UsageError(f"--out {out}: give it the ending {SUFFIX}")
    if out.exists() and not force:
        raise UsageError(f"{out} exists: choose another --out, or replace it with --force")

    from oddlens.detector import load

    detector = load(model, device="cpu")
    screen.note("drawing the graph and trying it, which takes up to some minutes")
    made = to_onnx(detector, out)
    facts = {
        "file": made.path,
        "format": to,
        "method": detector.method,
        "megabytes": round(made.size / 1e6, 2),
        "largest_deviation": made.deviation,
    }
    screen.result(facts, summary(facts))
