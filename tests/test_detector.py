"""The contract: score, predict, save and load are one way through."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import oddlens.detectors
from oddlens.artifact import Artifact, read_artifact, write_artifact
from oddlens.detector import load
from oddlens.errors import ArtifactError, DataError, ImageError, Interrupted, UsageError
from oddlens.scoring import Cues, Standardiser, fuse
from tests.toys import Toy, noise


@pytest.fixture(scope="module")
def fitted() -> Toy:
    return Toy().fit(noise(40), epochs=2, holdout=0.5, device="cpu")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(oddlens.detectors.METHODS, "toy", "tests.toys:Toy")


def test_predictions_follow_from_the_cues(fitted: Toy) -> None:
    images = noise(9, seed=5)
    found = fitted.predict(images, false_alarm_rate=0.2)
    assert fitted.calibration is not None
    assert fitted.standardiser is not None
    assert found.method == "toy"
    assert found.names == [f"image {index}" for index in range(9)]
    assert list(found.cues) == ["error", "level"]
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        cues = fitted.cues(tensor)
    for name, values in cues.scores.items():
        np.testing.assert_allclose(found.cues[name], values.numpy(), rtol=1e-5)
    expected = fuse(fitted.standardiser(found.cues), "mean")
    np.testing.assert_array_equal(found.scores, expected)
    np.testing.assert_array_equal(found.p_values, fitted.calibration.p_values(expected))
    np.testing.assert_array_equal(found.is_anomaly, expected > found.threshold.value)
    np.testing.assert_array_equal(fitted.score(images), expected)


def test_maps_are_standardised_by_the_pixels_of_held_out_normals(fitted: Toy) -> None:
    images = noise(3, seed=5)
    found = fitted.predict(images)
    assert found.maps is not None
    assert fitted.map_standardiser is not None
    with torch.no_grad():
        maps = fitted.cues(torch.from_numpy(images).permute(0, 3, 1, 2) / 255).maps["error"]
    mean, std = fitted.map_standardiser.mean["error"], fitted.map_standardiser.std["error"]
    for one, raw in zip(found.maps, maps, strict=True):
        np.testing.assert_allclose(one, (raw.numpy() - mean) / std, rtol=1e-4, atol=1e-5)


def test_scores_do_not_depend_on_the_batch(fitted: Toy) -> None:
    images = noise(11, seed=5)
    whole = fitted.score(images, batch_size=11)
    for size in (1, 4, 7):
        np.testing.assert_allclose(fitted.score(images, batch_size=size), whole, rtol=1e-5)
    shuffled = np.random.default_rng(0).permutation(11)
    np.testing.assert_allclose(fitted.score(images[shuffled]), whole[shuffled], rtol=1e-5)


def test_no_maps_are_made_or_kept_where_none_are_wanted(
    fitted: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any, cues: Cues) -> None:
        raise AssertionError("a map was fused")

    monkeypatch.setattr(Standardiser, "mean_map", refuse)
    monkeypatch.setattr("oddlens.predictions.MapStore", refuse)
    found = fitted.predict(noise(5), maps=False)
    assert found.maps is None
    assert found[0].map is None


def test_a_weak_threshold_says_so(fitted: Toy) -> None:
    found = fitted.predict(noise(2), false_alarm_rate=0.01)
    assert found.threshold.guaranteed == 1 / 15
    assert found.threshold.message is not None
    assert found.pixel_threshold is not None
    assert fitted.predict(noise(2), false_alarm_rate=0.1).threshold.message is None


def test_unfitted_detectors_do_nothing(tmp_path: Path) -> None:
    for use in (lambda: Toy().score(noise(2)), lambda: Toy().save(tmp_path / "m")):
        with pytest.raises(UsageError, match="this Toy is not fitted: call fit"):
            use()


def test_bad_files(fitted: Toy, tmp_path: Path) -> None:
    for index, pixels in enumerate(noise(3)):
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    (tmp_path / "9.png").write_bytes(b"")
    told: list[tuple[str, int, int]] = []
    found = fitted.predict(tmp_path, progress=lambda *each: told.append(each))
    assert len(found) == 3
    assert [Path(bad.name).name for bad in found.skipped] == ["9.png"]
    assert told[-1] == ("score", 4, 4)
    with pytest.raises(ImageError, match=r"9\.png"):
        fitted.score(tmp_path)
    with pytest.raises(DataError, match=r"none of the 1 files .*9\.png"):
        fitted.predict([tmp_path / "9.png"])


def test_ctrl_c_keeps_what_was_scored(fitted: Toy) -> None:
    class Interrupting(Toy):
        def cues(self, images: Tensor) -> Cues:
            if self.losses == 2:
                os.kill(os.getpid(), signal.SIGINT)
            self.losses += 1
            return super().cues(images)

    detector = Interrupting()
    detector.load_state_dict(fitted.state_dict())
    for name in ("calibration", "standardiser", "map_standardiser"):
        setattr(detector, name, getattr(fitted, name))
    with pytest.raises(Interrupted) as stop:
        detector.predict(noise(20, seed=5), batch_size=4)
    partial = stop.value.partial
    assert stop.value.message == "stopped after 8 of 20 images"
    assert partial.names == [f"image {index}" for index in range(8)]  # type: ignore[attr-defined]
    np.testing.assert_array_equal(
        partial.scores,  # type: ignore[attr-defined]
        fitted.score(noise(20, seed=5), batch_size=4)[:8],
    )
    assert len(partial.maps) == 8  # type: ignore[attr-defined]


@pytest.mark.usefixtures("known")
def test_a_saved_detector_gives_the_same_numbers_to_the_last_bit(
    fitted: Toy, tmp_path: Path
) -> None:
    images = noise(13, seed=6)
    loaded = load(fitted.save(tmp_path / "new" / "toy.oddlens"))
    before, after = fitted.predict(images), loaded.predict(images)
    for name in ("scores", "p_values", "is_anomaly"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert before.maps is not None
    assert after.maps is not None
    for one, other in zip(before.maps, after.maps, strict=True):
        np.testing.assert_array_equal(one, other)
    assert before.threshold == after.threshold
    assert before.pixel_threshold == after.pixel_threshold
    assert loaded.config == fitted.config
    assert loaded.provenance == fitted.provenance
    assert loaded.fit_report == fitted.fit_report


@pytest.mark.usefixtures("known")
def test_a_loaded_detector_can_be_fitted_and_saved_again(fitted: Toy, tmp_path: Path) -> None:
    path = fitted.save(tmp_path / "toy.oddlens")
    loaded = load(path).fit(noise(40), epochs=2, holdout=0.5, device="cpu")
    loaded.save(path)
    images = noise(3, seed=6)
    np.testing.assert_array_equal(load(path).score(images), fitted.score(images))


def rewritten(path: Path, **changes: Any) -> Path:
    saved = read_artifact(path)
    write_artifact(Artifact(**{**vars(saved), **changes}), path)
    return path


@pytest.mark.usefixtures("known")
def test_artifacts_that_this_version_cannot_load(fitted: Toy, tmp_path: Path) -> None:
    path = fitted.save(tmp_path / "toy.oddlens")
    with pytest.raises(ArtifactError, match=r"there is no artifact .*nowhere"):
        load(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="device 'tpu-9' is unknown"):
        load(path, device="tpu-9")
    with pytest.raises(ArtifactError, match=r"toy\.oddlens: cannot be loaded .* no method 'toi'"):
        load(rewritten(path, method="toi"))
    with pytest.raises(ArtifactError, match="cannot be loaded .* 'sharpness'"):
        load(rewritten(path, method="toy", config={"sharpness": 3}))
    fitted.save(path)
    with pytest.raises(ArtifactError, match=r"cannot be loaded .*template\.weight"):
        load(rewritten(path, weights={"norm.weight": torch.ones(3)}))
    fitted.save(path)
    with pytest.raises(ArtifactError, match=r"calibration\.json has no 'standardiser'"):
        load(
            rewritten(
                path, calibration={"calibration": read_artifact(path).calibration["calibration"]}
            )
        )


def test_get_method_knows_the_methods() -> None:
    assert oddlens.detectors.get_method("SSM") is oddlens.SSM
    with pytest.raises(UsageError, match="there is no method 'sms': did you mean ssm"):
        oddlens.detectors.get_method("sms")
