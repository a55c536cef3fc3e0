"""``oddlens fonts``."""

from __future__ import annotations

import json
from pathlib import Path

from oddlens.demo.fonts import matplotlib_fonts
from tests.cli.conftest import Run


def test_what_was_made_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.ttf").write_bytes(b"no font")
    fonts = [*matplotlib_fonts()[:2], tmp_path / "bad.ttf"]
    call = ("fonts", *fonts, "--out", tmp_path / "made", "--train", 1, "--test", 1)
    outcome = run(*call)
    assert outcome.code == 0, outcome.err
    assert "bad is left out: cannot be read as a font" in outcome.err
    assert "oddlens benchmark style --data folder --root" in outcome.err
    told = json.loads(run(*call, "--json").out)
    assert told["fonts"] == sorted(path.stem for path in fonts[:2])
    assert len(list((tmp_path / "made" / "test" / told["fonts"][0]).iterdir())) == 62


def test_a_mistake_is_one_sentence(run: Run, tmp_path: Path) -> None:
    outcome = run("fonts", tmp_path / "nowhere", "--out", tmp_path / "made")
    assert outcome.code == 1
    assert outcome.err == f"error: {tmp_path / 'nowhere'}: no such file or folder\n"
