"""``oddlens ensemble`` and ``oddlens fit --method ssm,multitask``, end to end in this process."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import oddlens
from oddlens import SSM, Ensemble, MultiTask
from tests.cli.conftest import Run
from tests.detectors.tiny import TINY, surfaces

SIZES = ("--set", "multitask.image_size=36", "--set", "ssm.image_size=32")
SMALL = ("ssm.cells=[4,8]", "ssm.scoring_cells=[8]", "ssm.widths=[8,8]")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 normal images to learn from; 3 normal and 3 anomalous ones with masks to test on."""
    root = tmp_path_factory.mktemp("stripes")
    for name, count, seed in (("train/good", 24, 0), ("test/good", 3, 1), ("test/spot", 3, 2)):
        (root / name).mkdir(parents=True)
        for index, pixels in enumerate(surfaces(count, seed)):
            if name == "test/spot":
                pixels[8:20, 8:20] = 0
            Image.fromarray(pixels).resize((48, 48)).save(root / name / f"{index}.png")
    (root / "ground_truth" / "spot").mkdir(parents=True)
    mask = np.zeros((48, 48), np.uint8)
    mask[12:30, 12:30] = 255
    for index in range(3):
        Image.fromarray(mask).save(root / "ground_truth" / "spot" / f"{index}_mask.png")
    return root


@pytest.fixture(scope="module")
def models(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, normal = tmp_path_factory.mktemp("models"), str(dataset / "train" / "good")
    made = {"ssm": SSM(**TINY), "multitask": MultiTask(image_size=36)}
    return [
        each.fit(normal, epochs=1, holdout=0.5, device="cpu").save(folder / name)
        for name, each in made.items()
    ]


@pytest.fixture(scope="module")
def model(models: list[Path], dataset: Path) -> Path:
    members = [oddlens.load(each) for each in models]
    made = Ensemble(members).calibrate(dataset / "train" / "good")
    return made.save(models[0].with_name("all"))


def test_fitted_detectors_become_one(
    run: Run, models: list[Path], model: Path, dataset: Path, tmp_path: Path
) -> None:
    out, normal = tmp_path / "all", dataset / "train" / "good"
    done = run("ensemble", *models, "--normal", normal, "--out", out, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["members"] == ["ssm", "multitask"]
    assert (told["trained_on"], told["tuned_on"], told["calibrated_on"]) == (12, 8, 8)
    new = str(dataset / "test")
    np.testing.assert_array_equal(oddlens.load(out).score(new), oddlens.load(model).score(new))

    again = run("ensemble", *models, "--normal", normal, "--out", out)
    assert again.code == 2
    assert f"{out} exists: choose another --out, or replace it with --force" in again.err
    forced = run("ensemble", *models, "--normal", normal, "--out", out, "--force", "-q")
    assert forced.code == 0
    assert "ssm, multitask" in forced.out


def test_every_verb_takes_an_ensemble(run: Run, model: Path, dataset: Path, tmp_path: Path) -> None:
    out, report = tmp_path / "scores.csv", tmp_path / "report.html"
    rate = ("--false-alarm-rate", "0.2")
    done = run("score", model, dataset / "test", "--out", out, "--report", report, *rate)
    assert done.code == 0, done.err
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    assert len(rows) == 6
    assert {"cue.ssm", "cue.multitask"} <= rows[0].keys()
    assert all(float(row["cue.ssm"]) >= 0 for row in rows)
    assert "<th>multitask</th>" in report.read_text(encoding="utf-8")

    done = run("evaluate", model, dataset, "--json")
    assert done.code == 0, done.err
    metrics = json.loads(done.out)
    assert {"image_auroc", "pixel_auroc", "aupro"} <= metrics.keys()
    assert metrics["provenance"]["detector"]["method"] == "ensemble"

    told = json.loads(run("info", model, "--json").out)
    assert told["method"] == "ensemble"
    assert told["config"] == {"image_size": 36, "fusion": "fisher"}
    assert {name: each["method"] for name, each in told["members"].items()} == {
        "ssm": "ssm",
        "multitask": "multitask",
    }
    assert told["weights"] >= told["provenance"]["parameters"] > 1000
    assert "members.ssm.config.image_size" in run("info", model).out


def test_several_methods_are_fitted_at_once(run: Run, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "both"
    settings = [word for each in SMALL for word in ("--set", each)]
    done = run(
        *("fit", dataset / "train" / "good", "--out", out, "--method", "ssm,multitask"),
        *("--epochs", 1, "--holdout", 0.5, "--device", "cpu", *SIZES, *settings, "--json"),
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["calibrated_on"] == 8
    assert isinstance(oddlens.load(out), Ensemble)
    assert not out.with_name("both.training").exists()


def test_mistakes_are_one_sentence(
    run: Run, models: list[Path], model: Path, dataset: Path, tmp_path: Path
) -> None:
    normal = ("--normal", dataset / "train" / "good", "--out", tmp_path / "all")
    done = run("ensemble", model, models[0], *normal)
    assert done.code == 2
    assert "an ensemble cannot be a member of another" in done.err
    done = run("ensemble", tmp_path / "nowhere", *normal)
    assert done.code == 1
    assert "there is no artifact" in done.err
    assert "fault of oddlens" not in done.err
    assert not (tmp_path / "all").exists()
