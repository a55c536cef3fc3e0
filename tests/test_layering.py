"""The arrows between the rooms of the library point downward, and heavy libraries stay in theirs.

The rules are those of docs/architecture.md. Each broken one is named with its file and line.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "oddlens"

# What each room may know. A room is a package or a module directly below oddlens.
BASE = {"errors", "files", "jsonable"}
DETECTOR_KNOWS = BASE | {"artifact", "images", "options", "predictions", "scoring", "training"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "files": {"errors"},
    "jsonable": set(),
    "artifact": BASE,
    "images": BASE,
    "map_store": BASE,
    "networks": BASE,
    "scoring": BASE,
    "options": BASE | {"scoring"},
    "pretext": BASE | {"networks", "scoring"},
    "training": BASE | {"images"},
    "predictions": BASE | {"images", "map_store", "scoring"},
    "map_pictures": BASE | {"map_store", "predictions"},
    "detector": DETECTOR_KNOWS,
    "held_out": DETECTOR_KNOWS | {"detector"},
    "fitting": DETECTOR_KNOWS | {"detector", "held_out"},
    "predicting": DETECTOR_KNOWS | {"detector"},
    "model_card": DETECTOR_KNOWS | {"detector"},
    "saving": DETECTOR_KNOWS | {"detector", "model_card"},
    "detectors": DETECTOR_KNOWS | {"detector", "networks", "pretext"},
    "ensemble": DETECTOR_KNOWS
    | {"detector", "detectors", "fitting", "held_out", "model_card", "saving"},
    "export": DETECTOR_KNOWS | {"detector", "detectors", "ensemble", "predicting", "pretext"},
    "evaluation": BASE
    | {"artifact", "detector", "detectors", "ensemble", "images", "predictions", "scoring"},
    "tables": BASE | {"detectors", "ensemble", "evaluation", "images"},
    "report": BASE | {"detector", "evaluation", "images", "map_store", "predictions", "scoring"},
    "serving": BASE | {"detector", "export", "images", "predicting", "report", "scoring"},
    "demo": BASE | {"detector", "detectors", "evaluation", "images", "predictions", "report"},
}
ALLOWED["cli"] = set(ALLOWED)

# Conveniences that look upward (`predictions.report(...)`, `load` finding a method by its name):
# only inside a function, so that no module needs a higher one to be imported.
UPWARD_WHEN_CALLED = {
    ("predictions", "map_pictures"),
    ("predictions", "report"),
    ("detector", "detectors"),
    ("detector", "fitting"),
    ("detector", "predicting"),
    ("detector", "saving"),
    ("saving", "detectors"),
    ("saving", "fitting"),
}

# The functional core of evaluation is usable on plain arrays, without a detector.
DETECTOR_FREE = {"evaluation/metrics.py"}

# What `oddlens --help` and `import oddlens` wait for: nothing but these and the standard library.
LIGHT_ROOMS = {"", "cli", "errors", "jsonable"}
LIGHT = {"oddlens", "typer", "rich"}
LIGHT_OWN = {"cli", "errors", "jsonable"}

# torchvision and timm cannot be imported beside the CPU build of torch.
FORBIDDEN = {"torchvision", "timm"}
# Where it can be imported, its models plug in: asked for inside a function of this file alone.
TIMM_ADAPTER = "networks/timm_encoder.py"
LIGHTNING = {"lightning", "lightning_fabric", "lightning_utilities", "pytorch_lightning"}


@dataclass(frozen=True)
class Import:
    module: str
    line: int
    at_top: bool
    for_types: bool

    @property
    def library(self) -> str:
        return self.module.split(".")[0]

    @property
    def room(self) -> str:
        """The room of oddlens that is imported; empty for oddlens itself and other libraries."""
        parts = self.module.split(".")
        return parts[1] if parts[0] == "oddlens" and len(parts) > 1 else ""


def imports(source: str, module: str) -> Iterator[Import]:
    """All imports of a module, wherever they stand, relative ones made absolute."""

    def visit(node: ast.AST, at_top: bool, for_types: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, at_top, for_types)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*module.split(".")[: -node.level], *filter(None, [base])])
            # `from oddlens import images` names a room, `from oddlens import SSM` none.
            for alias in node.names:
                full = f"{base}.{alias.name}"
                is_room = base == "oddlens" and alias.name in ALLOWED
                yield Import(full if is_room else base, node.lineno, at_top, for_types)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for statement in node.body:
                yield from visit(statement, at_top, True)
            for statement in node.orelse:
                yield from visit(statement, at_top, for_types)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                yield from visit(child, at_top and not inside, for_types)

    yield from visit(ast.parse(source), True, False)


def violations(source: str, path: str) -> list[str]:
    """The broken rules of one file, as "file:line: rule".

    Args:
        source: the text of the file.
        path: its place below src/oddlens, with forward slashes.
    """
    parts = path.removesuffix(".py").split("/")
    room = parts[0] if parts != ["__init__"] else ""
    module = ".".join(["oddlens", *parts])
    if room and room not in ALLOWED:
        return [f"src/oddlens/{path}:1: say in tests/test_layering.py what {room!r} may know"]
    found = [
        f"src/oddlens/{path}:{item.line}: {rule}"
        for item in imports(source, module)
        for rule in _broken(item, room, path)
    ]
    return list(dict.fromkeys(found))


def _broken(item: Import, room: str, path: str) -> Iterator[str]:
    adapted = item.library == "timm" and path == TIMM_ADAPTER and not item.at_top
    if item.library in FORBIDDEN and not adapted:
        yield f"nothing imports {item.library}: it cannot be loaded beside the CPU build of torch"
    if item.library in LIGHTNING and room != "training":
        yield f"{item.library} is imported by training/ only"
    if room in LIGHT_ROOMS and item.at_top and not item.for_types and not _is_light(item):
        yield f"{item.module} is too heavy for the top of this file: import it inside a function"
    if item.room == "detector" and path in DETECTOR_FREE:
        yield "the metrics work on plain arrays and do not know the detector"
    if room and item.room and item.room != room and item.room not in ALLOWED[room]:
        if (room, item.room) not in UPWARD_WHEN_CALLED:
            yield f"{room} does not know {item.room}"
        elif item.at_top and not item.for_types:
            yield f"{room} may reach up to {item.room} only inside a function"


def _is_light(item: Import) -> bool:
    if item.library == "oddlens":
        return item.room in LIGHT_OWN or not item.room
    return item.library in LIGHT | sys.stdlib_module_names


def test_every_arrow_points_down() -> None:
    found = [
        violation
        for file in sorted(PACKAGE.rglob("*.py"))
        for violation in violations(
            file.read_text(encoding="utf-8"), file.relative_to(PACKAGE).as_posix()
        )
    ]
    assert not found, "\n".join(["", *found])


def test_the_table_has_no_cycle() -> None:
    done: set[str] = set()
    while waiting := set(ALLOWED) - done:
        ready = {room for room in waiting if ALLOWED[room] <= done}
        assert ready, f"these rooms know one another: {sorted(waiting)}"
        done |= ready


@pytest.mark.parametrize(
    ("path", "source", "line", "rule"),
    [
        ("images/decode.py", "import os\nimport oddlens.detector\n", 2, "images does not know"),
        ("scoring/fuse.py", "from oddlens.detector import Detector", 1, "scoring does not know"),
        ("scoring/fuse.py", "from ..detector import Detector", 1, "scoring does not know detector"),
        ("scoring/fuse.py", "from .. import detector", 1, "scoring does not know detector"),
        ("artifact/read.py", "from oddlens import detector", 1, "artifact does not know detector"),
        ("artifact/read.py", "def f():\n    import oddlens.cli", 2, "artifact does not know cli"),
        ("detector.py", "from oddlens import detectors", 1, "only inside a function"),
        ("detector.py", "import lightning.pytorch as pl", 1, "training/ only"),
        ("evaluation/metrics.py", "import oddlens.detector", 1, "do not know the detector"),
        (
            "detectors/ssm.py",
            "try:\n    import timm\nfinally: ...",
            2,
            "nothing imports",
        ),
        ("networks/unet.py", "from torchvision.models import resnet18", 1, "nothing imports"),
        ("networks/timm_encoder.py", "import timm", 1, "nothing imports"),
        ("cli/fit.py", "import json\n\nimport numpy as np", 3, "too heavy"),
        ("cli/fit.py", "class A:\n    import torch", 2, "too heavy"),
        ("cli/fit.py", "from oddlens.detector import load", 1, "too heavy"),
        ("__init__.py", "from oddlens.detector import load", 1, "too heavy"),
        ("attic/old.py", "import os", 1, "what 'attic' may know"),
    ],
)
def test_a_made_violation_is_found(path: str, source: str, line: int, rule: str) -> None:
    (found,) = violations(source, path)
    assert found.startswith(f"src/oddlens/{path}:{line}: ")
    assert rule in found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "detectors/ssm.py",
            "from oddlens.detector import Detector\nimport oddlens.pretext.tint",
        ),
        ("detector.py", "def load():\n    from oddlens.detectors import get_method"),
        ("predictions.py", "def report():\n    from oddlens.report import write_report"),
        ("training/fit.py", "import lightning.pytorch as pl"),
        ("networks/timm_encoder.py", "def f():\n    import timm"),
        ("cli/fit.py", "import typer\nfrom oddlens.cli import screen\ndef f():\n    import torch"),
        ("cli/fit.py", "if TYPE_CHECKING:\n    import numpy as np"),
        ("__init__.py", "if TYPE_CHECKING:\n    from oddlens.detector import load"),
        ("images/sources.py", "from .decode import decode\nfrom oddlens.errors import DataError"),
    ],
)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert violations(source, path) == []
