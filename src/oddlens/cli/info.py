"""``oddlens info``: what is in this artifact, and what can be set?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from oddlens.cli.options import JsonFlag, Preset
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen, number
from oddlens.errors import UsageError
from oddlens.jsonable import plain


@verb
def info(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="[MODEL]", help="A saved detector, or an exported .onnx file."),
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="List the options of this method instead.")
    ] = None,
    preset: Annotated[
        Preset, typer.Option("--preset", help="The preset whose defaults are listed.")
    ] = "compact",
    as_json: JsonFlag = False,
) -> None:
    """Show what is in a saved detector or an exported one, or which options a method has."""
    if (model is None) == (method is None):
        raise UsageError("info: give either a saved detector or --method NAME, such as ssm")
    screen = Screen(as_json=as_json)
    if model is not None:
        _show_model(screen, model)
    elif method is not None:
        _show_options(screen, method, preset)


def _show_model(screen: Screen, model: Path) -> None:
    from oddlens.export import is_onnx

    (_show_onnx if is_onnx(model) else _show_artifact)(screen, model)


def _show_artifact(screen: Screen, model: Path) -> None:
    from oddlens.artifact import FORMAT_VERSION, read_artifact

    artifact = read_artifact(model)
    facts = {
        "artifact": model,
        "format_version": FORMAT_VERSION,
        "method": artifact.method,
        "weights": sum(
            tensor.numel()
            for each in (artifact, *artifact.members.values())
            for tensor in each.weights.values()
        ),
        "config": artifact.config,
        "members": {
            name: {"method": each.method, "config": each.config}
            for name, each in artifact.members.items()
        },
        "calibration": artifact.calibration,
        "provenance": artifact.provenance,
    }
    screen.result(facts, flat(facts))


def _show_onnx(screen: Screen, model: Path) -> None:
    from oddlens.export import load_onnx

    data = load_onnx(model).metadata
    facts = {
        "file": model,
        "format": "onnx",
        "oddlens": data.version,
        "method": data.method,
        "image_sizes": list(data.image_sizes),
        "inputs": list(data.inputs),
        "outputs": list(data.outputs),
        "cues": list(data.cues),
        "threshold": asdict(data.calibration.threshold(0.01)),
        "config": data.config,
        "calibration": data.calibration.to_json(),
        "provenance": data.provenance,
    }
    if data.quantisation:
        facts["quantisation"] = data.quantisation
    screen.result(facts, flat(facts))


def _show_options(screen: Screen, method: str, preset: Preset) -> None:
    from oddlens.detectors import get_method

    options = get_method(method).options(preset)
    screen.result(
        {"method": method, "options": {name: each._asdict() for name, each in options.items()}},
        [
            [name, each.type, json.dumps(plain(each.default)), each.help]
            for name, each in options.items()
        ],
        headers=["option", "values", "default", "meaning"],
    )


def flat(facts: Mapping[str, object], prefix: str = "") -> Iterator[list[str]]:
    """Nested facts as rows ``a.b  value``; a long list is told by its length.

    Args:
        facts: mappings within mappings.
        prefix: what stands before every key.
    """
    for key, value in facts.items():
        match value:
            case Mapping():
                yield from flat(value, f"{prefix}{key}.")
            case [Mapping(), *_]:
                numbered = {str(index): item for index, item in enumerate(value)}
                yield from flat(numbered, f"{prefix}{key}.")
            case list() if len(value) > 8:
                yield [f"{prefix}{key}", f"{len(value):,} values"]
            case bool() | None:
                yield [f"{prefix}{key}", str(value).lower()]
            case int() | float():
                yield [f"{prefix}{key}", number(value)]
            case _:
                yield [f"{prefix}{key}", str(value)]
