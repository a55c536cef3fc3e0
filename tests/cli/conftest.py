"""A library that stands in for the real one, so that the verbs are tested without training."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from oddlens.cli import main
from oddlens.ensemble import making
from oddlens.predictions import Predictions, PredictionWriter
from oddlens.scoring import Threshold


@dataclass
class Outcome:
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in this process."""

    def run_(*arguments: object) -> Outcome:
        code = main([str(argument) for argument in arguments])
        seen = capfd.readouterr()
        return Outcome(code, seen.out, seen.err)

    return run_


def some_predictions(count: int = 3, *, rate: float = 0.1, guaranteed: float = 0.1) -> Predictions:
    writer = PredictionWriter(Threshold(1.5, rate, guaranteed, 9), method="fake")
    scores = np.arange(count, dtype=np.float64)
    maps = np.ones((count, 8, 8), np.float32)
    names = [f"{index}.png" for index in range(count)]
    writer.add(names, scores, np.full(count, 0.5), scores > 1.5, {"fake": scores}, maps)
    return writer.finish()


@dataclass
class FakeLibrary:
    """What was asked of the library, and what it shall answer."""

    options: dict[str, Any] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)
    predict: dict[str, Any] = field(default_factory=dict)
    predictions: Predictions = field(default_factory=some_predictions)
    fit_raises: BaseException | None = None
    save_raises: BaseException | None = None
    predict_raises: BaseException | None = None


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeLibrary:
    fake = FakeLibrary()

    class FakeDetector:
        fit_report: ClassVar[dict[str, Any]] = {"steps": 1200, "seconds": 2.5}

        def __init__(self, **options: Any) -> None:
            fake.options = options

        @classmethod
        def options(cls) -> dict[str, tuple[Any, Any, str]]:
            return {
                "image_size": (int, 128, "side"),
                "mask_sizes": (tuple, (2, 4), "masks"),
                "fusion": (str, "median", "how"),
                "refine": (bool, True, "whether"),
            }

        def fit(self, images: Any, **arguments: Any) -> FakeDetector:
            fake.fit = {"images": images, **arguments}
            if "checkpoint" in arguments:
                arguments["checkpoint"].mkdir(exist_ok=True)
            arguments["progress"]("training", 10, 10)
            if fake.fit_raises:
                raise fake.fit_raises
            return self

        def save(self, path: Path) -> None:
            if fake.save_raises:
                raise fake.save_raises
            path.mkdir(parents=True, exist_ok=True)
            (path / "config.json").write_text("{}")

        def predict(self, images: Any, **arguments: Any) -> Predictions:
            fake.predict = {"images": images, **arguments}
            if fake.predict_raises:
                raise fake.predict_raises
            return fake.predictions

    detector = types.ModuleType("oddlens.detector")
    detector.load = lambda path: FakeDetector()  # type: ignore[attr-defined]
    detectors = types.ModuleType("oddlens.detectors")
    detectors.get_method = lambda name: FakeDetector  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "oddlens.detector", detector)
    monkeypatch.setitem(sys.modules, "oddlens.detectors", detectors)
    monkeypatch.setattr(making, "get_method", detectors.get_method)
    return fake
