"""Which tasks are warned of: those that all solve, and those that nobody does."""

from __future__ import annotations

import warnings

import pytest

from oddlens.pretext.difficulty import warn_of_difficulty

# Learned is a tenth of the way from chance to perfect: 0.325 of 4 classes, 0.19 of 10.
FOUR, TEN = 1 / 4, 1 / 10


@pytest.mark.parametrize(
    ("solved", "chance"), [(0.9, FOUR), (0.3251, FOUR), (0.9989, FOUR), (0.1901, TEN)]
)
def test_a_task_of_use_passes_without_a_word(solved: float, chance: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_difficulty({"rotation": solved}, {"rotation": chance})


@pytest.mark.parametrize(
    ("solved", "chance", "told"),
    [
        (1.0, FOUR, r"is too easy.*100\.0 % of held-out normals are recognised, chance is 25\.0 %"),
        (0.999, FOUR, r"is too easy.*\(99\.9 %"),
        (0.3249, FOUR, r"was not learned.*\(32\.5 %"),
        (0.1899, TEN, r"was not learned.*\(19\.0 % .* chance is 10\.0 %"),
        (0.0, TEN, r"was not learned.*\(0\.0 %"),
    ],
)
def test_a_task_of_no_use_is_named(solved: float, chance: float, told: str) -> None:
    with pytest.warns(UserWarning, match=f"^task rotation {told}") as found:
        warn_of_difficulty({"rotation": solved}, {"rotation": chance})
    assert len(found) == 1


def test_each_task_has_a_warning_of_its_own_by_its_own_chance() -> None:
    solved = {"vertical": 1.0, "puzzle": 0.3, "tint": 0.3, "rotation": 0.9}
    chance = {"vertical": 1 / 3, "puzzle": 1 / 9, "tint": FOUR, "rotation": FOUR}
    with pytest.warns(UserWarning, match="task") as found:
        warn_of_difficulty(solved, chance)
    told = [str(each.message).split(":")[0] for each in found]
    assert told == ["task vertical is too easy", "task tint was not learned"]
