"""An ensemble is a detector like its members: same contract, guarantee and numbers as alone."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import oddlens.detectors
from oddlens import Ensemble, evaluate
from oddlens.artifact import read_artifact
from oddlens.detector import load
from oddlens.errors import ArtifactError, DataError, ImageError, Interrupted, UsageError
from oddlens.images import holdout_split
from oddlens.scoring import Cues, fuse
from oddlens.scoring.tails import log_tails
from oddlens.training import choose_precision, lightning_adapter
from tests.ensemble.members import LARGE, Plain, members
from tests.toys import Toy, noise, same_weights

# --- the contract ---------------------------------------------------------------------------------


def test_predictions_follow_from_what_the_members_say_alone(fitted: Ensemble) -> None:
    new = noise(9, seed=5, size=40)
    found = fitted.predict(new, false_alarm_rate=0.2)
    assert found.method == "ensemble"
    assert list(found.cues) == list(fitted.named_members) == ["toy", "plain", "toy-2"]
    assert fitted.standardiser is not None
    assert fitted.calibration is not None
    alone = {name: each.score(new) for name, each in fitted.named_members.items()}
    standardised, reference = fitted.standardiser(alone), fitted.standardiser.reference
    expected = fuse(standardised, "fisher", reference)
    np.testing.assert_array_equal(found.scores, expected)
    np.testing.assert_array_equal(found.p_values, fitted.calibration.p_values(expected))
    np.testing.assert_array_equal(found.is_anomaly, expected > found.threshold.value)
    np.testing.assert_array_equal(fitted.score(new), expected)
    for name, cue in found.cues.items():
        p = np.exp(log_tails(standardised[name], reference[name])[0])
        np.testing.assert_allclose(cue, -np.log10(p))


def test_the_map_is_the_mean_of_those_members_that_localize(fitted: Ensemble) -> None:
    new = noise(3, seed=5, size=40)
    found = fitted.predict(new)
    assert found.maps is not None
    assert found.pixel_threshold is not None
    assert fitted.map_standardiser is not None
    assert set(fitted.map_standardiser.mean) == {"toy", "toy-2"}
    alone = {}
    for name in ("toy", "toy-2"):
        maps = fitted.named_members[name].predict(new).maps
        assert maps is not None
        drawn = torch.from_numpy(np.stack([*maps]))[:, None]
        large = torch.nn.functional.interpolate(drawn, (LARGE, LARGE), mode="bilinear")
        mean, std = fitted.map_standardiser.mean[name], fitted.map_standardiser.std[name]
        alone[name] = (large[:, 0].numpy() - mean) / std
    expected = (alone["toy"] + alone["toy-2"]) / 2
    np.testing.assert_allclose(np.stack([*found.maps]), expected, rtol=1e-4, atol=1e-5)


def test_members_that_do_not_localize_give_no_map(images: np.ndarray) -> None:
    ensemble = Ensemble([Plain(), Plain(image_size=LARGE)])
    found = ensemble.fit(images, epochs=1, device="cpu").predict(images[:2])
    assert found.maps is None
    assert found.pixel_threshold is None


def test_scores_do_not_depend_on_the_batch(fitted: Ensemble) -> None:
    new = noise(11, seed=5, size=40)
    whole = fitted.score(new, batch_size=11)
    for size in (1, 4):
        np.testing.assert_allclose(fitted.score(new, batch_size=size), whole, rtol=1e-5)


def test_bad_files(fitted: Ensemble, tmp_path: Path) -> None:
    for index, pixels in enumerate(noise(3, size=40)):
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    (tmp_path / "9.png").write_bytes(b"")
    found = fitted.predict(tmp_path)
    assert len(found) == 3
    assert [Path(bad.name).name for bad in found.skipped] == ["9.png"]
    with pytest.raises(ImageError, match=r"9\.png"):
        fitted.score(tmp_path)
    with pytest.raises(DataError, match=r"9\.png"):
        fitted.calibrate(tmp_path)
    assert fitted.is_fitted


def test_ctrl_c_keeps_what_was_scored(fitted: Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls = fitted.score(noise(12, seed=5, size=40), batch_size=4), iter(range(9))

    def cues(self: Plain, images: Tensor) -> Cues:
        if next(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return Cues({"level": Toy.cues(self, images).scores["level"]})

    monkeypatch.setattr(Plain, "cues", cues)
    with pytest.raises(Interrupted, match="stopped after 8 of 12 images") as stop:
        fitted.predict(noise(12, seed=5, size=40), batch_size=4)
    np.testing.assert_array_equal(stop.value.partial.scores, whole[:8])  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*enlarged")
def test_small_images_are_told_once(fitted: Ensemble) -> None:
    with pytest.warns(UserWarning, match="2 of 2 images are smaller than the model's 24") as told:
        fitted.predict(noise(2, size=20))
    assert len(told) == 1


@pytest.mark.usefixtures("known")
def test_a_saved_ensemble_gives_the_same_numbers_to_the_last_bit(
    fitted: Ensemble, tmp_path: Path
) -> None:
    new = noise(7, seed=6, size=40)
    loaded = load(fitted.save(tmp_path / "all.oddlens"))
    assert isinstance(loaded, Ensemble)
    before, after = fitted.predict(new), loaded.predict(new)
    for name in ("scores", "p_values", "is_anomaly"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert before.cues.keys() == after.cues.keys()
    assert before.maps is not None
    assert after.maps is not None
    for one, other in zip(before.maps, after.maps, strict=True):
        np.testing.assert_array_equal(one, other)
    assert before.threshold == after.threshold
    assert before.pixel_threshold == after.pixel_threshold
    assert loaded.config == fitted.config
    assert loaded.provenance == fitted.provenance
    assert loaded.fit_report == fitted.fit_report
    loaded.save(tmp_path / "all.oddlens")
    np.testing.assert_array_equal(load(tmp_path / "all.oddlens").score(new), before.scores)


@pytest.mark.usefixtures("known")
def test_a_member_in_an_artifact_is_a_detector_of_its_own(fitted: Ensemble, tmp_path: Path) -> None:
    new = noise(3, seed=6, size=40)
    alone = load(fitted.save(tmp_path / "all") / "members" / "plain")
    np.testing.assert_array_equal(alone.score(new), fitted.named_members["plain"].score(new))


@pytest.mark.usefixtures("known")
def test_a_damaged_member_is_one_sentence(
    fitted: Ensemble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fitted.save(tmp_path / "all")
    weights = path / "members" / "plain" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ArtifactError, match=r"members.plain.model\.safetensors is not what was"):
        load(path)
    weights.write_bytes(whole)
    monkeypatch.delitem(oddlens.detectors.METHODS, "plain")
    with pytest.raises(ArtifactError, match=r"all: cannot be loaded .*member plain: .*no method"):
        load(path)


def test_the_card_names_members_and_rates(fitted: Ensemble, tmp_path: Path) -> None:
    card = read_artifact(fitted.save(tmp_path / "all")).card
    assert "| toy-2 | toy | 24 |" in card
    assert "ranks among 10 normal images" in card
    assert "On 20 others" in card


def test_it_is_evaluated_and_reported_like_every_detector(fitted: Ensemble, tmp_path: Path) -> None:
    for kind, seed in (("good", 1), ("odd", 2)):
        folder = tmp_path / "test" / kind
        folder.mkdir(parents=True)
        for index, pixels in enumerate(noise(3, seed=seed, size=40)):
            Image.fromarray(pixels if kind == "good" else 255 - (255 - pixels) // 4).save(
                folder / f"{index}.png"
            )
    evaluation = evaluate(fitted, tmp_path, bootstrap=0)
    assert evaluation.metrics["image_auroc"] == 1.0
    report = evaluation.predictions.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The ensemble detector scored" in report
    cards = report.split('<li class="card')[1:]
    assert len(cards) == 6
    for card, one in zip(cards, evaluation.predictions.sorted_by_score(), strict=True):
        by_objection = sorted(one.cues, key=lambda name: -one.cues[name])
        assert re.findall("<th>(.*?)</th>", card.split("</table>")[0]) == by_objection


# --- fitting and calibrating ----------------------------------------------------------------------


def test_members_are_fitted_as_alone_and_the_split_is_kept(
    fitted: Ensemble, images: np.ndarray
) -> None:
    train, tune, calibration = holdout_split(60, 0.5, seed=3)
    alone = Plain(image_size=LARGE).fit(images, epochs=1, holdout=0.5, seed=3, device="cpu")
    assert same_weights(alone, fitted.named_members["plain"])
    assert fitted.standardiser is not None
    assert fitted.calibration is not None
    scores = alone.score(images)
    mean = fitted.standardiser.mean["plain"]
    assert mean == pytest.approx(scores[tune].mean())
    held_out = np.sort(fitted.score(images[calibration]))
    np.testing.assert_allclose(fitted.calibration.scores, held_out, rtol=1e-6)
    assert fitted.fit_report["trained_on"] == len(train)
    assert fitted.fit_report["tuned_on"] == len(tune)
    assert fitted.fit_report["calibrated_on"] == len(calibration)
    assert fitted.fit_report["precision"] == choose_precision(torch.device("cpu"))


def test_members_fitted_apart_on_the_same_images_give_the_same_ensemble(
    fitted: Ensemble, images: np.ndarray
) -> None:
    apart = [each.fit(images, epochs=1, holdout=0.5, seed=3, device="cpu") for each in members()]
    ensemble = Ensemble(apart).calibrate(images)
    new = noise(5, seed=9, size=40)
    np.testing.assert_array_equal(ensemble.score(new), fitted.score(new))


@pytest.mark.usefixtures("known")
def test_saved_members_know_which_images_they_met(images: np.ndarray, tmp_path: Path) -> None:
    saved = Toy().fit(images, epochs=1, device="cpu").save(tmp_path / "toy")
    ensemble = Ensemble([load(saved)]).calibrate(images)
    train, tune, calibration = holdout_split(60, 0.2, seed=0)
    counts = {name: ensemble.fit_report[name] for name in ("trained_on", "calibrated_on")}
    assert counts == {"trained_on": len(train), "calibrated_on": len(calibration)}
    assert len(tune) < 8 == ensemble.fit_report["tuned_on"]  # training images help with the scale


@pytest.mark.filterwarnings("ignore:cue .* only shifted")
def test_images_that_members_met_do_not_calibrate(images: np.ndarray) -> None:
    first = Toy().fit(images[:30], epochs=1, device="cpu")
    second = Plain().fit(images[30:], epochs=1, device="cpu")
    train, tune, calibration = holdout_split(30, 0.2, seed=0)
    assert (len(train), len(tune), len(calibration)) == (24, 2, 4)
    for normal in (images[:30], images[30:]):
        mixed = np.concatenate([normal, noise(9, seed=7, size=40)])
        report = Ensemble([first, second]).calibrate(mixed).fit_report
        assert (report["trained_on"], report["calibrated_on"]) == (24, 15 - 5)
    with pytest.raises(DataError, match="which leaves 0 to calibrate the ensemble with"):
        Ensemble([first, second]).calibrate(images[:30][train])


def test_no_use_before_calibration(images: np.ndarray, tmp_path: Path) -> None:
    member = Toy().fit(images, epochs=1, device="cpu")
    ensemble = Ensemble([member])
    assert not ensemble.is_fitted
    for use in (lambda: ensemble.score(images), lambda: ensemble.save(tmp_path / "m")):
        with pytest.raises(UsageError, match="this Ensemble is not calibrated: call fit"):
            use()
    with pytest.raises(UsageError, match="member plain is not fitted: fit it first"):
        Ensemble([member, Plain()]).calibrate(images)
    member.known_images = None
    with pytest.raises(UsageError, match="member toy has not noted which images"):
        ensemble.calibrate(images)


def test_images_that_change_between_readings_are_refused() -> None:
    class Restless:
        def __init__(self) -> None:
            self.random = np.random.default_rng(0)

        def __len__(self) -> int:
            return 24

        def __getitem__(self, index: int) -> np.ndarray:
            return self.random.integers(0, 256, (16, 16, 3)).astype(np.uint8)

    ensemble = Ensemble([Toy()])
    with pytest.raises(DataError, match="toy was trained on 19 images, and only 0 are the same"):
        ensemble.fit(Restless(), epochs=1, device="cpu")  # type: ignore[arg-type]
    assert not ensemble.is_fitted


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (list, "needs at least one detector"),
        (lambda: [Toy(), "ssm"], "not of type str"),
        (lambda: [Ensemble([Toy()])], "cannot be a member of another"),
        (lambda: [Toy()] * 2, "given twice"),
    ],
)
def test_members_that_make_no_ensemble(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Ensemble(given())


def test_wrong_calls() -> None:
    with pytest.raises(UsageError, match="option fusion: .*median"):
        Ensemble([Toy()], fusion="median")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no member learns from anomalies"):
        Ensemble([Toy()]).fit(noise(9), anomalies=noise(2), device="cpu")
    with pytest.raises(UsageError, match="images of sizes"):
        Ensemble(members()).cues(torch.zeros(1, 3, 16, 16))


def test_each_member_has_its_checkpoint_and_progress(images: np.ndarray, tmp_path: Path) -> None:
    phases: list[str] = []
    Ensemble([Toy(), Plain()]).fit(
        images,
        epochs=1,
        device="cpu",
        checkpoint=tmp_path / "run",
        progress=lambda phase, done, total: phases.append(phase),
    )
    assert {"toy: restore", "plain: restore", "compare", "standardise", "calibrate"} <= {*phases}
    assert {each.name for each in (tmp_path / "run").iterdir()} == {"toy", "plain"}


def test_a_fit_that_was_cut_in_its_second_member_goes_on(
    images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lightning_adapter, "_CHECKPOINT_SECONDS", 0.0)
    whole = Ensemble(members()[:2]).fit(images, epochs=10, device="cpu")
    cut = Ensemble(members()[:2])

    def stop(count: int) -> None:
        if count == 75:
            os.kill(os.getpid(), signal.SIGINT)

    cut.named_members["plain"].on_loss = stop  # type: ignore[assignment]
    with pytest.raises(Interrupted, match="plain"):
        cut.fit(images, epochs=10, device="cpu", checkpoint=tmp_path)
    assert not cut.is_fitted
    began: list[tuple[str, int]] = []
    again = Ensemble(members()[:2]).fit(
        images,
        epochs=10,
        device="cpu",
        checkpoint=tmp_path,
        resume=True,
        progress=lambda phase, done, total: began.append((phase, done)),
    )
    assert min(done for phase, done in began if phase == "plain: restore") > 49
    for name, member in again.named_members.items():
        assert same_weights(member, whole.named_members[name])
    np.testing.assert_array_equal(again.score(images[:5]), whole.score(images[:5]))
