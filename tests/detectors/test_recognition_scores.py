"""MultiTask and GeometricTransforms: what scoring shows the network, and distances of logits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from oddlens.detectors.geometric_transforms import GeometricTransforms
from oddlens.detectors.multitask import MultiTask
from oddlens.detectors.recognition import Recognition
from oddlens.pretext.geometric import compositions, shifted, turned
from oddlens.pretext.pieces import cut
from tests.detectors.tiny import ignore
from tests.detectors.tiny_multicue import SIDE, as_batch, as_cache, pictures
from tests.toys import noise

TINY: dict[str, Any] = {"image_size": SIDE, "widths": (8, 12)}

pytestmark = pytest.mark.filterwarnings("ignore:task .* was not learned")
each_method = pytest.mark.parametrize("method", [MultiTask, GeometricTransforms])


def adapted(method: type[Recognition], normal: NDArray[np.uint8], **options: Any) -> Recognition:
    torch.manual_seed(0)
    detector = method(ood="mahalanobis", **TINY, **options).eval()
    with torch.no_grad():
        detector.adapt(as_cache(normal), as_cache(pictures(6, 1)), ignore)
    return detector


def asked(detector: Recognition, images: Tensor) -> Iterator[tuple[Tensor, dict[str, int]]]:
    """All that is shown of the images, transform by transform, with its label by head."""
    if isinstance(detector, MultiTask):
        for task in detector.tasks():
            for label, made in enumerate(task.transforms(images, None)):
                yield made, {task.name: label}
        return
    size, steps = SIDE // 4, (0, -1, 1)
    for move in compositions(flips=False):
        made = turned(shifted(images, move.down * size, move.right * size), move.quarters)
        shifts = {"vertical": steps.index(move.down), "horizontal": steps.index(move.right)}
        yield made, {**shifts, "rotation": move.quarters}


def answered(detector: Recognition, pixels: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Logits by head, ``(T, K, N, T)``: K times N images are of each of T labels."""
    found: dict[str, dict[int, list[NDArray[np.float64]]]] = defaultdict(lambda: defaultdict(list))
    with torch.no_grad():
        for made, labels in asked(detector, as_batch(pixels)):
            logits = detector.network(made)
            for name, label in labels.items():
                found[name][label].append(logits[name].double().numpy())
    return {
        name: np.stack([np.stack(each[label]) for label in range(len(each))])
        for name, each in found.items()
    }


@each_method
@pytest.mark.parametrize("inner", ["sum", "mean"])
def test_mahalanobis_is_the_squared_distance_of_logits_from_those_of_normal_images(
    method: type[Recognition], inner: str
) -> None:
    normal, new = pictures(30), pictures(4, 2)
    detector = adapted(method, normal, inner=inner)
    learned, given = answered(detector, normal), answered(detector, new)
    found = detector.raw_cues(as_batch(new)).scores
    assert found.keys() == learned.keys()
    for name, values in learned.items():
        # By hand: one mean a label, one covariance for all, in numpy.
        means = values.mean(axis=(1, 2), keepdims=True)
        away = (values - means).reshape(-1, len(values))
        covariance = away.T @ away / len(away) + 1e-4 * np.eye(len(values))
        gap = given[name] - means
        squared = np.einsum("tkni,ij,tknj->tkn", gap, np.linalg.inv(covariance), gap)
        expected = getattr(squared.mean(axis=1), inner)(axis=0)
        assert np.allclose(found[name], expected, rtol=1e-3), name


@each_method
def test_what_is_answered_unlike_normal_images_is_more_anomalous(
    method: type[Recognition],
) -> None:
    """One picture under a little noise is normal, noise alone is not."""
    little = np.random.default_rng(0).normal(0, 4, (30, SIDE, SIDE, 3))
    usual = np.clip(pictures(1) + little, 0, 255).astype(np.uint8)
    detector = adapted(method, usual[:20])
    for name, scores in detector.raw_cues(as_batch(usual[20:])).scores.items():
        odd = detector.raw_cues(as_batch(noise(10, size=SIDE))).scores[name]
        assert float(odd.min()) > float(scores.max()), name


def test_in_scoring_grey_surrounds_every_piece_of_the_jigsaw() -> None:
    """Grey is 0 where the network sees it; pieces of 8 pixels lose 2."""
    detector = MultiTask(tasks=("jigsaw",), **TINY).eval()
    seen: list[Tensor] = []
    detector.network.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    detector.raw_cues(as_batch(pictures(2)))
    cells = cut(seen[0], 3).clone()
    assert cells.shape == (3 * 2, 9, 3, 8, 8)
    assert bool(cells[..., 1:7, 1:7].flatten(2).any(dim=2).all())
    cells[..., 1:7, 1:7] = 0
    assert not bool(cells.any())
