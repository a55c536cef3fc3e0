"""Tables of what subsets of cues are worth."""

from __future__ import annotations

from pathlib import Path

from oddlens.evaluation.records import Record
from oddlens.tables.cue_sets import cue_sets
from tests.evaluation.made_records import made
from tests.tables.test_by_class import kept, rows


def test_singles_sets_and_all_under_each_fusion_in_percent(tmp_path: Path) -> None:
    def record(target: str, more: float) -> Record:
        alone = {"structure": 0.5 + more, "colour": 0.6, "texture": 0.7}
        sets = {"structure + colour": 0.55 + more, "mean": 0.75, "median": 0.8 + more, "max": 0.5}
        return made(
            target,
            auroc=0.8 + more,
            data="digits",
            method="multicue",
            config={"preset": "compact", "fusion": "median"},
            cue_aurocs=alone,
            cue_set_aurocs=sets,
        )

    old = made("2", data="digits", method="multicue", epochs=2)  # from before sets were measured
    folder = kept(tmp_path, record("0", 0.0), record("1", 0.1), old)
    table = cue_sets("digits", "multicue", folder)
    assert rows(table)["MultiCue's cues"] == ["fusion", "0", "1", "mean"]
    assert rows(table)["structure"] == ["", "50.0", "60.0", "55.0"]
    assert rows(table)["structure + colour"] == ["median", "55.0", "65.0", "60.0"]
    assert rows(table)["all 3 (the score)"] == ["median", "80.0", "90.0", "85.0"]
    assert "| all 3 | mean | 75.0 | 75.0 | 75.0 |" in table
    assert table.index("median") < table.index("| all 3 | max")


def test_a_class_without_colour_has_no_figure_for_it(tmp_path: Path) -> None:
    def record(target: str, alone: dict[str, float], sets: dict[str, float]) -> Record:
        config = {"preset": "compact", "fusion": "median"}
        return made(
            target,
            data="digits",
            method="multicue",
            config=config,
            cue_aurocs=alone,
            cue_set_aurocs=sets,
        )

    grey = record("0", {"a": 0.5, "b": 0.6}, {"mean": 0.7, "median": 0.7, "max": 0.6})
    full = {"a": 0.6, "b": 0.7, "c": 0.8}
    coloured = record("1", full, {"a + c": 0.9, "mean": 0.8, "median": 0.8, "max": 0.7})
    for order in ((grey, coloured), (coloured, grey)):
        found = rows(cue_sets("digits", "multicue", kept(tmp_path, *order)))
        assert found["a"] == ["", "50.0", "60.0", "55.0"]
        assert found["c"] == ["", "–", "80.0", "–"]
        assert found["a + c"] == ["median", "–", "90.0", "–"]
        assert found["all that there are (the score)"] == ["median", "70.0", "80.0", "75.0"]
        (tmp_path / "one_vs_all_digits.jsonl").unlink()


def test_without_records_it_was_not_run(tmp_path: Path) -> None:
    assert "not run" in cue_sets("digits", "multicue", tmp_path).lower()
