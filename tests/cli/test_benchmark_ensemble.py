"""``oddlens benchmark`` of several methods as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from oddlens.cli.benchmark import _options
from oddlens.evaluation.records import Record, RecordFile
from oddlens.evaluation.summary import summarise
from oddlens.tables.told import set_by_hand, title_of
from tests.cli.conftest import Run

TINY = (
    *("--method", "ssm, anomem", "--set", "image_size=32", "--set", "ssm.widths=[8,8]"),
    *("--set", "cells=[4,8]", "--set", "scoring_cells=[8]", "--set", "ssm.spread_images=8"),
    # Memory is off, since one that was hardly trained is refused.
    *("--set", "anomem.widths=[8,12,16]", "--set", "anomem.memory=false"),
    *("--set", "anomem.turned=false", "--set", "ensemble.fusion=min_p"),
    *("--device", "cpu", "--epochs", 1),
)


def only_record(path: Path) -> Record:
    (record,) = RecordFile(path).read()
    return record


def test_it_is_recorded_like_any_other_and_goes_on(run: Run, tmp_path: Path) -> None:
    call = (
        *("benchmark", "one-vs-all", "--data", "digits", *TINY, "--classes", 3),
        *("--test-limit", 60, "--out", tmp_path),
    )
    first, again = (run(*call) for _ in range(2))
    assert first.code == again.code == 0, first.err
    assert "recorded earlier" in again.err
    record = only_record(tmp_path / "one_vs_all_digits.jsonl")
    assert record.method == "ssm,anomem"
    assert set(record.cue_aurocs) == {"ssm", "anomem"}
    assert record.config["ssm"]["flips"] == "none"  # as digits are, for every member
    assert record.config["anomem"]["widths"] == [8, 12, 16]
    assert record.config["ensemble"] == {"fusion": "min_p"}
    assert record.options["ssm"]["widths"] == [8, 8]
    (summary,) = summarise([record])
    assert title_of(summary) == "SSM + AnoMem"
    told = set_by_hand(summary)
    assert told.startswith("`min_p`; ssm: `cells=[4, 8]`, ")
    assert "anomem: `image_size=" not in told  # 32 is its default
    assert "`memory=false`" in told


def test_labelled_anomalies_go_to_the_member_that_learns_from_them(
    run: Run, tmp_path: Path
) -> None:
    outcome = run(
        *("benchmark", "few-anomalies", "--data", "digits", *TINY, "--gammas", 0.1),
        *("--classes", 3, "--test-limit", 60, "--out", tmp_path),
    )
    assert outcome.code == 0, outcome.err
    record = only_record(tmp_path / "few_anomalies_digits.jsonl")
    assert record.setting["gamma"] == 0.1
    # Of n training images and a anomalies, a tenth is labelled: a = n / 9.
    assert record.fit["labelled_anomalies"] == round(record.metrics.n_train / 9) > 0


def test_it_localizes_within_a_budget_that_its_members_share(run: Run, tmp_path: Path) -> None:
    digits = load_digits().images[:40]  # scanned ones; what is odd has a bright corner
    for number, pixels in enumerate(np.repeat(np.repeat(digits * 8, 4, 1), 4, 2).astype(np.uint8)):
        folder = "train/good" if number < 24 else "test/good" if number < 32 else "test/hole"
        mask = np.zeros_like(pixels)
        if folder == "test/hole":
            pixels[:8, :8] = mask[:8, :8] = 255
            saved(tmp_path / "digit" / f"ground_truth/hole/{number}_mask.png", mask)
        saved(tmp_path / "digit" / folder / f"{number}.png", pixels)
    budget = [*TINY[:-2], "--max-minutes", 0.05, "--set", "anomem.image_size=16"]
    budget[3] = "ssm.image_size=32"
    outcome = run(
        *("benchmark", "localization", "--data", "mvtec", "--root", tmp_path, *budget),
        *("--out", tmp_path / "r"),
    )
    assert outcome.code == 0, outcome.err
    record = only_record(next((tmp_path / "r").iterdir()))
    assert {"pixel_auroc", "aupro"} <= record.more_metrics.keys()
    assert record.minutes == 0.05
    assert record.fit["budget_seconds"] == pytest.approx(3)
    assert record.config["anomem"]["image_size"] == 16


def saved(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--method", "ssm,anomen"), "did you mean anomem"),
        (("--method", "ssm,anomem", "--set", "smm.cells=[2]"), "did you mean ssm"),
        (("--method", "ssm,multitask", "--gammas", "0.1"), "--gammas goes with few-anomalies"),
    ],
)
def test_mistakes_are_told_before_the_work(
    run: Run, tmp_path: Path, given: tuple[str, ...], message: str
) -> None:
    outcome = run("benchmark", "one-vs-all", "--data", "digits", *given, "--out", tmp_path / "r")
    assert outcome.code == 2
    assert message in outcome.err


def test_every_member_gets_the_flips_and_shifts_of_the_data() -> None:
    options, _ = _options("ssm,multitask", "compact", ["ssm.flips=none"], "cifar10")
    assert options["ssm"]["flips"] == "none"
    assert options["multitask"]["flips"] == "horizontal"
    assert options["multitask"]["jitter"] == 2
