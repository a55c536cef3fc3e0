"""MultiTask and the reference GeometricTransforms: heads, loss, score, statistics, warnings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

import oddlens
from oddlens.detectors.geometric_transforms import GeometricTransforms
from oddlens.detectors.multitask import MultiTask
from oddlens.detectors.recognition import Recognition
from oddlens.errors import UsageError
from oddlens.pretext.geometric import compositions, shifted, turned
from tests.detectors.tiny import as_cache, ignore

SIDE = 24
TINY: dict[str, Any] = {"image_size": SIDE, "widths": (8, 12), "batch_size": 4}


@pytest.fixture(autouse=True)
def _no_talk() -> Iterator[None]:
    """Networks this small learn little, and say so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="task .* was not learned")
        yield


def corners(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """A bright bar with a dark end on a gradient: upright, off-centre, different in its pieces."""
    random = np.random.default_rng(seed)
    images = np.tile(np.linspace(40, 110, SIDE)[:, None], (count, 1, SIDE))
    images[:, 3:17, 5:10] = 220
    images[:, 3:7, 5:16] = 180
    images += random.normal(0, 6, images.shape)
    return np.clip(images, 0, 255).astype(np.uint8)[..., None].repeat(3, axis=-1)


def batch(count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(corners(count, seed)).permute(0, 3, 1, 2).float() / 255


def answering(detector: Recognition, gain: float) -> None:
    """Heads that know the true transform (gain > 0), or nothing (0)."""
    classes = {
        name: head.out_features
        for name, head in detector.network.heads.items()
        if isinstance(head, nn.Linear)
    }

    def seen(images: Tensor, generator: Generator | None) -> dict[str, Tensor]:
        return {
            name: (gain * torch.eye(count))[:, None].repeat(1, len(images), 1)
            for name, count in classes.items()
        }

    detector.network.heads = nn.ModuleDict({name: nn.Identity() for name in classes})
    detector.seen = seen  # type: ignore[method-assign]


# --- MultiTask ------------------------------------------------------------------------------------


def test_there_is_a_head_for_each_task_and_eleven_images_for_all() -> None:
    detector = MultiTask()
    sizes = {name: head.out_features for name, head in detector.network.heads.items()}
    assert sizes == {"vertical": 3, "horizontal": 3, "rotation": 4, "jigsaw": 3}
    assert sum(task.classes for task in detector.tasks()) == 13
    assert len(set(detector.distinct_images())) == 11
    only = MultiTask(tasks=("jigsaw",), permutations=5)
    assert len(only.distinct_images()) == 5


def test_each_head_answers_to_its_own_transforms() -> None:
    """The sharing of the untouched image is a matter of speed alone."""
    detector = MultiTask(**TINY).eval()
    images = batch(3)
    with torch.inference_mode():
        found = detector.answers(images, None)
        for task in detector.tasks():
            for j, made in enumerate(task.transforms(images, None)):
                expected = detector.network(made)[task.name]
                assert torch.allclose(found[task.name][j], expected, atol=1e-5), (task.name, j)


def test_the_encoder_sees_eleven_images_in_one_batch() -> None:
    detector = MultiTask(**TINY).eval()
    seen: list[Tensor] = []
    detector.network.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.inference_mode():
        detector.cues(batch(3))
    assert [len(each) for each in seen] == [33]
    assert len(np.unique(seen[0].flatten(1).numpy(), axis=0)) == 33


def test_the_loss_is_the_unweighted_sum_of_thirteen_cross_entropies() -> None:
    detector = MultiTask(**TINY, margin=0).eval()
    images = batch(4)
    terms = detector.loss(images, Generator().manual_seed(0))
    expected = torch.zeros(())
    for task in detector.tasks():
        for j, made in enumerate(task.transforms(images, None)):
            labels = torch.full((4,), j)
            expected = expected + F.cross_entropy(detector.network(made)[task.name], labels)
    assert float(sum(terms.values())) == pytest.approx(float(expected), rel=1e-4)


def test_gradients_reach_every_head_and_the_encoder() -> None:
    detector = MultiTask(**TINY).train()
    sum(detector.loss(batch(4), Generator().manual_seed(0)).values()).backward()  # type: ignore[union-attr]
    for name, parameter in detector.network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.abs().sum() > 0), name


@pytest.mark.parametrize(
    ("inner", "perfect", "clueless"), [("sum", -3.25, -1.0), ("mean", -1.0, -(3 / 3 + 1 / 4) / 4)]
)
def test_the_ends_of_the_score(inner: str, perfect: float, clueless: float) -> None:
    for gain, expected in ((200.0, perfect), (0.0, clueless)):
        detector = MultiTask(inner=inner, ood="softmax_truth", **TINY).fit(corners(12), epochs=1)
        answering(detector, gain)
        assert detector.score(corners(3)) == pytest.approx([expected] * 3)


@pytest.mark.parametrize("inner", ["sum", "mean"])
def test_combined_adds_a_share_of_the_distance_between_features(inner: str) -> None:
    # Noise, and a fixed network: features that hardly differ would leave rounding alone to compare.
    torch.manual_seed(0)
    noise = np.random.default_rng(0).integers(0, 256, (33, SIDE, SIDE, 3)).astype(np.uint8)
    images, tasks = as_cache(noise[30:], SIDE).batch(range(3)), ("rotation", "jigsaw")
    literal, combined = (
        MultiTask(ood=ood, tasks=tasks, inner=inner, feature_weight=0.5, **TINY).eval()
        for ood in ("softmax_truth", "combined")
    )
    combined.network.load_state_dict(literal.network.state_dict())
    train = as_cache(noise[:30], SIDE)
    with torch.inference_mode():
        combined.adapt(train, as_cache(corners(6, 1), SIDE), ignore)
        learned = combined.seen(train.batch(range(30)), None)
        new = combined.seen(images, None)
        found, plain = combined.cues(images).scores, literal.cues(images).scores
    for name in tasks:
        # By hand: one mean a transform, one covariance for all, drawn towards a sphere; in numpy.
        values = learned[name].double().numpy()
        away = values - values.mean(axis=1, keepdims=True)
        away = away.reshape(-1, away.shape[-1])
        covariance, width = away.T @ away / len(away), away.shape[-1]
        towards = width / (width + len(away)) * np.trace(covariance) / width
        covariance = covariance * len(away) / (width + len(away)) + (towards + 1e-4) * np.eye(width)
        gap = new[name].double().numpy() - values.mean(axis=1, keepdims=True)
        squared = np.einsum("tni,ij,tnj->tn", gap, np.linalg.inv(covariance), gap)
        share = 0.5 * getattr(squared, inner)(axis=0) / width
        assert np.allclose(found[name] - plain[name], share, rtol=1e-6)


def test_cues_are_fused_raw_unless_asked_otherwise() -> None:
    images = corners(20)
    literal = MultiTask(**TINY).fit(images, epochs=1)
    found = literal.predict(images[:4])
    assert np.allclose(found.scores, np.mean([found.cues[name] for name in found.cues], axis=0))
    scaled = MultiTask(standardise=True, **TINY).fit(images, epochs=1)
    assert scaled.standardiser is not None
    assert set(scaled.standardiser.mean) == set(found.cues)
    assert all(value != 0 for value in scaled.standardiser.mean.values())


def test_permutations_are_the_artifacts_own(tmp_path: Path) -> None:
    images = corners(20)
    detector = MultiTask(permutation_seed=5, **TINY).fit(images, epochs=2)
    loaded = oddlens.load(detector.save(tmp_path / "m"))
    assert isinstance(loaded, MultiTask)
    assert torch.equal(loaded.permutations, detector.permutations)
    assert not torch.equal(MultiTask(permutation_seed=6).permutations, detector.permutations)
    assert np.array_equal(loaded.score(images[:5]), detector.score(images[:5]))


def test_with_a_rim_shifts_alone_see_it() -> None:
    detector = MultiTask(**TINY, rim=3).eval()
    images = batch(3)
    other_rim = torch.full_like(images, 0.5)
    other_rim[..., 3:-3, 3:-3] = images[..., 3:-3, 3:-3]
    with torch.inference_mode():
        found, other = (detector.seen(each, None) for each in (images, images.roll(1, 0)))
        changed = detector.seen(other_rim, None)
        middle = MultiTask(**{**TINY, "image_size": SIDE - 6}).eval()
        middle.network.load_state_dict(detector.network.state_dict())
        plain = middle.seen(images[..., 3:-3, 3:-3], None)
    for name in ("rotation", "jigsaw"):
        assert torch.allclose(found[name], changed[name], atol=1e-5)
        assert torch.allclose(found[name], plain[name], atol=1e-5)
        assert not torch.allclose(found[name], other[name], atol=1e-5)
    for name in ("vertical", "horizontal"):
        assert torch.allclose(found[name][0], plain[name][0], atol=1e-5)
        for moved in (1, 2):
            assert not torch.allclose(found[name][moved], changed[name][moved], atol=1e-5)
            assert not torch.allclose(found[name][moved], plain[name][moved], atol=1e-5)


def test_what_was_learned_is_missed_in_an_image_upside_down() -> None:
    detector = MultiTask(**{**TINY, "learning_rate": 0.05}).fit(corners(48), epochs=12, seed=1)
    fresh = corners(10, seed=9)
    scores = detector.score(np.concatenate([fresh, fresh[:, ::-1, ::-1]]))
    assert scores[10:].min() > scores[:10].max()
    solved = detector.fit_report["diagnostics"]["accuracy on held-out normals"]
    assert set(solved) == {"vertical", "horizontal", "rotation", "jigsaw"}
    assert solved["rotation"] > 0.9


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"image_size": 32}, "multiple of grid 3, such as 33"),
        ({"shift": 40}, "shift 40"),
        ({"tasks": ()}, "tasks"),
        ({"tasks": ("colour",)}, "tasks"),
        ({"tasks": ("rotation", "rotation")}, "given twice"),
        ({"margin": 12}, "margin 12"),
        ({"permutations": 1}, "permutations"),
        (
            {"image_size": 30, "rim": 4},
            "30 without its rim must be a multiple of grid 3, such as 32",
        ),
        (
            {"image_size": 20, "rim": 5},
            "20 without its rim must be a multiple of grid 3, such as 22",
        ),
        ({"rim": 2, "tasks": ("rotation",)}, "rim 2: no task sees it but vertical and horizontal"),
        ({"image_size": 45, "rim": 12}, "rim 12 must be at most a quarter of image_size 45"),
        ({"image_size": 36, "rim": 3, "shift": 4}, "shifted by rim, 3; leave one out"),
        ({"image_size": 36, "rim": 3, "margin": 10}, "margin 10 leaves nothing"),
    ],
    ids=str,
)
def test_a_bad_option_is_refused_by_name(options: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        MultiTask(**options)


def test_a_rim_alone_makes_the_image_larger() -> None:
    for preset, side in (("compact", 30), ("paper", 36)):
        config = MultiTask(preset=preset, rim=6, widths=(8, 12)).config
        assert (config.side, config.image_size) == (side, side + 12)


def test_without_a_jigsaw_any_size_will_do() -> None:
    assert MultiTask(tasks=("rotation",), image_size=32).config.pixels == 8


def test_labelled_anomalies_are_refused() -> None:
    with pytest.raises(UsageError, match="normal images alone"):
        MultiTask(**TINY).fit(corners(12), anomalies=corners(2), epochs=1)


# --- both -----------------------------------------------------------------------------------------

BOTH: list[tuple[type[Recognition], dict[str, Any]]] = [
    (MultiTask, {}),
    (MultiTask, {"ood": "mahalanobis"}),
    (MultiTask, {"ood": "combined"}),
    (MultiTask, {"rim": 3}),
    (GeometricTransforms, {}),
    (GeometricTransforms, {"ood": "combined"}),
    (GeometricTransforms, {"variant": "geotrans", "ood": "mahalanobis", "inner": "sum"}),
]
each_method = pytest.mark.parametrize(("method", "options"), BOTH, ids=str)


@each_method
def test_an_image_is_judged_alone(method: type[Recognition], options: dict[str, Any]) -> None:
    detector = method(**TINY, **options).eval()
    with torch.inference_mode():
        detector.adapt(as_cache(corners(12), SIDE), as_cache(corners(6, 1), SIDE), ignore)
    together = detector.raw_cues(batch(4, seed=3))
    for index in range(4):
        alone = detector.raw_cues(batch(4, seed=3)[index : index + 1])
        for name, scores in together.scores.items():
            assert float(alone.scores[name]) == pytest.approx(float(scores[index]), rel=1e-3)


@each_method
def test_the_same_seed_gives_the_same_scores(
    method: type[Recognition], options: dict[str, Any], tmp_path: Path
) -> None:
    images = corners(16)
    one, same, other = (
        method(**TINY, **options).fit(images, epochs=1, seed=seed) for seed in (0, 0, 1)
    )
    assert np.array_equal(one.score(images), same.score(images))
    assert not np.array_equal(one.score(images), other.score(images))
    assert np.array_equal(oddlens.load(one.save(tmp_path / "m")).score(images), one.score(images))


@pytest.mark.parametrize("ood", ["mahalanobis", "combined"])
def test_mahalanobis_statistics_come_from_training_images(ood: str) -> None:
    detector = MultiTask(ood=ood, statistics_images=5, **TINY).eval()
    train, tune = as_cache(corners(12), SIDE), as_cache(corners(6, 1), SIDE)
    told: list[tuple[int, int]] = []
    with torch.inference_mode():
        detector.adapt(train, tune, lambda done, total: told.append((done, total)))
        look = detector.answers if ood == "mahalanobis" else detector.seen
        values = look(train.evenly(5).batch(range(5)), None)["rotation"]
    assert told[-1] == (11, 11)
    means = detector.get_buffer("rotation_means")
    assert torch.allclose(means, values.double().mean(dim=1), atol=1e-5)


@pytest.mark.parametrize(("gain", "told"), [(200.0, "too easy"), (0.0, "was not learned")])
def test_a_task_that_says_nothing_is_named(gain: float, told: str) -> None:
    options = {**TINY, "tasks": ("rotation",), "ood": "softmax_truth"}
    detector = MultiTask(**options).eval()
    answering(detector, gain)
    with pytest.warns(UserWarning, match=f"task rotation .*{told}"), torch.inference_mode():
        detector.adapt(as_cache(corners(4), SIDE), as_cache(corners(4), SIDE), ignore)


# --- GeometricTransforms --------------------------------------------------------------------------


def test_mhrot_asks_each_head_about_every_composition() -> None:
    detector = GeometricTransforms(ood="softmax_truth", **TINY).eval()
    images, size = batch(2), SIDE // 4
    with torch.inference_mode():
        found = detector.answers(images, None)
        truths: dict[str, list[Tensor]] = {"vertical": [], "horizontal": [], "rotation": []}
        for move in compositions(flips=False):
            made = turned(shifted(images, move.down * size, move.right * size), move.quarters)
            logits = detector.network(made)
            labels = {
                "vertical": (0, -1, 1).index(move.down),
                "horizontal": (0, -1, 1).index(move.right),
                "rotation": move.quarters,
            }
            for name, label in labels.items():
                truths[name].append(logits[name].double().softmax(dim=1)[:, label])
        cues = detector.cues(images).scores
    for name, each in truths.items():
        assert found[name].shape[1] == 2 * 36 // len(found[name])
        assert torch.allclose(cues[name], -torch.stack(each).mean(dim=0), atol=1e-6)


def test_the_loss_of_the_reference_is_the_mean_over_compositions() -> None:
    detector = GeometricTransforms(**TINY).eval()
    images = batch(2)
    terms = detector.loss(images, Generator().manual_seed(0))
    for name, logits in detector.answers(images, None).items():
        labels = torch.arange(len(logits)).repeat_interleave(logits.shape[1])
        expected = F.cross_entropy(logits.flatten(0, 1), labels)
        assert float(terms[name]) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("method", "options", "named"),
    [
        (GeometricTransforms, {"variant": "geotrans", "flips": "horizontal"}, "geotrans asks"),
        (GeometricTransforms, {"flips": "both"}, "rotation asks"),
        (MultiTask, {"flips": "both"}, "rotation asks"),
        (MultiTask, {"jitter": SIDE}, "jitter 24 must be less"),
    ],
)
def test_what_would_blur_the_question_is_refused(
    method: type[Recognition], options: dict[str, Any], named: str
) -> None:
    with pytest.raises(UsageError, match=named):
        method(**TINY, **options)
    assert MultiTask(flips="both", tasks=("jigsaw",), **TINY).config.flips == "both"


def test_geotrans_has_one_head_for_seventy_two() -> None:
    detector = GeometricTransforms(variant="geotrans", **TINY).eval()
    found = detector.answers(batch(2), None)
    assert {name: tuple(each.shape) for name, each in found.items()} == {"composition": (72, 2, 72)}
