"""The real command line on real files: fit, score, evaluate, info, check, and what goes wrong."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow  # a process for each command

SIZE = 48
TINY = (
    *("--size", "32", "--device", "cpu", "--holdout", "0.25"),
    *("--set", "cells=[4,8]", "--set", "scoring_cells=[8]", "--set", "widths=[8,8]"),
)

# The program as installed, but it tells its progress at every call and checkpoints at every
# chance, so that a test can stop it at a known place.
TALKATIVE = """
import oddlens.cli.progress as progress
import oddlens.training.lightning_adapter as adapter
from oddlens.cli import main
progress.SECONDS_BETWEEN_LINES = 0.0
adapter._CHECKPOINT_SECONDS = 0.0
raise SystemExit(main())
"""


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "ODDLENS_DEBUG": "0"}


def oddlens(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("oddlens")
    command = [os.fspath(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment())


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", TALKATIVE, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )


def wait_for(process: subprocess.Popen[str], wanted: Callable[[str], bool]) -> str:
    """Read what the process says until it says what is wanted."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if wanted(line):
            return said
    raise AssertionError(f"it ended without saying it:\n{said}")


def picture(rng: np.random.Generator) -> np.ndarray:
    """A striped surface with some noise."""
    rows = np.arange(SIZE)[:, None] + rng.integers(0, 8)
    stripes = 120 + 60 * np.sin(rows * np.pi / 4) + np.zeros((SIZE, SIZE))
    pixels = stripes[..., None] + rng.normal(0, 6, (SIZE, SIZE, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 normal images to learn from; 6 normal and 6 anomalous ones with masks to test on."""
    root = tmp_path_factory.mktemp("stripes")
    rng = np.random.default_rng(0)

    def save(pixels: np.ndarray, *parts: str) -> None:
        path = root.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    for index in range(24):
        save(picture(rng), "train", "good", f"{index:03}.png")
    for index in range(6):
        save(picture(rng), "test", "good", f"{index:03}.png")
        pixels, mask = picture(rng), np.zeros((SIZE, SIZE), np.uint8)
        mask[10:26, 12:28] = 255
        pixels[mask > 0] = 0
        save(pixels, "test", "spot", f"{index:03}.png")
        save(mask, "ground_truth", "spot", f"{index:03}_mask.png")
    return root


@pytest.fixture(scope="module")
def model(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "stripes.oddlens"
    done = oddlens("fit", dataset / "train" / "good", "--out", out, "--epochs", 1, *TINY)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert not out.with_name("stripes.oddlens.training").exists()
    return out


def with_bad_files(dataset: Path, folder: Path) -> Path:
    shutil.copytree(dataset / "train" / "good", folder)
    (folder / "zero.png").write_bytes(b"")
    (folder / "text.png").write_text("this is text")
    whole = folder / "whole.jpg"
    Image.fromarray(picture(np.random.default_rng(1))).save(whole)
    (folder / "cut.jpg").write_bytes(whole.read_bytes()[:400])
    whole.unlink()
    return folder


def test_score_writes_a_row_for_each_image(model: Path, dataset: Path, tmp_path: Path) -> None:
    out, maps, report = tmp_path / "scores.csv", tmp_path / "maps", tmp_path / "report.html"
    done = oddlens(
        *("score", model, dataset / "test", "--out", out, "--maps", maps, "--report", report),
        *("--false-alarm-rate", "0.2"),
    )
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert len(rows) == 12
    assert all(0 < float(row["p_value"]) <= 1 for row in rows)
    assert any(key.startswith("cue.") for key in rows[0])
    assert len([path for path in maps.rglob("*") if path.is_file()]) >= 12
    assert "<html" in report.read_text(encoding="utf-8")


def test_scores_are_the_same_every_time(model: Path, dataset: Path) -> None:
    said = [oddlens("score", model, dataset / "test", "--json").stdout for _ in range(2)]
    assert len(json.loads(said[0])["predictions"]) == 12
    assert said[0] == said[1]


def test_a_rate_that_cannot_be_guaranteed_is_told(model: Path, dataset: Path) -> None:
    done = oddlens("score", model, dataset / "test", "--false-alarm-rate", "0.001")
    assert done.returncode == 0
    assert "warning: a false-alarm rate of 0.001 needs 999 held-out normal images" in done.stderr


def test_evaluate_writes_every_metric(model: Path, dataset: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "metrics.json", tmp_path / "report.html"
    done = oddlens("evaluate", model, dataset, "--out", out, "--report", report)
    assert done.returncode == 0, done.stderr
    metrics = json.loads(out.read_text(encoding="utf-8"))
    for name in ("image_auroc", "image_ap", "image_f1_max", "pixel_auroc", "pixel_ap", "aupro"):
        assert metrics[f"{name}_low"] <= metrics[name] <= metrics[f"{name}_high"]
        assert name in done.stdout
    assert (metrics["n_normal"], metrics["n_anomalous"]) == (6, 6)
    assert metrics["ms_per_image"] > 0
    assert metrics["provenance"]
    assert "<html" in report.read_text(encoding="utf-8")


def test_info_tells_where_a_model_comes_from(model: Path) -> None:
    assert "ssm" in oddlens("info", model).stdout
    told = json.loads(oddlens("info", model, "--json").stdout)
    assert told["method"] == "ssm"
    assert told["config"]["image_size"] == 32
    assert told["provenance"]["seed"] == 0


def test_check_finds_nothing_wrong(dataset: Path) -> None:
    done = oddlens("check", dataset, "--json")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["ok"] is True


def test_bad_files_are_refused_when_fitting(dataset: Path, tmp_path: Path) -> None:
    folder, out = with_bad_files(dataset, tmp_path / "mixed"), tmp_path / "m.oddlens"
    refused = oddlens("fit", folder, "--out", out, "--epochs", 1, *TINY)
    assert refused.returncode == 1
    for name in ("zero.png", "text.png", "cut.jpg", "--on-bad skip"):
        assert name in refused.stderr
    assert not out.exists()
    told = oddlens("fit", folder, "--out", out, "--epochs", 1, *TINY, "--on-bad", "skip")
    assert told.returncode == 0, told.stderr
    assert out.exists()


def test_bad_files_are_skipped_when_scoring(model: Path, dataset: Path, tmp_path: Path) -> None:
    folder, out = with_bad_files(dataset, tmp_path / "mixed"), tmp_path / "scores.csv"
    done = oddlens("score", model, folder, "--out", out)
    assert done.returncode == 0
    assert "warning: 3 files were skipped" in done.stderr
    assert len(out.read_text(encoding="utf-8").splitlines()) == 1 + 24
    refused = oddlens("score", model, folder, "--out", tmp_path / "s.csv", "--on-bad", "raise")
    assert refused.returncode == 1
    assert not (tmp_path / "s.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fit", "{empty}", "--out", "{out}"], 1, "no images in {empty}"),
        (["fit", "{empty}/*.png", "--out", "{out}"], 1, "no images match {empty}/*.png"),
        (["fit", "{good}", "--out", "{out}", "--method", "sms"], 2, "sms"),
        (
            ["fit", "{good}", "--out", "{out}", "--set", "image_sise=8"],
            2,
            "mean image_size?",
        ),
        (["fit", "{good}", "--out", "{out}", "--set", "image_size=big"], 2, "image_size"),
        (["fit", "{good}/000.png", "--out", "{out}"], 1, "1 "),
        (["score", "{empty}", "{good}"], 1, "{empty}"),
        (["score", "{out}", "{good}"], 1, "there is no artifact {out}"),
        (["score", "{model}", "{good}", "--false-alarm-rate", "2"], 2, "2"),
        (["evaluate", "{model}", "{good}"], 1, "test"),
    ],
)
def test_mistakes_are_one_sentence(
    model: Path, dataset: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    places = {"empty": tmp_path / "empty", "out": tmp_path / "m", "model": model}
    places["empty"].mkdir()
    places["good"] = dataset / "train" / "good"
    done = oddlens(*(argument.format(**places) for argument in arguments))
    assert done.returncode == code, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert message.format(**places) in line
    assert "Traceback" not in done.stderr
    assert "fault of oddlens" not in done.stderr


def test_a_full_disk_is_one_sentence(model: Path, dataset: Path, tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full, a disk that is always full")
    out = tmp_path / "scores.csv"
    out.symlink_to(full)
    done = oddlens("score", model, dataset / "test", "--out", out)
    assert done.returncode == 1
    assert f"error: cannot write {out}: No space left on device" in done.stderr


def test_a_closed_pipe_is_no_traceback(model: Path, dataset: Path) -> None:
    process = start("score", model, dataset / "test")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.wait()


def fit_command(dataset: Path, out: Path, epochs: int) -> list[object]:
    return ["fit", dataset / "train" / "good", "--out", out, "--epochs", epochs, *TINY]


def test_a_killed_run_resumes_to_the_weights_of_an_unbroken_one(
    dataset: Path, tmp_path: Path
) -> None:
    broken, whole = tmp_path / "broken.oddlens", tmp_path / "whole.oddlens"
    process = start(*fit_command(dataset, broken, 150))
    checkpoint = tmp_path / "broken.oddlens.training"
    deadline = time.monotonic() + 120
    while not list(checkpoint.glob("*.ckpt")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()
    assert not broken.exists()

    again = oddlens(*fit_command(dataset, broken, 150))
    assert again.returncode == 2
    assert "go on with --resume" in again.stderr
    resumed = start(*fit_command(dataset, broken, 150), "--resume")
    _, said = resumed.communicate()
    assert resumed.returncode == 0, said
    assert not checkpoint.exists()
    steps = [int(step) for step in re.findall(r"^restore: (\d+) of 300", said, re.MULTILINE)]
    assert 50 < steps[0] < steps[-1] == 300, "it began anew instead of going on"

    assert oddlens(*fit_command(dataset, whole, 150)).returncode == 0
    for name in ("model.safetensors", "calibration.json"):
        assert (broken / name).read_bytes() == (whole / name).read_bytes()


def test_ctrl_c_while_fitting_keeps_the_training(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "m.oddlens"
    process = start(*fit_command(dataset, out, 100_000))
    wait_for(process, lambda line: " of 100,000" in line or ": 60 of" in line)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: stopped after" in said
    assert "--resume" in said
    assert list((tmp_path / "m.oddlens.training").iterdir())
    assert not out.exists()


def test_ctrl_c_while_scoring_keeps_the_scores(model: Path, dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    first = dataset / "test" / "good" / "000.png"
    for index in range(2000):
        (folder / f"{index:04}.png").symlink_to(first)
    out = tmp_path / "scores.csv"
    process = start("score", model, folder, "--out", out, "--batch-size", 1)
    wait_for(process, lambda line: ": 3 of 2,000" in line)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert 3 <= len(rows) < 2000
    assert f"{len(rows):,} scores are written to {out}" in said
    assert len({row["score"] for row in rows}) == 1
