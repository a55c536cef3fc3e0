"""A stage's monitor: asked a few times, about held-out images, and training does not notice it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from oddlens.training import Stage, TrainingRecord, lightning_adapter, train
from tests.toys import Toy, cache, same_weights

TUNE = cache(3, seed=5)


@pytest.fixture(autouse=True)
def _checkpoints_at_every_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lightning_adapter, "_CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(lightning_adapter, "_SEGMENT", 4)


class Watched(Toy):
    """Its monitor draws from everywhere, to show that training does not notice."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.shown: list[Tensor] = []
        self.drawn: list[float] = []

    def watch(self, images: Tensor, generator: Generator) -> dict[str, float]:
        assert not any(module.training for module in self.modules())
        assert not torch.is_grad_enabled()
        torch.rand(3)
        self.drawn.append(float(torch.rand((), generator=generator)))
        self.shown.append(images)
        self.norm(self.template(images))
        return {"brightness": float(images.mean()), "bad": float("nan")}

    def stages(self) -> list[Stage]:
        return [replace(stage, monitor=self.watch) for stage in super().stages()]


def made(kind: type[Toy] = Watched, **options: Any) -> Any:
    torch.manual_seed(7)
    return kind(**options)


def trained(detector: Toy, folder: Path | None = None, **call: Any) -> TrainingRecord:
    call = {"seed": 0, "precision": "32", "epochs": 40, "tune": TUNE, **call}
    device = torch.device("cpu")
    return train(detector, detector.stages(), cache(10), device=device, checkpoint=folder, **call)


def test_it_is_asked_at_the_marks_and_at_the_end_about_held_out_images() -> None:
    detector = made()
    (stage,) = trained(detector).stages  # 40 epochs of 3 steps
    held_out = TUNE.batch(range(3))
    assert [point["step"] for point in stage["monitored"]] == [30, 60, 90, 120]
    assert all(torch.equal(images, held_out) for images in detector.shown)
    for point in stage["monitored"]:
        assert point.keys() == {"step", "brightness"}, "what is not finite is left out"
        assert point["brightness"] == pytest.approx(float(held_out.mean()), abs=1e-4)
    assert len(set(detector.drawn)) == 1, "looks draw alike, so that they can be compared"


def test_training_is_the_same_without_it() -> None:
    watched, plain = made(), made(Toy)
    one, other = trained(watched).stages[0], trained(plain, tune=None).stages[0]
    assert watched.shown
    assert same_weights(watched, plain)
    assert one["history"] == other["history"]
    assert "monitored" not in other


@pytest.mark.parametrize("killed_at", [1, 31, 62, 119])
def test_a_resumed_run_ends_in_the_same_weights_and_looks(tmp_path: Path, killed_at: int) -> None:
    whole = made(stages=2)
    expected = trained(whole).stages

    def kill(count: int) -> None:
        if count == killed_at:
            raise RuntimeError("killed")

    first = made(stages=2)
    first.on_loss = kill
    with pytest.raises(RuntimeError, match="killed"):
        trained(first, tmp_path)
    second = made(stages=2)
    found = trained(second, tmp_path, resume=True).stages
    assert same_weights(second, whole)
    assert [each["monitored"] for each in found] == [each["monitored"] for each in expected]


def test_a_run_resumed_between_stages_keeps_the_look_at_the_end(tmp_path: Path) -> None:
    first = made(stages=2)

    def kill(count: int) -> None:
        if count == 122:
            raise RuntimeError("killed")

    first.on_loss = kill
    with pytest.raises(RuntimeError, match="killed"):
        trained(first, tmp_path)
    found = trained(made(stages=2), tmp_path, resume=True).stages
    assert [point["step"] for point in found[0]["monitored"]] == [30, 60, 90, 120]


def test_a_short_run_is_looked_at_once() -> None:
    """Of 4 epochs of 10 images, looks at 3 images would be too large a share."""
    detector = made()
    (stage,) = trained(detector, epochs=4).stages
    assert [point["step"] for point in stage["monitored"]] == [12]


def test_looks_are_bounded() -> None:
    detector = made()
    trained(detector, tune=cache(80, seed=6), epochs=4)
    assert sum(map(len, detector.shown)) == 64


def test_it_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="oddlens"):
        trained(made(), epochs=4)
    assert "stage restore, step 12, on held-out normals: brightness 0." in caplog.text
