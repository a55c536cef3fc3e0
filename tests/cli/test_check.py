"""``oddlens check``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.cli.conftest import Run


def some_images(folder: Path, count: int = 24) -> Path:
    rng = np.random.default_rng(0)
    folder.mkdir()
    for index in range(count):
        pixels = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    return folder


def test_a_good_folder(run: Run, tmp_path: Path) -> None:
    outcome = run("check", some_images(tmp_path / "good"))
    assert outcome.code == 0, outcome.err
    assert "48x48 (24)" in outcome.out
    assert "nothing is wrong" in outcome.err


def test_a_bad_file_is_named_and_exits_with_1(run: Run, tmp_path: Path) -> None:
    folder = some_images(tmp_path / "good")
    (folder / "note.png").write_text("not an image")
    outcome = run("check", folder)
    assert outcome.code == 1
    (line,) = [line for line in outcome.out.splitlines() if "note.png" in line]
    assert line.split()[0] == "error"


def test_json(run: Run, tmp_path: Path) -> None:
    folder = some_images(tmp_path / "good")
    (folder / "note.png").write_bytes(b"")
    outcome = run("check", folder, "--json")
    told = json.loads(outcome.out)
    assert (outcome.code, told["ok"], told["summary"]["images"]) == (1, False, 25)
    assert [each["path"] for each in told["problems"] if each["severity"] == "error"] == [
        "note.png"
    ]


def test_no_such_folder(run: Run, tmp_path: Path) -> None:
    outcome = run("check", tmp_path / "nowhere")
    assert outcome.code == 1
    assert "nowhere: no such folder" in outcome.err


def test_a_name_that_is_no_utf_8_comes_out_as_it_is_on_disk(tmp_path: Path) -> None:
    folder = some_images(tmp_path / "good")
    (folder / os.fsdecode(b"bad\xff.png")).write_bytes(b"")
    code = "from oddlens.cli import main; raise SystemExit(main())"
    command = [sys.executable, "-c", code, "check", os.fspath(folder), "--quiet"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert b"bad\xff.png" in done.stdout, done.stderr
