"""Training, resumed or not: the same weights; and what goes wrong is told and kept."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from oddlens.errors import Interrupted, TrainingError
from oddlens.training import TrainingRecord, lightning_adapter, train
from oddlens.training.checkpoint import CHECKPOINT, read_checkpoint
from tests.toys import Toy, cache, same_weights

CPU = torch.device("cpu")


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def _checkpoints_at_every_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lightning_adapter, "_CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(lightning_adapter, "_SEGMENT", 4)


def toy(**options: Any) -> Toy:
    torch.manual_seed(7)
    return Toy(**options)


def trained(
    detector: Toy, folder: Path | None = None, *, count: int = 10, **call: Any
) -> TrainingRecord:
    call = {"seed": 0, "device": CPU, "precision": "32", **call}
    if call.get("deadline") is None:
        call.setdefault("epochs", 4)
    return train(detector, detector.stages(), cache(count), checkpoint=folder, **call)


def raise_at(count: int, error: BaseException) -> Callable[[int], None]:
    def stop(losses: int) -> None:
        if losses == count:
            raise error

    return stop


def timeless(record: TrainingRecord) -> list[dict[str, Any]]:
    return [{k: v for k, v in stage.items() if k != "seconds"} for stage in record.stages]


def test_training_learns() -> None:
    detector = toy()
    record = trained(detector, epochs=30)
    (stage,) = record.stages
    assert (stage["name"], stage["steps"], record.steps) == ("restore", 90, 90)
    losses = [loss for _, loss in stage["history"]]
    assert stage["final_loss"] < 0.7 * losses[0]
    assert stage["final_terms"].keys() == {"mse", "zero"}
    assert not detector.training


def test_the_seed_decides_everything() -> None:
    one, again, other = toy(), toy(), toy()
    trained(one)
    torch.rand(3)  # what was drawn before makes no difference
    trained(again)
    trained(other, seed=1)
    assert same_weights(one, again)
    assert not same_weights(one, other)


@pytest.mark.parametrize(
    ("stages", "killed_at"), [(1, 2), (1, 6), (1, 12), (2, 6), (2, 12), (2, 14), (2, 19)]
)
def test_a_killed_run_resumes_to_the_weights_of_an_unbroken_one(
    tmp_path: Path, stages: int, killed_at: int
) -> None:
    """Twelve steps a stage: killed before the first checkpoint, within, and between stages."""
    whole, broken, resumed = (toy(stages=stages) for _ in range(3))
    expected = trained(whole)
    broken.on_loss = raise_at(killed_at, Killed())
    with pytest.raises(Killed):
        trained(broken, tmp_path)
    found = trained(resumed, tmp_path, resume=True)
    assert same_weights(whole, resumed)
    assert timeless(found) == timeless(expected)
    kept = (killed_at - 1) // 4 * 4
    assert resumed.losses == 12 * stages - kept


def test_a_finished_run_is_resumed_without_a_step(tmp_path: Path) -> None:
    whole, resumed = toy(stages=2), toy(stages=2)
    expected = trained(whole, tmp_path)
    found = trained(resumed, tmp_path, resume=True)
    assert resumed.losses == 0
    assert same_weights(whole, resumed)
    assert timeless(found) == timeless(expected)


def test_without_resume_an_old_checkpoint_goes_first(tmp_path: Path) -> None:
    trained(toy(), tmp_path, epochs=2)
    detector = toy()
    detector.on_loss = raise_at(1, Killed())
    with pytest.raises(Killed):
        trained(detector, tmp_path)
    assert not (tmp_path / CHECKPOINT).exists()


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ({"seed": 1}, "other seed"),
        ({"epochs": 5}, "other epochs"),
        ({"count": 11}, "other images"),
        ({"seed": 1, "epochs": 5}, "other seed and epochs"),
    ],
)
def test_another_run_is_not_resumed(tmp_path: Path, call: dict[str, Any], named: str) -> None:
    trained(toy(), tmp_path)
    with pytest.raises(TrainingError, match=named):
        trained(toy(), tmp_path, resume=True, **call)


def test_a_run_is_resumed_with_its_own_anomalies_only(tmp_path: Path) -> None:
    odd, other = cache(4), cache(5)
    trained(toy(), tmp_path, anomalies=odd)
    for changed in (other, None):
        with pytest.raises(TrainingError, match="other anomalies"):
            trained(toy(), tmp_path, resume=True, anomalies=changed)
    trained(toy(), tmp_path, resume=True, anomalies=odd)


def test_another_network_is_not_resumed(tmp_path: Path) -> None:
    trained(toy(), tmp_path)
    other = toy()
    other.register_buffer("more", torch.zeros(3))
    with pytest.raises(TrainingError, match="does not fit the options"):
        trained(other, tmp_path, resume=True)


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(b"nonsense")
    with pytest.raises(TrainingError, match=r"last\.ckpt: not a usable checkpoint"):
        trained(toy(), tmp_path, resume=True)


def test_a_loss_that_is_not_finite_names_step_and_terms_and_keeps_the_checkpoint(
    tmp_path: Path,
) -> None:
    detector = toy(diverges_at=7)
    with pytest.raises(TrainingError) as error:
        trained(detector, tmp_path, options={"learning_rate": 0.05})
    message = str(error.value)
    assert "not finite at step 6 of stage restore (mse 0." in message
    assert "zero 0, bad nan)" in message
    assert "lower learning rate" in message
    state, weights = read_checkpoint(tmp_path / CHECKPOINT)
    assert state.step == 4
    assert all(value.isfinite().all() for value in weights.values())

    newer = {"learning_rate": 0.01, "added_later": 0, "added_and_set": 2}
    usual = {"learning_rate": 0.03, "added_later": 0, "added_and_set": 0}
    with pytest.warns(UserWarning, match="goes on with another learning_rate, added_and_set than"):
        record = trained(toy(), tmp_path, resume=True, options=newer, defaults=usual)
    assert record.steps == 12
    assert record.changed == ["added_and_set", "learning_rate"]


class Kinked(Toy):
    """Its last loss is finite, but has no finite gradient; no later loss would show it."""

    def restore(self, images: torch.Tensor, generator: torch.Generator) -> dict[str, torch.Tensor]:
        terms = super().restore(images, generator)
        kink = (self.template.weight.sum() * 0).sqrt()
        return {**terms, "kink": kink} if self.losses == 12 else terms


def test_weights_that_are_not_finite_are_not_kept(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="weights are not finite after step 12"):
        trained(Kinked(), tmp_path)
    assert read_checkpoint(tmp_path / CHECKPOINT)[0].step == 8


def test_ctrl_c_ends_the_step_and_keeps_it(tmp_path: Path) -> None:
    whole, broken, resumed = toy(), toy(), toy()
    trained(whole)
    broken.on_loss = lambda losses: os.kill(os.getpid(), signal.SIGINT) if losses == 6 else None
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted) as stop:
        trained(broken, tmp_path)
    assert stop.value.message == (
        f"stopped after 6 of 12 steps; they are kept in {tmp_path}: go on with --resume"
    )
    assert signal.getsignal(signal.SIGINT) is before
    trained(resumed, tmp_path, resume=True)
    assert resumed.losses == 6
    assert same_weights(whole, resumed)


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    def stop_twice(losses: int) -> None:
        if losses == 6:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    detector = toy()
    detector.on_loss = stop_twice
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="after 5 of 12 steps; the first 4 are kept"):
        trained(detector, tmp_path)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_without_a_folder_says_that_nothing_is_kept() -> None:
    detector = toy()
    detector.on_loss = lambda losses: os.kill(os.getpid(), signal.SIGINT) if losses == 2 else None
    with pytest.raises(Interrupted, match="nothing was kept, since no checkpoint folder"):
        trained(detector)


def test_a_disk_that_fails_costs_the_checkpoint_and_not_the_training(tmp_path: Path) -> None:
    whole, detector = toy(), toy()
    trained(whole)
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.warns(UserWarning, match="cannot be written.*training goes on without it") as told:
        record = trained(detector, blocked / "folder")
    assert len([each for each in told if "cannot be written" in str(each.message)]) == 1
    assert record.steps == 12
    assert same_weights(whole, detector)


def test_a_disk_that_recovers_gets_the_checkpoint(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    detector = toy()
    detector.on_loss = lambda losses: blocked.unlink() if losses == 7 else None
    with pytest.warns(UserWarning, match="cannot be written"):
        trained(detector, blocked)
    assert read_checkpoint(blocked / CHECKPOINT)[0].stage == 1
    assert [path.name for path in blocked.iterdir()] == [CHECKPOINT]


def test_a_deadline_is_met_by_all_stages_together() -> None:
    begin = time.monotonic()
    detector = toy(stages=2)
    record = trained(detector, deadline=begin + 1.5)
    assert 0.8 < time.monotonic() - begin < 2.5
    assert [stage["name"] for stage in record.stages] == ["restore", "gain"]
    assert all(stage["steps"] > 5 for stage in record.stages)


def test_a_deadline_in_the_past_is_one_step_a_stage() -> None:
    record = trained(toy(stages=2), deadline=time.monotonic() - 5)
    assert [stage["steps"] for stage in record.stages] == [1, 1]


def test_time_spent_before_a_resume_counts(tmp_path: Path) -> None:
    detector = toy()
    detector.on_loss = raise_at(6, Killed())
    with pytest.raises(Killed):
        trained(detector, tmp_path, deadline=time.monotonic() + 3600)
    saved = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    saved["oddlens"]["seconds"] = 8.0
    torch.save(saved, tmp_path / CHECKPOINT)
    begin = time.monotonic()
    record = trained(toy(), tmp_path, resume=True, deadline=begin + 8.5)
    assert time.monotonic() - begin < 5
    assert record.steps > 4
    assert 8 < record.stages[0]["seconds"] < 13


def test_a_batch_holds_no_image_twice() -> None:
    seen: list[list[float]] = []

    class Watched(Toy):
        def restore(self, images: torch.Tensor, generator: torch.Generator) -> dict[str, Any]:
            seen.append(images.flatten(1).sum(dim=1).tolist())
            return super().restore(images, generator)

    torch.manual_seed(0)
    detector = Watched(batch_size=4)
    trained(detector, epochs=2)
    assert len(seen) == 6
    assert all(len(set(batch)) == 4 for batch in seen)
    for epoch in (seen[:3], seen[3:]):
        assert len({value for batch in epoch for value in batch}) == 10
    assert seen[:3] != seen[3:]


def test_every_step_of_every_stage_draws_anew() -> None:
    draws: list[float] = []

    class Watched(Toy):
        def _told(self, terms: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            draws.append(float(torch.rand(())))  # the global generator, as dropout uses it
            return super()._told(terms)

        def restore(self, images: torch.Tensor, generator: torch.Generator) -> dict[str, Any]:
            draws.append(float(torch.rand((), generator=generator)))
            return self._told({"mse": self.norm(self.template(images)).square().mean()})

    trained(Watched(stages=2))
    assert len(draws) == 12 * 2 + 12
    assert len(set(draws)) >= 12 + 12  # both generators start from the step's seed


def test_fewer_images_than_a_batch() -> None:
    record = trained(toy(batch_size=16), count=2, epochs=3)
    assert record.steps == 3
