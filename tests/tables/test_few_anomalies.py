"""The curves of few labelled anomalies are those of the records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oddlens.evaluation.records import Record, RecordFile
from oddlens.tables.few_anomalies import curves, few_anomalies
from oddlens.tables.picture import as_svg, drawn
from tests.evaluation.made_records import made
from tests.test_tables import rows


def one(target: str, auroc: float, gamma: float, draw: str, seed: int = 0) -> Record:
    setting: dict[str, Any] = {"gamma": gamma, "anomalies": draw}
    about = {"protocol": "few-anomalies", "data": "fashion-mnist", "method": "anomem"}
    return made(target, seed, auroc, setting=setting, **about)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    file = RecordFile(tmp_path / "few_anomalies_fashion_mnist.jsonl")
    for target, auroc in (("bag", 0.8), ("coat", 0.6)):
        file.append(one(target, auroc, 0.0, "none"))
        file.append(one(target, auroc + 0.1, 0.05, "all"))
    file.append(one("bag", 0.85, 0.05, "single"))
    return tmp_path


def test_gamma_zero_heads_every_draw_and_means_are_of_the_same_classes(folder: Path) -> None:
    both, single = curves("fashion-mnist", folder)
    assert {gamma: round(p.mean, 3) for gamma, p in both.points().items()} == {0: 0.7, 0.05: 0.8}
    assert single.classes == ["bag"]
    assert {gamma: round(p.mean, 3) for gamma, p in single.points().items()} == {0: 0.8, 0.05: 0.85}
    # By hand: intervals are from 10 below to 5 above.
    assert (round(both.points()[0].low, 3), round(both.points()[0].high, 3)) == (0.6, 0.75)


def test_one_vs_all_is_gamma_zero_where_all_else_is_the_same(tmp_path: Path) -> None:
    file = RecordFile(tmp_path / "few_anomalies_fashion_mnist.jsonl")
    file.append(one("bag", 0.9, 0.05, "all"))
    plain = RecordFile(tmp_path / "one_vs_all_fashion_mnist.jsonl")
    about: dict[str, Any] = {"data": "fashion-mnist", "method": "anomem"}
    plain.append(made("bag", 0, 0.7, **about))
    plain.append(made("bag", 0, 0.1, **{**about, "epochs": 2}))
    plain.append(made("coat", 0, 0.2, **about))
    (curve,) = curves("fashion-mnist", tmp_path)
    assert {gamma: round(p.mean, 3) for gamma, p in curve.points().items()} == {0: 0.7, 0.05: 0.9}
    *_, first, second = few_anomalies("fashion-mnist", tmp_path).split("\n\n")
    assert first.endswith("few_anomalies_fashion_mnist.jsonl`.")
    assert second.endswith("one_vs_all_fashion_mnist.jsonl`.")
    file.append(one("bag", 0.75, 0.0, "none"))  # the protocol's own comes before
    assert "/one_vs_all" not in few_anomalies("fashion-mnist", tmp_path)
    (curve,) = curves("fashion-mnist", tmp_path)
    assert round(curve.points()[0].mean, 3) == 0.75


def test_several_seeds_have_a_deviation(folder: Path) -> None:
    file = RecordFile(folder / "few_anomalies_fashion_mnist.jsonl")
    for target, auroc in (("bag", 0.9), ("coat", 0.7)):
        file.append(one(target, auroc, 0.0, "none", seed=1))
    point = curves("fashion-mnist", folder)[0].points()[0]
    assert (point.seeds, round(point.mean, 3), round(point.high - point.mean, 3)) == (
        2,
        0.75,
        0.071,
    )


def test_the_table_has_a_column_for_each_gamma_and_published_ones_apart(folder: Path) -> None:
    head, *found = rows(few_anomalies("fashion-mnist", folder))
    assert head[4:] == ["gamma 0", "gamma 0.005", "gamma 0.01", "gamma 0.05", "gamma 0.1"]
    assert found[0][4:] == ["70.0 (60.0–75.0)", "not run", "not run", "80.0 (70.0–85.0)", "not run"]
    assert [row[1] for row in found] == ["all", "single", "single", "–"]  # Deep SAD: one class
    assert found[2][0].startswith("Deep SAD, as published (Ruff")
    assert found[2][4:] == ["89.2", "–", "90.0", "90.5", "91.3"]


def test_the_picture_is_drawn_with_and_without_records(folder: Path, tmp_path: Path) -> None:
    (axes,) = drawn(folder).axes
    labels = axes.get_legend_handles_labels()[1]
    assert any("anomalies all, 2 classes" in label for label in labels)
    (empty,) = drawn(tmp_path / "nothing").axes
    assert "not run" in empty.get_title()


def test_the_same_records_make_the_same_file(folder: Path) -> None:
    assert as_svg(folder) == as_svg(folder)
    assert as_svg(folder) != as_svg(folder / "nothing")


def test_the_distance_s_share_parts_what_was_labelled_and_not_gamma_zero(tmp_path: Path) -> None:
    def configured(record: Record, **config: Any) -> Record:
        fit = {"labelled_anomalies": 5 if record.setting["gamma"] else 0}
        return record.model_copy(update={"config": {"preset": "compact", **config}, "fit": fit})

    file = RecordFile(tmp_path / "few_anomalies_fashion_mnist.jsonl")
    file.append(configured(one("bag", 0.7, 0.0, "none")))  # from before there was a share
    file.append(configured(one("bag", 0.8, 0.01, "all")))
    file.append(configured(one("bag", 0.9, 0.05, "all"), distance_weight="auto"))
    first, second = curves("fashion-mnist", tmp_path)
    assert {gamma: p.mean for gamma, p in first.points().items()} == {0: 0.7, 0.01: 0.8}
    assert {gamma: p.mean for gamma, p in second.points().items()} == {0: 0.7, 0.05: 0.9}
