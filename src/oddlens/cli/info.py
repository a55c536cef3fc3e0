"""``oddlens info``: what is in this artifact?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from oddlens.cli.options import JsonFlag, ModelArgument
from oddlens.cli.runner import verb
from oddlens.cli.screen import Screen, number


@verb
def info(model: ModelArgument, as_json: JsonFlag = False) -> None:
    """Show what is in a saved detector: method, options, calibration, origin."""
    from oddlens.artifact import FORMAT_VERSION, read_artifact

    artifact = read_artifact(model)
    facts = {
        "artifact": model,
        "format_version": FORMAT_VERSION,
        "method": artifact.method,
        "weights": sum(tensor.numel() for tensor in artifact.weights.values()),
        "config": artifact.config,
        "calibration": artifact.calibration,
        "provenance": artifact.provenance,
    }
    Screen(as_json=as_json).result(facts, flat(facts))


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
