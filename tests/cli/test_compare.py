"""``oddlens compare``."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from oddlens.evaluation.kept_scores import KeptScores, keep_scores
from oddlens.evaluation.metrics import auroc
from oddlens.evaluation.records import RecordFile
from tests.cli.conftest import Run
from tests.evaluation.made_records import made


@pytest.fixture
def results(tmp_path: Path) -> Path:
    file = RecordFile(tmp_path / "one_vs_all_made.jsonl")
    for at in range(6):
        file.append(made(f"c{at}", auroc=0.8, minutes=5.0, epochs=None))
        file.append(made(f"c{at}", auroc=0.81 + at / 100, method="new", minutes=5.0, epochs=None))
    (tmp_path / "speed.jsonl").write_text('{"other": 1}\n')
    return tmp_path


def test_a_table_for_people(run: Run, results: Path) -> None:
    outcome = run("compare", "Toy", "new", "--results", results)
    assert outcome.code == 0, outcome.err
    assert "one-vs-all, made" in outcome.out
    assert "5 min" in outcome.out
    assert "  mean of 6" in outcome.out
    assert "+3.5" in outcome.out
    assert "p = 0.0312; better in 0 : 6; seeds 0" in outcome.out
    assert not outcome.err


def test_scores_that_are_not_there_are_told(run: Run, results: Path, tmp_path: Path) -> None:
    outcome = run("compare", "toy", "new", "--results", results, "--scores", tmp_path / "scores")
    assert outcome.code == 1
    assert "has no scores of these trials; `oddlens benchmark --keep-scores`" in outcome.err


def test_delong_and_the_noise_of_seeds(run: Run, tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "one_vs_all_made.jsonl")
    rng = np.random.default_rng(0)
    labels = np.repeat([False, True], [5, 15])
    for method, seed in product(("toy", "new"), (0, 1)):
        kept = KeptScores(rng.normal(size=20), labels, np.arange(20))
        record = made("a", seed, auroc(kept.scores, labels), method=method)
        name = keep_scores(tmp_path / "scores", record.key, kept)
        file.append(record.model_copy(update={"scores": name}))
    call = ("compare", "toy", "new", "--results", tmp_path, "--scores", tmp_path / "scores")
    outcome = run(*call)
    assert outcome.code == 0, outcome.err
    assert outcome.out.count("DeLong p = ") == 2
    (told,) = json.loads(run(*call, "--json").out)["comparisons"]
    noise = [f"{100 * told['seed_noise'][name]:.1f}" for name in ("seed_deviation", "mean_error")]
    wanted = "seeds move the difference of a class by ± {}; the mean by ± {}".format(*noise)
    assert wanted in outcome.out
    assert [each["seed"] for each in told["trials"]] == [0, 1]
    assert all(0 <= each["p_value"] <= each["p_value_after_holm"] for each in told["trials"])
    assert told["seed_noise"]["classes"] == 1


def test_minutes_in_float32_are_another_budget(run: Run, tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "one_vs_all_made.jsonl")
    for precision, auc in (("32", 0.8), ("bf16", 0.9)):
        file.append(made("a", auroc=auc, minutes=5.0, epochs=None, fit={"precision": precision}))
    outcome = run("compare", "toy", "toy", "--results", tmp_path)
    assert "5 min, float32 against 5 min" in " ".join(outcome.out.split())
    other = made("a", method="new", minutes=5.0, epochs=None, fit={"precision": "32"})
    file.append(other)
    (told,) = json.loads(run("compare", "toy", "new", "--results", tmp_path, "--json").out)[
        "comparisons"
    ]
    assert told["first"]["precision"] == told["second"]["precision"] == "32"


def test_json_and_too_few_classes(run: Run, results: Path) -> None:
    path = results / "one_vs_all_made.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:8]))
    outcome = run("compare", "toy", "new", "--results", path, "--json")
    (told,) = json.loads(outcome.out)["comparisons"]
    assert told["wins"] == [0, 4]
    assert told["p_value"] == told["least_p_value"] == 0.125
    assert "of 4 classes no p-value can be below 0.12" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("toy", "ssm"), "there are no records of ssm"),
        (("toy", "new", "--results", "{nowhere}"), "there is no file of records"),
    ],
)
def test_mistakes(run: Run, results: Path, arguments: tuple[str, ...], message: str) -> None:
    given = [each.format(nowhere=results / "nowhere") for each in arguments]
    outcome = run("compare", *given, "--results", results)
    assert outcome.code == 1
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
