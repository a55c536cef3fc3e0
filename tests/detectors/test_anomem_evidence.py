"""What AnoMem takes as evidence: baselines on the same encoder, and the learned distance's say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import oddlens
from oddlens.detectors.anomem import AnoMem
from oddlens.errors import UsageError
from oddlens.networks.memory import PrototypeMemory
from oddlens.networks.pretrained import _ENCODERS, register_encoder
from tests.detectors.test_anomem import SIDE, TINY, batch, blobs
from tests.detectors.tiny import as_cache, ignore
from tests.networks.test_pretrained import Toy

EVERY = ("memory", "kmeans", "features", "mahalanobis")


@pytest.fixture(scope="module")
def fitted() -> AnoMem:
    options = {**TINY, "evidence": EVERY, "smallest_crop": 0.6}
    return AnoMem(**options).fit(blobs(60), epochs=8, seed=3, device="cpu")


def test_one_fit_gives_all_baselines_which_survive_saving(fitted: AnoMem, tmp_path: Path) -> None:
    kinds = ("", "kmeans ", "features ")
    names = {f"{kind}scale {scale}" for kind in kinds for scale in (1, 2, 3)}
    found = fitted.predict(blobs(3, 5))
    assert set(found.cues) == names | {"mahalanobis"}
    loaded = oddlens.load(fitted.save(tmp_path / "m"), device="cpu").predict(blobs(3, 5))
    for name, cue in found.cues.items():
        assert np.array_equal(loaded.cues[name], cue)
    assert fitted.cue_groups()[1] == tuple(f"kmeans scale {scale}" for scale in (1, 2, 3))


def test_the_learned_memory_is_as_without_baselines(fitted: AnoMem) -> None:
    options = {**TINY, "smallest_crop": 0.6}
    alone = AnoMem(**options).fit(blobs(60), epochs=8, seed=3, device="cpu").predict(blobs(3, 5))
    beside = fitted.predict(blobs(3, 5))
    for scale in (1, 2, 3):
        assert np.array_equal(beside.cues[f"scale {scale}"], alone.cues[f"scale {scale}"])


def test_prototypes_of_k_means_lie_where_normal_features_are(fitted: AnoMem) -> None:
    with torch.no_grad():
        recalls = fitted.network(batch(40, 9))
        for memory, recall in zip(fitted.baselines.kmeans, recalls, strict=True):
            assert isinstance(memory, PrototypeMemory)
            seen = recall.observed.permute(0, 2, 3, 1).flatten(0, 2)
            near = torch.cdist(seen, memory.prototypes).amin(dim=1).square().mean()
            around = (seen - seen.mean(dim=0)).square().sum(dim=1).mean()
            assert float(near) < 0.6 * float(around)  # six centres against one


@pytest.mark.parametrize("measure", ["length", "spread"])
def test_only_the_prototypes_differ(measure: str) -> None:
    detector = AnoMem(**TINY, evidence=("memory", "kmeans"), measure=measure).eval()
    before = detector.raw_cues(batch(4))
    assert not torch.equal(before.scores["scale 2"], before.scores["kmeans scale 2"])
    detector.baselines.kmeans.load_state_dict(detector.network.memories.state_dict())
    found = detector.raw_cues(batch(4))
    for scale in (1, 2, 3):
        torch.testing.assert_close(
            found.scores[f"kmeans scale {scale}"], found.scores[f"scale {scale}"]
        )
        torch.testing.assert_close(
            found.maps[f"kmeans scale {scale}"], found.maps[f"scale {scale}"]
        )


def test_features_are_measured_with_nothing_recalled() -> None:
    detector = AnoMem(**TINY, evidence=("features",)).eval()
    with torch.no_grad():
        detector.adapt(as_cache(blobs(30), SIDE), as_cache(blobs(6, 1), SIDE), ignore)
        train, new = (
            detector.network(batch(count, seed))[2].observed.double()[:, :, 0, 0]
            for count, seed in ((30, 0), (4, 7))
        )
        wide = detector.maps(detector.baselines(detector.network(batch(4, 7))))
    away = new - train.mean(dim=0)
    covariance = torch.cov(train.T, correction=0)
    share = max(0.1, 16 / (16 + 30))
    covariance = (1 - share) * covariance + share * covariance.diagonal().mean() * torch.eye(16)
    wanted = torch.einsum("ni,ij,nj->n", away, torch.linalg.inv(covariance), away)
    found = wide["features scale 3"].judged[:, 0, 0].double()
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("options", [{"measure": "length"}, {"encoder": "efficientnet_lite0"}])
def test_features_need_a_spread(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="needs a trained encoder and measure=spread"):
        AnoMem(evidence=("features",), **options)


def test_on_a_frozen_encoder_k_means_is_the_memory_before_it_learned() -> None:
    register_encoder("toy", Toy)
    try:
        options = {"encoder": "toy", "image_size": SIDE, "slots": 8}
        detector = AnoMem(**options, evidence=("memory", "kmeans")).fit(blobs(20), device="cpu")
        plain = AnoMem(**options, memory=False).fit(blobs(20), device="cpu")
    finally:
        _ENCODERS.pop("toy")
    found, wanted = detector.predict(blobs(4, 3)).cues, plain.predict(blobs(4, 3)).cues
    assert set(found) == {"memory", "kmeans"}
    assert np.allclose(found["kmeans"], wanted["memory"], rtol=1e-4, atol=1e-5)
    assert not np.allclose(found["memory"], wanted["memory"], rtol=1e-2, atol=1e-3)


def test_on_a_frozen_encoder_what_tells_nothing_is_not_learned() -> None:
    register_encoder("toy", Toy)
    try:
        detector = AnoMem(
            encoder="toy", image_size=SIDE, slots=4000, evidence=("mahalanobis",)
        ).fit(blobs(20), device="cpu")
    finally:
        _ENCODERS.pop("toy")
    assert detector.fit_report["steps"] == 0
    assert detector.images_to_adapt(20, 6) == 26


@pytest.mark.parametrize(
    ("count", "given", "weight"), [(6, "auto", 0.5), (20, "auto", 1), (6, 1, 1)]
)
def test_with_enough_anomalies_the_learned_distance_is_the_score(
    count: int, given: object, weight: float, tmp_path: Path
) -> None:
    options = {**TINY, "memory": False, "turned": False, "distance_weight": given}
    detector = AnoMem(**options).fit(
        blobs(40), anomalies=blobs(count, 9, odd=True), epochs=2, device="cpu"
    )
    assert detector.fit_report["diagnostics"]["weight of the learned distance"] == weight
    images = np.concatenate([blobs(5, 5), blobs(5, 6, odd=True)])
    found = detector.predict(images)
    scales = detector.standardiser
    assert scales is not None
    own = scales(found.cues)["distance"]
    if weight == 1:
        assert np.array_equal(found.scores, own)
    else:
        assert scales.vote is not None
        others = np.mean([scales(found.cues)[f"scale {s}"] for s in (1, 2, 3)], axis=0)
        others = (others - scales.vote.mean) / scales.vote.std
        assert np.allclose(found.scores, (own + others) / 2)
    loaded = oddlens.load(detector.save(tmp_path / "m"), device="cpu")
    assert np.array_equal(loaded.score(images), found.scores)


def test_alone_the_learned_distance_has_no_share_to_tell() -> None:
    options = {**TINY, "memory": False, "turned": False, "evidence": ("distance",)}
    detector = AnoMem(**options).fit(
        blobs(20), anomalies=blobs(6, 9, odd=True), epochs=1, device="cpu"
    )
    assert detector.standardiser is not None
    assert detector.standardiser.vote is None
    assert "weight of the learned distance" not in detector.diagnostics


def test_a_weight_is_a_share() -> None:
    with pytest.raises(UsageError, match="distance_weight"):
        AnoMem(distance_weight=1.5)
    assert AnoMem.options()["distance_weight"].type == "float | auto"
