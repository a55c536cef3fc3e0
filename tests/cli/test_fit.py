"""``oddlens fit``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oddlens.errors import ArtifactError, DataError, Interrupted
from tests.cli.conftest import FakeLibrary, Run


def test_everything_reaches_the_library(run: Run, library: FakeLibrary, tmp_path: Path) -> None:
    out = tmp_path / "new" / "bottle.oddlens"
    outcome = run(
        *("fit", "a", "b/*.png", "--out", out, "--preset", "paper", "--size", 64),
        *("--anomalies", "bad", "--epochs", 3, "--seed", 7, "--device", "cpu", "--holdout", 0.3),
        *("--set", "mask_sizes=[2,8]", "--set", "fusion=mean", "--on-bad", "skip"),
    )
    assert outcome.code == 0, outcome.err
    assert library.options == {
        "preset": "paper",
        "image_size": 64,
        "mask_sizes": [2, 8],
        "fusion": "mean",
    }
    progress = library.fit.pop("progress")
    assert callable(progress)
    assert library.fit == {
        "images": ["a", "b/*.png"],
        "anomalies": "bad",
        "epochs": 3,
        "max_minutes": None,
        "seed": 7,
        "device": "cpu",
        "holdout": 0.3,
        "on_bad": "skip",
        "checkpoint": tmp_path / "new" / "bottle.oddlens.training",
        "resume": False,
    }
    assert out.is_dir()
    assert not library.fit["checkpoint"].exists()
    assert "1,200" in outcome.out
    assert outcome.err == "training: 10 of 10 (100%)\n"


def test_one_folder_is_passed_by_itself(run: Run, library: FakeLibrary, tmp_path: Path) -> None:
    assert run("fit", "good", "--out", tmp_path / "m").code == 0
    assert library.fit["images"] == "good"
    assert library.fit["on_bad"] == "raise"


def test_json(run: Run, library: FakeLibrary, tmp_path: Path) -> None:
    outcome = run("fit", "good", "--out", tmp_path / "m", "--json")
    told = json.loads(outcome.out)
    assert told["artifact"] == str(tmp_path / "m")
    assert (told["method"], told["preset"], told["steps"]) == ("ssm", "compact", 1200)
    assert outcome.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "1", "--max-minutes", "2"], "exclude each other"),
        (["--set", "mask_size=1"], "did you mean mask_sizes?"),
        (["--size", "64", "--set", "image_size=32"], "are the same option"),
        (["--resume"], "m.training to go on from"),
    ],
)
def test_wrong_calls(
    run: Run, library: FakeLibrary, tmp_path: Path, arguments: list[str], message: str
) -> None:
    outcome = run("fit", "good", "--out", tmp_path / "m", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert library.fit == {}


def test_an_artifact_is_replaced_only_with_force(
    run: Run, library: FakeLibrary, tmp_path: Path
) -> None:
    out = tmp_path / "m"
    assert run("fit", "good", "--out", out).code == 0
    refused = run("fit", "good", "--out", out)
    assert refused.code == 2
    assert f"{out} exists: choose another --out, or replace it with --force" in refused.err
    assert run("fit", "good", "--out", out, "--force").code == 0


def test_force_never_replaces_what_is_no_artifact(
    run: Run, library: FakeLibrary, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "family.jpg").write_bytes(b"x")
    outcome = run("fit", "good", "--out", photos, "--force")
    assert outcome.code == 2
    assert "is no saved detector" in outcome.err
    assert (photos / "family.jpg").exists()


def test_force_gives_up_an_unfinished_run_only_when_the_call_is_right(
    run: Run, library: FakeLibrary, tmp_path: Path
) -> None:
    kept = tmp_path / "m.training"
    kept.mkdir()
    assert run("fit", "good", "--out", tmp_path / "m", "--force", "--set", "zzz=1").code == 2
    assert kept.is_dir()
    assert run("fit", "good", "--out", tmp_path / "m", "--force").code == 0
    assert library.fit["resume"] is False


def test_an_unfinished_run_is_resumed_or_given_up_but_never_lost_by_accident(
    run: Run, library: FakeLibrary, tmp_path: Path
) -> None:
    out, kept = tmp_path / "m", tmp_path / "m.training"
    library.fit_raises = Interrupted("stopped after 8 of 9 steps; go on with --resume")
    stopped = run("fit", "good", "--out", out)
    assert stopped.code == 130
    assert stopped.err.endswith("interrupted: stopped after 8 of 9 steps; go on with --resume\n")
    assert kept.is_dir()
    assert not out.exists()
    library.fit_raises = None

    refused = run("fit", "good", "--out", out)
    assert refused.code == 2
    assert "m.training holds an unfinished run: go on with --resume" in refused.err
    assert kept.is_dir()

    assert run("fit", "good", "--out", out, "--resume").code == 0
    assert library.fit["resume"] is True
    assert not kept.exists()


def test_a_training_that_cannot_be_saved_is_kept(
    run: Run, library: FakeLibrary, tmp_path: Path
) -> None:
    library.save_raises = ArtifactError("m: the disk is full; nothing was written")
    outcome = run("fit", "good", "--out", tmp_path / "m")
    assert outcome.code == 1
    assert "warning: what was trained is kept in" in outcome.err
    assert outcome.err.endswith("error: m: the disk is full; nothing was written\n")
    assert (tmp_path / "m.training").is_dir()


def test_a_second_ctrl_c_still_says_what_is_kept(
    run: Run, library: FakeLibrary, tmp_path: Path
) -> None:
    library.fit_raises = KeyboardInterrupt()
    outcome = run("fit", "good", "--out", tmp_path / "m")
    assert outcome.code == 130
    kept = tmp_path / "m.training"
    assert f"interrupted: what was trained is kept in {kept}: go on with --resume" in outcome.err


def test_a_failure_is_told(run: Run, library: FakeLibrary, tmp_path: Path) -> None:
    library.fit_raises = DataError("no images in good: looked for .png")
    outcome = run("fit", "good", "--out", tmp_path / "m", "--quiet")
    assert (outcome.code, outcome.err) == (1, "error: no images in good: looked for .png\n")
