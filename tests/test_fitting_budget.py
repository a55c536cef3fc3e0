"""``fit``: a budget of time is kept, everything included, and told."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from torch import Tensor

from oddlens import fitting
from oddlens.images import ImageCache, holdout_split
from oddlens.scoring import Cues
from tests.toys import Toy, cache, noise

# Few images leave one to standardise with.
pytestmark = pytest.mark.filterwarnings("ignore:cue .* only shifted")


class SlowToAdapt(Toy):
    seconds = 0.0

    def adapt(self, train: ImageCache, tune: ImageCache, tell: Callable[[int, int], None]) -> None:
        time.sleep(self.seconds)
        super().adapt(train, tune, tell)


class SlowToScore(Toy):
    seconds = 0.0

    def cues(self, images: Tensor) -> Cues:
        time.sleep(self.seconds * len(images))
        return super().cues(images)


def test_a_budget_is_kept_everything_included() -> None:
    detector = SlowToScore()
    detector.seconds = 0.01  # 60 images to adapt, 8 to standardise, 8 to calibrate
    begin = time.monotonic()
    detector.fit(noise(60), max_minutes=0.05, device="cpu")
    took = time.monotonic() - begin
    report = detector.fit_report
    assert 2.0 < took < 3.5
    assert report["budget_seconds"] == 3.0
    assert report["over_budget_seconds"] == pytest.approx(max(0.0, took - 3), abs=0.1)
    assert detector.provenance["max_minutes"] == 0.05


def test_slow_adapting_takes_no_more_than_a_quarter_from_training_and_is_told() -> None:
    detector = SlowToAdapt()
    detector.seconds = 2.0
    with pytest.warns(UserWarning, match="fitting took . seconds of the 2 that it had"):
        detector.fit(noise(20), max_minutes=1.5 / 60, device="cpu")
    report = detector.fit_report
    assert 1.0 < report["over_budget_seconds"] < 3.0
    assert report["seconds"] == pytest.approx(report["over_budget_seconds"] + 1.5, abs=0.11)
    (stage,) = detector.provenance["stages"]
    assert stage["seconds"] > 0.5 * 1.5


@pytest.mark.parametrize("slow", [0.0, 0.05])
def test_the_reserve_is_the_cost_of_what_comes_after(slow: float) -> None:
    detector = SlowToScore()
    detector.seconds = slow
    made = cache(60)
    train, tune, calibration = (made.subset(part) for part in holdout_split(60, 0.2, 0))
    parts = fitting.Parts(train, tune, calibration, tune)
    begin = time.monotonic()
    estimate = fitting._seconds_after_training(detector, parts, patience=1.0)
    assert time.monotonic() - begin < 5 * slow + 0.5
    assert estimate == pytest.approx((52 + 4 + 8) * slow, rel=0.3, abs=0.5)


def test_a_look_that_takes_too_long_is_not_repeated() -> None:
    detector = SlowToScore()
    detector.seconds = 0.2
    made = cache(20)
    train, tune, calibration = (made.subset(part) for part in holdout_split(20, 0.2, 0))
    parts = fitting.Parts(train, tune, calibration, tune)
    begin = time.monotonic()
    estimate = fitting._seconds_after_training(detector, parts, patience=0.04)
    assert time.monotonic() - begin < 0.39
    assert estimate == pytest.approx((17 + 1 + 3) * 0.2, rel=0.3)
