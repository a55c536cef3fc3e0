"""``fit``: the split is kept, runs repeat themselves, Ctrl-C is honoured and told."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Generator, Tensor

from oddlens.errors import DataError, Interrupted, TrainingError, UsageError
from oddlens.images import ImageCache, holdout_split
from oddlens.scoring import Cues, Scored
from oddlens.training import Stage, choose_precision, lightning_adapter
from tests.toys import SIZE, Toy, noise, same_weights

# Few images leave one to standardise with.
pytestmark = pytest.mark.filterwarnings("ignore:cue .* only shifted")


def scores(detector: Toy) -> list[float]:
    return list(detector.score(noise(7, seed=99)))


# --- the split ------------------------------------------------------------------------------------


class Recorder(Toy):
    """Knows images by their brightness, and notes who is shown which."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen: dict[str, set[int]] = {"train": set(), "adapt": set(), "tune": set()}
        self.seen |= {"standardise": set(), "calibrate": set()}
        self.phase = "plan"

    @staticmethod
    def known(images: Tensor) -> set[int]:
        return {round(float(each.mean()) * 255) for each in images}

    def restore(self, images: Tensor, generator: Generator) -> dict[str, Tensor]:
        self.seen["train"] |= self.known(images)
        return super().restore(images, generator)

    def adapt(self, train: ImageCache, tune: ImageCache, tell: Callable[[int, int], None]) -> None:
        self.seen["adapt"] |= self.known(train.batch(range(len(train))))
        self.seen["tune"] |= self.known(tune.batch(range(len(tune))))
        super().adapt(train, tune, tell)
        self.phase = "standardise"

    def scored(self, images: Tensor, *, maps: bool = True) -> Scored:
        self.phase = "calibrate"
        return super().scored(images, maps=maps)

    def raw_cues(self, images: Tensor) -> Cues:
        if self.phase != "plan":
            self.seen[self.phase] |= self.known(images)
        return super().raw_cues(images)


def test_calibration_meets_images_that_nothing_else_saw() -> None:
    images = np.empty((40, SIZE, SIZE, 3), np.uint8)
    images[:] = np.arange(40, dtype=np.uint8)[:, None, None, None] * 6
    detector = Recorder().fit(images, epochs=2, holdout=0.3, seed=4, device="cpu")
    train, tune, calibration = (
        {6 * index for index in part} for part in holdout_split(40, 0.3, seed=4)
    )
    assert (len(train), len(tune), len(calibration)) == (28, 4, 8)
    # Four images tell no spread: four of training help.
    scaled = detector.seen.pop("standardise")
    assert tune < scaled < tune | train
    assert len(scaled) == 8
    assert detector.seen == {
        "train": train,
        "adapt": train,
        "tune": tune,
        "calibrate": calibration,
    }
    assert detector.calibration is not None
    assert len(detector.calibration.scores) == 8
    report = detector.fit_report
    assert (report["trained_on"], report["tuned_on"], report["calibrated_on"]) == (28, 4, 8)
    assert report["lowest_false_alarm_rate"] == 1 / 9
    assert report["precision"] == choose_precision(torch.device("cpu"))


@pytest.mark.filterwarnings("error:.*only shifted")
def test_cues_of_a_few_images_are_scaled_and_not_only_shifted() -> None:
    detector = Toy().fit(noise(12), epochs=1, device="cpu")
    assert detector.fit_report["tuned_on"] == 1
    assert detector.standardiser is not None
    assert all(std != 1.0 for std in detector.standardiser.std.values())


def test_many_images_are_scaled_on_held_out_ones_alone() -> None:
    images = np.empty((80, SIZE, SIZE, 3), np.uint8)
    images[:] = np.arange(80, dtype=np.uint8)[:, None, None, None] * 3
    detector = Recorder().fit(images, epochs=1, holdout=0.3, seed=4, device="cpu")
    assert detector.seen["standardise"] == detector.seen["tune"]
    assert len(detector.seen["tune"]) == 8


def test_normal_images_are_flagged_at_the_guaranteed_rate() -> None:
    """Conformal calibration, end to end: 300 fits, 20 new normal images each.

    With 19 calibration images and a rate of 0.1 the guarantee is 2 in 20, and without ties it is
    met exactly on average; the mean over fits then has a standard error of about 0.005.
    """
    rates, smallest = [], []
    for seed in range(300):
        images = noise(60, seed=1000 + seed)
        detector = Toy(stages=0).fit(images[:40], seed=seed, holdout=0.7, device="cpu")
        assert detector.fit_report["calibrated_on"] == 19
        found = detector.predict(images[40:], false_alarm_rate=0.1, maps=False)
        assert found.threshold.guaranteed == 0.1
        assert (found.is_anomaly == (found.p_values <= 0.1)).all()
        rates.append(found.is_anomaly.mean())
        smallest.append((found.p_values <= 0.5).mean())
    assert np.std(rates) / 300**0.5 < 0.006
    assert np.mean(rates) == pytest.approx(0.1, abs=0.02)
    assert np.mean(smallest) == pytest.approx(0.5, abs=0.03)


# --- the seed -------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights_and_scores() -> None:
    torch.manual_seed(1)
    one = Toy().fit(noise(20), epochs=2, seed=3, device="cpu")
    torch.manual_seed(2)
    again = Toy().fit(noise(20), epochs=2, seed=3, device="cpu")
    other = Toy().fit(noise(20), epochs=2, seed=4, device="cpu")
    assert same_weights(one, again)
    assert scores(one) == scores(again)
    assert not same_weights(one, other)
    assert scores(one) != scores(other)


def test_a_second_fit_equals_a_fresh_one() -> None:
    twice = Toy().fit(noise(24, seed=8), epochs=1, seed=1, device="cpu")
    twice.fit(noise(20), epochs=2, seed=3, device="cpu")
    fresh = Toy().fit(noise(20), epochs=2, seed=3, device="cpu")
    assert same_weights(twice, fresh)
    assert scores(twice) == scores(fresh)


def test_what_others_draw_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Toy().fit(noise(20), epochs=1, device="cpu")
    torch.manual_seed(5)
    detector = Toy()
    torch.manual_seed(5)
    detector.fit(noise(20), epochs=1, device="cpu")
    assert torch.equal(torch.rand(3), expected)


# --- calls and images that cannot be used ---------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"epochs": 1, "max_minutes": 1}, "exclude each other"),
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"max_minutes": 0}, "max_minutes is 0; it must be above 0"),
        ({"max_minutes": float("nan")}, "max_minutes is nan"),
        ({"anomalies": "bad"}, "toy learns from normal images alone"),
        ({"resume": True}, "resume: give the checkpoint folder"),
        ({"device": "gpu"}, "device 'gpu' is unknown: use auto, cpu or cuda"),
        ({"holdout": 1.5}, "the hold-out share is 1.5"),
        ({"seed": -1}, "the seed is -1"),
    ],
)
def test_wrong_calls_are_refused_before_a_single_image_is_read(
    call: dict[str, Any], message: str
) -> None:
    def progress(phase: str, done: int, total: int) -> None:
        raise AssertionError(phase)

    with pytest.raises(UsageError, match=message):
        Toy().fit(noise(20), progress=progress, **call)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_three_images_are_too_few(count: int) -> None:
    with pytest.raises(DataError, match=f"{count} images? cannot be split .* at least 4 usable"):
        Toy().fit(noise(count), epochs=1)


def test_four_images_are_enough() -> None:
    detector = Toy().fit(noise(4), epochs=1, device="cpu")
    assert detector.fit_report["trained_on"] == 2
    assert detector.predict(noise(2)).threshold.message is not None


def folder_of(tmp_path: Path, good: int, bad: int = 0, size: int = SIZE) -> Path:
    for index, pixels in enumerate(noise(good, size=size)):
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    for index in range(bad):
        (tmp_path / f"bad{index}.png").write_bytes(b"")
    return tmp_path


def test_bad_files_are_refused_or_skipped_counted_and_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 12, bad=7)
    with pytest.raises(DataError, match=r"7 of 19 images cannot be used.*--on-bad skip"):
        Toy().fit(folder, epochs=1, device="cpu")
    with pytest.warns(UserWarning, match=r"7 of 19 files were skipped: .*bad0\.png.*and 2 more"):
        detector = Toy().fit(folder, epochs=1, on_bad="skip", device="cpu")
    assert (detector.fit_report["skipped"], detector.fit_report["images"]) == (7, 12)


def test_too_few_are_left_when_the_bad_ones_are_skipped(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, 3, bad=2)
    with (
        pytest.warns(UserWarning, match="2 of 5 files were skipped"),
        pytest.raises(DataError, match="3 images cannot be split"),
    ):
        Toy().fit(folder, epochs=1, on_bad="skip")


def test_images_smaller_than_the_model_are_enlarged_with_a_word() -> None:
    with pytest.warns(UserWarning, match="10 of 10 images are smaller than the model's 16 × 16"):
        detector = Toy().fit(noise(10, size=9), epochs=1, device="cpu")
    with pytest.warns(UserWarning, match="3 of 3 images are smaller"):
        assert len(detector.score(noise(3, size=9))) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Toy().fit(noise(20), epochs=1, holdout=0.5, device="cpu")


def test_a_refused_second_fit_leaves_the_first_as_it_was() -> None:
    detector = Toy().fit(noise(20), epochs=1, device="cpu")
    before = scores(detector)
    with pytest.raises(DataError):
        detector.fit(noise(2), epochs=1)
    assert scores(detector) == before


def test_a_second_fit_that_fails_leaves_no_calibration_of_the_first() -> None:
    detector = Toy(diverges_at=8).fit(noise(20), epochs=1, device="cpu")
    with pytest.raises(TrainingError):
        detector.fit(noise(20), epochs=2, device="cpu")
    assert not detector.is_fitted
    with pytest.raises(UsageError, match="not fitted"):
        detector.score(noise(2))


# --- Ctrl-C ---------------------------------------------------------------------------------------


def interrupt_in(phase: str) -> Callable[[str, int, int], None]:
    def progress(name: str, done: int, total: int) -> None:
        if name == phase:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize(
    ("phase", "doing"),
    [
        ("adapt", "adapting to normal images"),
        ("standardise", "standardising the cues"),
        ("calibrate", "calibrating"),
    ],
)
@pytest.mark.parametrize("call", [{"epochs": 2}, {"max_minutes": 0.01}])
def test_ctrl_c_after_training_keeps_the_training(
    tmp_path: Path, phase: str, doing: str, call: dict[str, Any]
) -> None:
    call |= {"seed": 3, "device": "cpu", "checkpoint": tmp_path}
    detector, resumed = Toy(), Toy()
    with pytest.raises(Interrupted) as stop:
        detector.fit(noise(20), progress=interrupt_in(phase), **call)
    assert stop.value.message == (
        f"stopped while {doing}; the training so far is kept in {tmp_path}: go on with --resume"
    )
    assert not detector.is_fitted
    steps = detector.losses
    resumed.fit(noise(20), resume=True, **call)
    assert resumed.losses == 0, "it trained again"
    assert resumed.fit_report["steps"] == steps
    unbroken = {name: value for name, value in detector.state_dict().items() if name != "scale"}
    assert all(torch.equal(resumed.state_dict()[name], value) for name, value in unbroken.items())


def test_ctrl_c_while_reading_says_that_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="while reading the images; nothing was kept, since tra"):
        Toy().fit(noise(20), progress=interrupt_in("read"), checkpoint=tmp_path)
    with pytest.raises(Interrupted, match="nothing was kept, since no checkpoint folder was given"):
        Toy().fit(noise(20), progress=interrupt_in("read"))


def test_a_run_killed_within_training_ends_in_the_same_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lightning_adapter, "_CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(lightning_adapter, "_SEGMENT", 4)
    call: dict[str, Any] = {"epochs": 3, "seed": 3, "device": "cpu", "checkpoint": tmp_path}
    whole, broken, resumed = (Toy(stages=2) for _ in range(3))
    whole.fit(noise(20), epochs=3, seed=3, device="cpu")

    def die(losses: int) -> None:
        if losses == 18:
            raise MemoryError

    broken.on_loss = die
    with pytest.raises(MemoryError):
        broken.fit(noise(20), **call)
    resumed.fit(noise(20), resume=True, **call)
    assert 0 < resumed.losses < whole.losses
    assert same_weights(whole, resumed)
    assert scores(whole) == scores(resumed)
    assert resumed.fit_report["steps"] == whole.fit_report["steps"]
    assert resumed.provenance["options_changed_on_resume"] == []


# --- a look at the images before training ---------------------------------------------------------


class Prepared(Recorder):
    """Notes when it is asked to prepare; its stages depend on what it saw."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.calls: list[str] = []
        self.brightness: torch.Tensor
        self.register_buffer("brightness", torch.zeros(()))

    def prepare(self, train: ImageCache) -> None:
        assert not self.training
        assert not torch.is_grad_enabled()
        assert not self.brightness.any(), "the second fit does not start afresh"
        self.calls.append("prepare")
        self.seen["prepare"] = set()
        for images in self.batches(train):
            self.seen["prepare"] |= self.known(images)
            self.brightness += images.sum()

    def stages(self) -> list[Stage]:
        self.calls.append("stages")
        return super().stages()


def test_a_method_looks_at_the_training_images_before_its_stages_are_made() -> None:
    detector = Prepared()
    images = np.empty((30, SIZE, SIZE, 3), np.uint8)
    images[:] = np.arange(30, dtype=np.uint8)[:, None, None, None] * 6
    for _ in range(2):
        detector.fit(images, epochs=1, device="cpu")
    assert detector.calls == ["prepare", "stages"] * 2
    assert detector.seen["prepare"] == detector.seen["train"]
    kept = Prepared()
    kept.load_state_dict(detector.state_dict())
    assert kept.brightness == detector.brightness


@pytest.mark.parametrize("fusion", ["fisher", "stouffer", "rank_product", "min_p"])
def test_a_fusion_that_ranks_keeps_what_it_ranks_against(fusion: str) -> None:
    detector = Toy(fusion=fusion).fit(noise(30), epochs=1, device="cpu")
    assert detector.standardiser is not None
    assert set(detector.standardiser.reference) == set(detector.standardiser.mean)
    assert np.isfinite(detector.score(noise(5))).all()
