"""The module that a graph is drawn from says what the detector says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from oddlens.detector import Detector
from oddlens.ensemble import Ensemble
from oddlens.errors import UsageError
from oddlens.export.graph import Graph
from oddlens.images.prepare import squash, to_tensor
from oddlens.scoring import Scored
from tests.export.models import MODELS, fitted, odd_pictures


def squashed(count: int, sizes: list[int]) -> dict[int, np.ndarray]:
    made = odd_pictures(count, seed=7)
    return {size: np.stack([squash(each, size) for each in made]) for size in sizes}


def scored(detector: Detector, views: dict[int, np.ndarray]) -> Scored:
    tensors = {size: to_tensor(each.copy()) for size, each in views.items()}
    if isinstance(detector, Ensemble):
        return detector.scored_views(tensors)
    return detector.scored(tensors[detector.config.image_size])


def answers(graph: Graph, views: dict[int, np.ndarray]) -> list[np.ndarray]:
    with torch.inference_mode():
        found: tuple[Tensor, ...] = graph(*(torch.from_numpy(views[s]) for s in graph.sizes))
    return [each.numpy() for each in found]


@pytest.mark.parametrize("name", MODELS)
def test_it_says_what_the_detector_says(name: str) -> None:
    detector = fitted(name)
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    graph = Graph(detector).eval()
    assert detector.calibration is not None
    for count in (1, 5):
        views = squashed(count, graph.sizes)
        wanted = scored(detector, views)
        score, p_values, cues, *maps = answers(graph, views)
        assert score.dtype == p_values.dtype == cues.dtype == np.float64
        assert np.allclose(score, wanted.scores, rtol=1e-5, atol=1e-6)
        assert np.array_equal(p_values, detector.calibration.p_values(wanted.scores))
        for column, cue in zip(cues.T, wanted.cues.values(), strict=True):
            assert np.allclose(column, cue, rtol=1e-5, atol=1e-6)
        assert [each is not None for each in maps] == [True] * (wanted.maps is not None)
        if wanted.maps is not None:
            assert maps[0].dtype == np.float32
            assert np.allclose(maps[0], wanted.maps, rtol=1e-4, atol=1e-4)
    after = detector.state_dict()  # drawing leaves the detector as it is
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_only_what_is_fitted_has_a_graph() -> None:
    with pytest.raises(UsageError, match="is not fitted"):
        Graph(MODELS["multitask"]())
