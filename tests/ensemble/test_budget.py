"""The members share a budget of minutes, whether the fit is interrupted or not."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oddlens.ensemble.fitting
from oddlens import Ensemble
from oddlens.ensemble.budget import Budget
from tests.ensemble.members import Plain, members
from tests.toys import Toy, ToyOptions


class Clock:
    """Stands still but for what is put onto it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("spent", "shares"),
    [((3, 3, 3), (3, 3, 3)), ((1, 2, 3), (3, 4, 6)), ((8.9, 3, 1), (3, 0.3, 0.3))],
)
def test_what_a_member_leaves_of_the_budget_is_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
    images: np.ndarray,
    spent: tuple[float, ...],
    shares: tuple[float, ...],
) -> None:
    asked: list[float] = []
    clock, fit = Clock(), Toy.fit

    def timed(self: Toy, images: Any, **arguments: Any) -> Toy:
        clock.now += 60 * spent[len(asked)]
        asked.append(arguments.pop("max_minutes"))
        return fit(self, images, **{**arguments, "epochs": 1})

    monkeypatch.setattr(Toy, "fit", timed)
    monkeypatch.setattr(oddlens.ensemble.fitting, "time", clock)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the last case is over its budget
        ensemble = Ensemble(members()).fit(images, max_minutes=10, device="cpu")
    assert asked == pytest.approx(shares)
    assert ensemble.fit_report["budget_seconds"] == 600
    assert ensemble.provenance["max_minutes"] == 10


def test_a_member_that_trains_nothing_is_fitted_first(
    monkeypatch: pytest.MonkeyPatch, images: np.ndarray
) -> None:
    order: list[str] = []
    fit = Toy.fit

    def noted(self: Toy, images: Any, **arguments: Any) -> Toy:
        order.append(self.method)
        return fit(self, images, **arguments)

    class Quick(ToyOptions):
        @property
        def trains_a_network(self) -> bool:
            return False

    monkeypatch.setattr(Toy, "fit", noted)
    monkeypatch.setattr(Plain, "Options", Quick)
    ensemble = Ensemble([Toy(), Plain()]).fit(images, epochs=1, device="cpu")
    assert order == ["plain", "toy"]
    assert list(ensemble.named_members) == ["toy", "plain"]


def test_a_resumed_fit_gives_each_member_what_the_unbroken_one_would(tmp_path: Path) -> None:
    whole = Budget(10, 3, tmp_path, resume=False)
    assert whole.share("quick") == 3
    whole.done("quick", 1, resumed=False)
    assert whole.share("slow") == 4  # and here the process ends

    again = Budget(10, 3, tmp_path, resume=True)
    assert again.share("quick") == 3
    again.done("quick", 0.01, resumed=again.knows("quick"))  # read from its checkpoint
    assert again.share("slow") == 4
    assert again.knows("slow")
    again.done("slow", 0.5, resumed=True)  # what it had used before is not known, so all of it
    assert again.share("last") == pytest.approx(9 - 1 - 4)


@pytest.mark.parametrize("change", ["minutes", "members", "fresh", "damaged"])
def test_a_note_of_another_fit_is_not_gone_on_with(change: str, tmp_path: Path) -> None:
    first = Budget(10, 3, tmp_path, resume=False)
    first.share("quick")
    first.done("quick", 1, resumed=False)
    if change == "damaged":
        (tmp_path / "budget.json").write_text('{"minutes": 10, "members"', encoding="utf-8")
    minutes, count = (20 if change == "minutes" else 10), (2 if change == "members" else 3)
    again = Budget(minutes, count, tmp_path, resume=change != "fresh")
    assert not again.knows("quick")
    assert again.share("quick") == pytest.approx(0.9 * minutes / count)


def test_without_a_budget_nothing_is_limited_or_kept(tmp_path: Path) -> None:
    budget = Budget(None, 2, tmp_path, resume=True)
    assert budget.share("toy") is None
    budget.done("toy", 3, resumed=False)
    assert not any(tmp_path.iterdir())
