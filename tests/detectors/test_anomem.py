"""AnoMem without anomalies: what it learns from, what it says, and when it refuses."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

import oddlens
from oddlens.detectors.anomem import AnoMem
from oddlens.errors import TrainingError, UsageError
from oddlens.evaluation.metrics import auroc
from oddlens.networks.deviation_head import DeviationHead, distance_loss
from oddlens.networks.memory import MemoryState, PrototypeMemory
from oddlens.networks.resnet import ResNet18
from tests.detectors.tiny import as_cache, ignore

SIDE = 16
TINY: dict[str, Any] = {
    "image_size": SIDE,
    "widths": (8, 12, 16),
    "slots": 6,
    "batch_size": 8,
    "beta": 24.0,  # few slots in few dimensions are alike
}


@pytest.fixture(autouse=True)
def _no_talk() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*only shifted")
        yield


def blobs(count: int, seed: int = 0, *, odd: bool = False) -> NDArray[np.uint8]:
    """A bright disc on a gradient; what is odd has a square."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for image in images:
        y, x = random.uniform(5, 11, 2)
        shape = (abs(rows - y) < 4) & (abs(columns - x) < 4)
        if not odd:
            shape = (rows - y) ** 2 + (columns - x) ** 2 < 20
        grey = 60 + 4 * rows + 120 * shape + random.normal(0, 4, (SIDE, SIDE))
        image[:] = np.clip(grey, 0, 255).astype(np.uint8)[..., None]
    return images


def batch(count: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(blobs(count, seed)).permute(0, 3, 1, 2).float() / 255


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_gradients_reach_every_memory_and_the_encoder(scales: int) -> None:
    detector = AnoMem(scales=scales, **TINY).train()
    terms = detector.loss(batch(6), seeded())
    assert set(terms) == {"contrast", "variance"}
    sum(terms.values()).backward()  # type: ignore[union-attr]
    assert len(detector.network.memories) == scales
    for name, parameter in detector.network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.any()), name


def test_without_memory_the_memories_are_left_alone() -> None:
    detector = AnoMem(memory=False, **TINY).train()
    terms = detector.loss(batch(6), seeded())
    assert set(terms) == {"contrast"}
    terms["contrast"].backward()  # type: ignore[no-untyped-call]
    assert all(
        isinstance(memory, PrototypeMemory) and memory.prototypes.grad is None
        for memory in detector.network.memories
    )


def test_the_loss_depends_on_the_generator_and_nothing_else() -> None:
    detector = AnoMem(**TINY).eval()
    first, again, other = (detector.loss(batch(4), seeded(seed)) for seed in (7, 7, 8))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["contrast"], other["contrast"])


def test_memories_norms_and_biases_do_not_decay() -> None:
    detector = AnoMem(**TINY)
    (stage,) = detector.stages()
    decaying, free = stage.optimizer(detector.network.parameters()).param_groups
    assert (decaying["weight_decay"], free["weight_decay"]) == (3e-4, 0.0)
    assert all(each.ndim > 1 for each in decaying["params"])
    names = {id(each): name for name, each in detector.network.named_parameters()}
    kept = {names[id(each)] for each in free["params"]}
    assert {f"memories.{scale}.prototypes" for scale in range(3)} <= kept
    assert len(kept) + len(decaying["params"]) == len(names)


def test_a_cue_is_the_mean_squared_deviation_and_its_map_shows_where() -> None:
    detector = AnoMem(**TINY).eval()
    with torch.inference_mode():
        found, recalls = detector.cues(batch(3)), detector.network(batch(3))
    assert set(found.scores) == set(found.maps) == {"scale 1", "scale 2", "scale 3"}
    for scale, recall in enumerate(recalls, start=1):
        squared = (recall.observed - recall.recalled).pow(2).sum(dim=1)
        assert torch.allclose(found.scores[f"scale {scale}"], squared.double().mean(dim=(1, 2)))
        assert found.maps[f"scale {scale}"].shape == (3, SIDE, SIDE)
    top = AnoMem(pooling="top", **TINY).eval()
    top.load_state_dict(detector.state_dict())
    assert bool((top.raw_cues(batch(3)).scores["scale 1"] > found.scores["scale 1"]).all())


def test_it_learns_survives_saving_and_repeats(tmp_path: Path) -> None:
    options = {**TINY, "evidence": ("memory", "mahalanobis"), "smallest_crop": 0.6}
    one, same = (AnoMem(**options).fit(blobs(60), epochs=8, seed=3, device="cpu") for _ in "12")
    normal, odd = blobs(20, seed=5), blobs(20, seed=6, odd=True)
    assert np.array_equal(one.score(normal), same.score(normal))
    assert set(one.predict(normal[:2]).cues) == {"scale 1", "scale 2", "scale 3", "mahalanobis"}
    assert np.array_equal(oddlens.load(one.save(tmp_path / "m")).score(odd), one.score(odd))
    assert "memories on held-out normals" in one.fit_report["diagnostics"]


def test_a_few_anomalies_teach_a_distance_that_survives_saving(tmp_path: Path) -> None:
    # Without turned copies, of which a network of this size and length learns little.
    options = {**TINY, "smallest_crop": 0.6, "anomalies_a_step": 2, "turned": False}
    detector = AnoMem(**options).fit(
        blobs(60), anomalies=blobs(6, seed=9, odd=True), epochs=30, seed=3, device="cpu"
    )
    assert detector.fit_report["labelled_anomalies"] == 6
    assert detector.anomalies is None
    assert [each["name"] for each in detector.provenance["stages"]] == ["remember", "measure"]
    normal, odd = blobs(30, seed=5), blobs(30, seed=6, odd=True)
    labels = np.repeat([False, True], 30)
    found = detector.predict(np.concatenate([normal, odd]))
    assert set(found.cues) == {"scale 1", "scale 2", "scale 3", "distance"}
    assert auroc(found.cues["distance"], labels) > 0.8
    loaded = oddlens.load(detector.save(tmp_path / "m"))
    assert np.array_equal(loaded.score(odd), detector.score(odd))


def test_without_anomalies_the_same_call_is_the_one_class_setting() -> None:
    detector = AnoMem(**TINY).fit(blobs(30), epochs=20, device="cpu")
    assert detector.fit_report["labelled_anomalies"] == 0
    assert set(detector.predict(blobs(2)).cues) == {"scale 1", "scale 2", "scale 3"}
    again = AnoMem(evidence=("memory",), **TINY).fit(blobs(30), epochs=20, device="cpu")
    assert np.array_equal(detector.score(blobs(3)), again.score(blobs(3)))


def test_a_distance_alone_needs_anomalies() -> None:
    with pytest.raises(UsageError, match="learned from labelled anomalies"):
        AnoMem(evidence=("distance",), **TINY).fit(blobs(12), epochs=1)


def test_anomalies_alone_leave_the_memories_as_they_are() -> None:
    detector = AnoMem(variance_weight=1.0, anomalies_a_step=6, **TINY).train()
    detector.anomalies = as_cache(blobs(8, odd=True), SIDE)
    nothing = batch(6)[:0]
    terms = detector.loss(nothing, seeded())
    sum(terms.values()).backward()  # type: ignore[union-attr]
    for memory in detector.network.memories:
        assert isinstance(memory, PrototypeMemory)
        gradient = memory.prototypes.grad
        assert gradient is None or not bool(gradient.any())


def test_the_learned_distance_by_hand() -> None:
    torch.manual_seed(0)
    head = DeviationHead((3, 5), (0.25, 1.0), width=4)
    maps = [torch.randn(2, 3, 4, 4), torch.randn(2, 5, 2, 2)]
    joined = torch.cat(
        [
            0.5 * head.scales[0](3**0.5 * maps[0]).amax(dim=(2, 3)),
            head.scales[1](5**0.5 * maps[1]).amax(dim=(2, 3)),
        ],
        dim=1,
    )
    expected = (head.last(joined).square().sum(dim=1) + 1).sqrt() - 1
    assert torch.allclose(head(maps), expected, atol=1e-5)
    assert bool((head([torch.zeros_like(each) for each in maps]) >= 0).all())


def test_the_loss_of_the_distance_weighs_both_kinds_alike() -> None:
    distances = torch.tensor([0.5, 1.5, 2.0], dtype=torch.float64)
    found = distance_loss(distances, torch.tensor([True, True, False]))
    assert float(found) == pytest.approx(1.0 - np.log(1 - np.exp(-2.0) + 1e-6))
    assert float(distance_loss(distances, torch.ones(3, dtype=torch.bool))) == pytest.approx(4 / 3)


def test_a_memory_that_recalls_everything_at_once_is_refused() -> None:
    detector = AnoMem(**{**TINY, "beta": 1e-3}).eval()
    images = as_cache(blobs(8), SIDE)
    told = "scale 1 has collapsed: .* recalls 6 of its 6 prototypes .* raise beta"
    with pytest.raises(TrainingError, match=told), torch.no_grad():
        detector.adapt(images, images, ignore)
    kept = AnoMem(**{**TINY, "beta": 1e-3, "collapse": "tell"}).eval()
    with pytest.warns(UserWarning, match=told), torch.no_grad():
        kept.adapt(images, images, ignore)


def test_a_memory_that_recalls_the_same_for_everything_is_refused() -> None:
    detector = AnoMem(**TINY)
    detector._refuse_dead(1, MemoryState(attention=1.5, usage=4.0, spread=0.5))
    with pytest.raises(TrainingError, match="scale 2 .* raise variance_weight"):
        detector._refuse_dead(2, MemoryState(attention=1.5, usage=1.0, spread=0.05))


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="scales 3 is more than"):
        AnoMem(widths=(8, 8))
    with pytest.raises(UsageError, match="one for each scale"):
        AnoMem(scale_weights=(1.0,))


def test_resnet_shows_the_scales_of_the_specification() -> None:
    shapes = [tuple(each.shape[1:]) for each in ResNet18().eval()(torch.rand(1, 3, 32, 32))]
    assert shapes == [(128, 16, 16), (256, 8, 8), (512, 4, 4)]
    large = ResNet18(2, small=False).eval()(torch.rand(1, 3, 96, 96))
    assert [tuple(each.shape[1:]) for each in large] == [(256, 6, 6), (512, 3, 3)]
    # Public implementations without their classifier have 11.17 million with this stem.
    assert sum(each.numel() for each in ResNet18(4).parameters()) == 11_168_832


@pytest.mark.parametrize(("flips", "images"), [("none", 4 * 8), ("both", 2 * 8)])
def test_a_step_is_counted_as_it_is_made(flips: str, images: int) -> None:
    detector, seen = AnoMem(**TINY, flips=flips), list[int]()
    detector.network.encoder.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    detector.loss(batch(8), seeded())
    assert seen == [2 * images]  # two views
    assert detector.config.a_step == images
    (group, _) = detector.stages()[0].optimizer(detector.network.parameters()).param_groups
    assert group["lr"] == pytest.approx(0.06 * images / 256)


@pytest.mark.parametrize(
    ("options", "looked"),
    [
        ({}, 20),
        ({"measure": "length"}, 0),
        ({"measure": "length", "evidence": ("memory", "mahalanobis")}, 20),
        ({"evidence": ("mahalanobis",), "statistics_images": 5}, 5),
        ({"evidence": ("kmeans", "features"), "statistics_images": 15}, 30),
        ({"evidence": ("kmeans",), "measure": "length"}, 20),
    ],
)
def test_adapting_tells_of_every_image_that_it_looks_at(
    options: dict[str, Any], looked: int
) -> None:
    detector, told = AnoMem(memory=False, **TINY, **options).eval(), list[tuple[int, int]]()
    with torch.no_grad():
        train, tune = as_cache(blobs(20), SIDE), as_cache(blobs(6, 1), SIDE)
        detector.adapt(train, tune, lambda *count: told.append(count))
    assert detector.images_to_adapt(20, 6) == looked + 6
    assert told[-1] == (looked + 6, looked + 6)
