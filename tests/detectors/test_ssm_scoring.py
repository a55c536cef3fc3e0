"""How SSM scores: its statistics come from the caches it is given, its cues from the refinement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import oddlens
from oddlens.detectors.ssm import SSM
from oddlens.images import ImageCache
from oddlens.pretext.masking import checkerboards
from oddlens.pretext.refinement import first_pass
from oddlens.pretext.released import ReleasedSettings, released_inference
from oddlens.pretext.restoration import Reference
from tests.detectors.tiny import SIDE, Answer, as_batch, as_cache, ignore, surfaces, tiny


def adapted(train: ImageCache, tune: ImageCache, **options: Any) -> SSM:
    detector = tiny(**options)
    with torch.inference_mode():
        detector.adapt(train, tune, ignore)
    return detector


def state(detector: SSM) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in detector.state_dict().items()}


@pytest.fixture(scope="module")
def caches() -> tuple[ImageCache, ImageCache]:
    return as_cache(surfaces(10, seed=1)), as_cache(surfaces(6, seed=2))


# --- statistics of normal images ------------------------------------------------------------------


def test_thresholds_are_quantiles_of_the_held_out_cell_errors(
    caches: tuple[ImageCache, ImageCache],
) -> None:
    train, tune = caches
    detector = adapted(train, tune, quantiles=(0.7, 0.9))
    for row, cell in enumerate(detector.config.scoring_cells):
        errors = []
        for image in tune.batch(range(len(tune))):
            with torch.inference_mode():
                boards = checkerboards(SIDE, cell)
                _, maps = first_pass(detector.restore, Reference.of(image[None]), boards)
            error = (maps[0, 0] + 10 * maps[0, 1]).numpy()
            errors += [
                error[y : y + cell, x : x + cell].mean()
                for y in range(0, SIDE, cell)
                for x in range(0, SIDE, cell)
            ]
        expected = np.quantile(errors, [0.7, 0.9])
        assert np.allclose(detector.thresholds[row].numpy(), expected, rtol=1e-4)


def test_thresholds_come_from_the_held_out_images_alone(
    caches: tuple[ImageCache, ImageCache],
) -> None:
    other = as_cache(255 - surfaces(10, seed=3) // 2)
    one, two = adapted(caches[0], caches[1]), adapted(other, caches[1])
    assert torch.equal(one.thresholds, two.thresholds)
    assert not torch.equal(one.normal_mean, two.normal_mean)
    assert not torch.equal(one.thresholds, adapted(caches[0], other).thresholds)


def test_no_test_image_reaches_what_was_fitted(caches: tuple[ImageCache, ImageCache]) -> None:
    detector = adapted(*caches)
    before = state(detector)
    normal = as_batch(surfaces(2))
    expected = detector.raw_cues(normal)
    detector.raw_cues(torch.rand(5, 3, SIDE, SIDE))
    after = detector.raw_cues(normal)
    for name, value in detector.state_dict().items():
        assert torch.equal(value, before[name]), name
    for name, scores in expected.scores.items():
        assert torch.equal(scores, after.scores[name])


def test_without_a_sample_no_training_image_is_read(caches: tuple[ImageCache, ImageCache]) -> None:
    class Closed(ImageCache):
        def batch(self, indices: Any) -> Tensor:
            raise AssertionError("a training image was read")

    train = as_cache(surfaces(4))
    train.__class__ = Closed
    detector = adapted(train, caches[1], spread_images=0)
    assert bool(detector.normal_mean.any())


def test_maps_are_standardised_pixel_by_pixel(caches: tuple[ImageCache, ImageCache]) -> None:
    """One layer alone: over the very images of the statistics, every pixel has mean 0."""
    options = {"cues": ("structure",), "sigmas": (1.0,), "scoring_cells": (4,), "spread_images": 10}
    train, tune = caches
    detector = adapted(train, tune, **options)
    images = torch.cat([train.batch(range(10)), tune.batch(range(6))])
    maps = detector.raw_cues(images).maps["structure"]
    assert torch.allclose(maps.mean(dim=0), torch.zeros(()), atol=1e-4)
    assert 0.8 < float(maps.std()) < 1.2
    assert bool((detector.normal_std > 0).all())


def test_statistics_by_scale_are_one_number_a_layer(caches: tuple[ImageCache, ImageCache]) -> None:
    detector = adapted(*caches, normalise="scale")
    for values in (detector.normal_mean, detector.normal_std):
        flat = values.flatten(2)
        assert bool((flat == flat[..., :1]).all())
        assert not torch.equal(flat[0], flat[1]), "each cell size has its own"


@pytest.mark.parametrize("options", [{"normalise": "none"}, {"variant": "official"}])
def test_no_statistics_where_none_are_asked_for(
    caches: tuple[ImageCache, ImageCache], options: dict[str, Any]
) -> None:
    detector = adapted(*caches, **options)
    assert not detector.normal_mean.any()
    assert bool((detector.normal_std == 1).all())
    fallback = torch.full_like(detector.thresholds, 0.0157)
    assert torch.equal(detector.thresholds, fallback) is (options.get("variant") == "official")


@pytest.mark.parametrize("normalise", ["pixel", "none"])
def test_adapting_tells_how_far_it_is(
    caches: tuple[ImageCache, ImageCache], normalise: str
) -> None:
    told: list[tuple[int, int]] = []
    with torch.inference_mode():
        tiny(normalise=normalise).adapt(*caches, lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert len({total for _, total in told}) == 1
    assert told[-1][0] == told[-1][1]


# --- cues -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", ["loop", "official"])
@pytest.mark.parametrize("rounds", [0, 3])
def test_cues_of_an_image_do_not_depend_on_its_neighbours(
    caches: tuple[ImageCache, ImageCache], variant: str, rounds: int
) -> None:
    detector = adapted(*caches, variant=variant, rounds=rounds, quantiles=(0.8, 0.9))
    images = as_batch(surfaces(5, seed=4))
    images[1, :, 4:14, 4:14] = torch.rand(10, 10, generator=torch.Generator().manual_seed(0))
    together = detector.raw_cues(images)
    for index in range(5):
        alone = detector.raw_cues(images[index : index + 1])
        for name, scores in together.scores.items():
            assert float(alone.scores[name]) == pytest.approx(float(scores[index]), abs=2e-3)
        for name, maps in together.maps.items():
            assert torch.allclose(alone.maps[name][0], maps[index], atol=2e-3)


@pytest.mark.parametrize(("change", "louder"), [(-0.3, "darker"), (0.3, "brighter")])
def test_a_spot_is_found_where_it_is_and_its_sign_is_told(change: float, louder: str) -> None:
    """The network stand-in knows what a normal image looks like: grey."""
    detector = tiny(normalise="none")
    detector.network = Answer(torch.full((), 0.5))  # type: ignore[assignment]
    detector.thresholds.fill_(0.01)
    images = torch.full((2, 3, SIDE, SIDE), 0.5)
    images[1, :, 20:25, 6:11] += change
    found = detector.raw_cues(images)
    for name in ("structure", louder):
        assert found.scores[name][1] > found.scores[name][0] + 0.01
    quiet = "brighter" if louder == "darker" else "darker"
    assert float(found.scores[quiet][1]) == pytest.approx(float(found.scores[quiet][0]), abs=1e-6)
    row, column = divmod(int(found.maps["structure"][1].argmax()), SIDE)
    assert 18 <= row <= 26
    assert 4 <= column <= 12


def test_scores_are_the_peaks_of_the_maps(caches: tuple[ImageCache, ImageCache]) -> None:
    found = adapted(*caches, cues=("structure", "intensity")).raw_cues(as_batch(surfaces(3)))
    assert list(found.maps) == ["structure", "intensity"]
    for name, maps in found.maps.items():
        assert torch.equal(found.scores[name], maps.flatten(1).amax(dim=1).double())


def test_where_texture_is_equalised_scores_take_that_side_and_maps_both(
    caches: tuple[ImageCache, ImageCache],
) -> None:
    options: dict[str, Any] = {"cues": ("structure",), "sigmas": (1.0, 4.0), "equalise": 4.0}
    detector, images = adapted(*caches, **options), as_batch(surfaces(3, seed=6))
    found = detector.raw_cues(images)
    with torch.inference_mode():
        layers = detector._standardised(detector.refine(images)).mean(dim=0)
    # Ordered by smoothing, plain before equalised.
    plain, equalised = layers[:, 0::2], layers[:, 1::2]
    assert not torch.allclose(plain, equalised, atol=0.1)
    peaks = equalised.flatten(1).amax(dim=1).double()
    assert torch.allclose(found.scores["structure"], peaks)
    both = ((plain + equalised) / 2).amax(dim=1)
    assert torch.allclose(found.maps["structure"], both, atol=1e-6)


def test_the_loop_in_paints_each_scoring_cell_size() -> None:
    detector = tiny(scoring_cells=(2, 8), rounds=0)
    with torch.inference_mode():
        refined = detector.refine(as_batch(surfaces(3)))
    assert list(refined) == [2, 8]
    assert [each.forwards for each in refined.values()] == [6, 6]


def test_what_the_refinement_weighs(caches: tuple[ImageCache, ImageCache]) -> None:
    """``w`` mixes first and last error; without a round there is nothing to mix."""
    images = as_batch(surfaces(3, seed=5))

    def structure(**options: Any) -> Tensor:
        fixed = {"quantiles": (0.6, 0.1), "normalise": "none", "sigmas": (0.0,), **options}
        return adapted(*caches, **fixed).raw_cues(images).maps["structure"]

    first = structure(rounds=0)
    assert torch.equal(first, structure(rounds=0, persistence=1.0))
    assert torch.allclose(first, structure(rounds=2, persistence=0.0), atol=1e-6)
    last = structure(rounds=2, persistence=1.0)
    assert not torch.allclose(first, last, atol=1e-4)
    mixed = structure(rounds=2, persistence=0.25, scoring_cells=(4,))
    ends = [structure(rounds=2, persistence=w, scoring_cells=(4,)) for w in (0.0, 1.0)]
    assert torch.allclose(mixed, 0.75 * ends[0] + 0.25 * ends[1], atol=1e-5)
    zeroed = structure(rounds=2, persistence=1.0, outside="zero", scoring_cells=(4,))
    assert bool(((zeroed == 0) | torch.isclose(zeroed, ends[1])).all())
    assert 0.3 < float((zeroed == 0).float().mean()) < 1


@pytest.mark.parametrize(("rounds", "turns"), [(0, 1), (1, 2), (5, 2)])
def test_official_is_the_released_inference(rounds: int, turns: int) -> None:
    detector = tiny(variant="official", cues=("structure", "intensity"), rounds=rounds)
    images = as_batch(surfaces(3))
    found = detector.raw_cues(images)
    settings = ReleasedSettings(cells=(4, 8), rounds=turns, sigma=7 * SIDE / 128)
    with torch.inference_mode():
        expected = released_inference(detector.restore, images, settings)
    assert torch.equal(found.maps["structure"], expected.maps)
    assert torch.equal(found.scores["structure"], expected.maps.flatten(1).amax(dim=1).double())
    assert torch.equal(found.scores["intensity"], expected.mse)


# --- whole ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted() -> SSM:
    return tiny().fit(surfaces(24), epochs=1, seed=5, holdout=0.5)


def test_the_same_seed_gives_the_same_scores(fitted: SSM) -> None:
    unseen = surfaces(5, seed=9)
    again = tiny().fit(surfaces(24), epochs=1, seed=5, holdout=0.5)
    assert np.array_equal(fitted.score(unseen), again.score(unseen))
    other = tiny().fit(surfaces(24), epochs=1, seed=6, holdout=0.5)
    assert not np.array_equal(fitted.score(unseen), other.score(unseen))


@pytest.mark.parametrize("options", [{}, {"variant": "official"}], ids=["loop", "official"])
def test_a_saved_detector_scores_as_before(
    fitted: SSM, tmp_path: Path, options: dict[str, Any]
) -> None:
    if options:
        fitted = tiny(**options).fit(surfaces(24), epochs=1, holdout=0.5)
    unseen = surfaces(5, seed=9)
    before = fitted.predict(unseen)
    after = oddlens.load(fitted.save(tmp_path / "artifact")).predict(unseen)
    assert np.array_equal(before.scores, after.scores)
    assert np.array_equal(before.p_values, after.p_values)
    assert before.maps is not None
    assert after.maps is not None
    for one, other in zip(before.maps, after.maps, strict=True):
        assert np.array_equal(one, other)


def test_a_defect_scores_above_every_normal_image(fitted: SSM) -> None:
    unseen = surfaces(8, seed=9)
    unseen[0, 10:22, 10:22] = 255
    scores = fitted.score(unseen)
    assert scores[0] > scores[1:].max()


def test_a_detector_can_be_fitted_again(fitted: SSM) -> None:
    again = tiny().fit(surfaces(24, seed=3), epochs=1, seed=1, holdout=0.5)
    again.fit(surfaces(24), epochs=1, seed=5, holdout=0.5)
    unseen = surfaces(5, seed=9)
    assert np.array_equal(fitted.score(unseen), again.score(unseen))
