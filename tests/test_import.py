"""`import oddlens` is light, and its public face is what it says."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import oddlens

HEAVY = (
    "torch",
    "numpy",
    "scipy",
    "sklearn",
    "skimage",
    "matplotlib",
    "lightning",
    "kornia",
    "PIL",
)


def test_importing_oddlens_loads_nothing_heavy() -> None:
    code = f"import sys, oddlens; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_the_installed_one() -> None:
    assert oddlens.__version__ == importlib.metadata.version("oddlens")


def test_at_most_a_dozen_public_names() -> None:
    assert len([name for name in oddlens.__all__ if not name.startswith("_")]) <= 12
    assert set(dir(oddlens)) == set(oddlens.__all__)


@pytest.mark.parametrize("name", oddlens.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(oddlens, name) is getattr(oddlens, name)


def test_type_checkers_see_the_same_names_from_the_same_modules() -> None:
    tree = ast.parse(Path(oddlens.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        for alias in statement.names:
            seen = getattr(importlib.import_module(statement.module or ""), alias.name)
            assert seen is getattr(oddlens, alias.name)
    declared = {alias.name for node in block.body for alias in getattr(node, "names", [])}
    assert declared | {"__version__"} == set(oddlens.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'SMS'"):
        oddlens.SMS  # noqa: B018
