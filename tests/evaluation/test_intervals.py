from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from oddlens.errors import DataError, UsageError
from oddlens.evaluation import intervals
from oddlens.evaluation.intervals import (
    delong_covariance,
    delong_interval,
    image_intervals,
    pixel_intervals,
)
from oddlens.evaluation.metrics import auroc, average_precision, f1_max
from oddlens.evaluation.pixels import MapAndMask, pixel_metrics

Scored = tuple[NDArray[np.float64], NDArray[np.bool_]]


def scored(seed: int, normal: int = 40, anomalous: int = 25, shift: float = 1.0) -> Scored:
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(0, 1, normal), rng.normal(shift, 1, anomalous)])
    return np.round(scores, 1), np.arange(normal + anomalous) >= normal


def definition_of_delong(
    scores: NDArray[np.float64], labels: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Structural components pair by pair, and their covariance written out."""
    detectors = len(scores)
    xs, ys = scores[:, labels], scores[:, ~labels]
    m, n = xs.shape[1], ys.shape[1]
    psi = np.zeros((detectors, m, n))
    for k in range(detectors):
        for i in range(m):
            for j in range(n):
                psi[k, i, j] = float(xs[k, i] > ys[k, j]) + 0.5 * float(xs[k, i] == ys[k, j])
    theta = psi.mean(axis=(1, 2))
    s10 = np.zeros((detectors, detectors))
    s01 = np.zeros((detectors, detectors))
    for r in range(detectors):
        for s in range(detectors):
            for i in range(m):
                s10[r, s] += (psi[r, i].mean() - theta[r]) * (psi[s, i].mean() - theta[s])
            for j in range(n):
                s01[r, s] += (psi[r, :, j].mean() - theta[r]) * (psi[s, :, j].mean() - theta[s])
    return theta, s10 / (m - 1) / m + s01 / (n - 1) / n


@pytest.mark.parametrize("seed", range(3))
def test_delong_agrees_with_its_definition(seed: int) -> None:
    scores, labels = scored(seed, 13, 9)
    rng = np.random.default_rng(seed)
    both = np.stack([scores, scores + np.round(rng.normal(0, 1, scores.size), 1), -scores])
    areas, covariance = delong_covariance(both, labels)
    expected_areas, expected = definition_of_delong(both, labels)
    np.testing.assert_allclose(areas, expected_areas, atol=1e-12)
    np.testing.assert_allclose(areas, [auroc(row, labels) for row in both], atol=1e-12)
    np.testing.assert_allclose(covariance, expected, atol=1e-14)


def test_delong_and_bootstrap_agree_on_large_sets() -> None:
    scores, labels = scored(0, 600, 400)
    delong = delong_interval(scores, labels)
    drawn = image_intervals(scores, labels, replicates=2000)["image_auroc"]
    assert delong == pytest.approx(drawn, abs=0.004)


def test_delong_covers_the_truth_about_as_often_as_it_says() -> None:
    # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2); unrounded scores.
    truth = 0.760249938906523
    rng = np.random.default_rng(5)
    labels = np.arange(120) >= 60
    inside = 0
    for _ in range(400):
        low, high = delong_interval(rng.normal(labels, 1), labels)
        inside += low <= truth <= high
    assert 0.91 <= inside / 400 <= 0.98


def test_delong_needs_two_of_either_kind() -> None:
    with pytest.raises(DataError, match="1 anomalous and 3 normal"):
        delong_interval([0.0, 1.0, 2.0, 3.0], [0, 0, 0, 1])


def test_the_bootstrap_is_that_of_a_plain_loop() -> None:
    scores, labels = scored(3, 30, 20)
    drawn = image_intervals(scores, labels, replicates=4000)
    rng = np.random.default_rng(99)
    loop = []
    for _ in range(600):
        chosen = np.concatenate(
            [rng.choice(np.flatnonzero(labels), 20), rng.choice(np.flatnonzero(~labels), 30)]
        )
        y, s = labels[chosen], scores[chosen]
        loop.append((roc_auc_score(y, s), average_precision_score(y, s), f1_max(s, y)))
    low, high = np.percentile(loop, [2.5, 97.5], axis=0)
    for place, name in enumerate(["image_auroc", "image_ap", "image_f1_max"]):
        assert drawn[name] == pytest.approx((low[place], high[place]), abs=0.02)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 30))
def test_metrics_lie_within_their_intervals(seed: int, normal: int, anomalous: int) -> None:
    scores, labels = scored(seed, normal, anomalous)
    drawn = image_intervals(scores, labels, replicates=50, seed=seed)
    metrics = {"image_auroc": auroc, "image_ap": average_precision, "image_f1_max": f1_max}
    assert drawn.keys() == metrics.keys()
    for name, metric in metrics.items():
        low, high = drawn[name]
        assert 0 <= low <= metric(scores, labels) + 1e-12
        assert metric(scores, labels) - 1e-12 <= high <= 1


def test_the_seed_decides_and_the_chunk_size_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, labels = scored(1)
    once = image_intervals(scores, labels, replicates=300, seed=4)
    assert image_intervals(scores, labels, replicates=300, seed=5) != once
    monkeypatch.setattr(intervals, "_CHUNK", 7 * scores.size)
    assert image_intervals(scores, labels, replicates=300, seed=4) == once


def test_more_confidence_is_a_wider_interval() -> None:
    scores, labels = scored(2)
    narrow = image_intervals(scores, labels, confidence=0.5)["image_auroc"]
    wide = image_intervals(scores, labels, confidence=0.99)["image_auroc"]
    assert wide.low < narrow.low < narrow.high < wide.high


def random_maps(seed: int, count: int = 12, shift: float = 1.0) -> list[MapAndMask]:
    rng = np.random.default_rng(seed)
    pairs: list[MapAndMask] = []
    for index in range(count):
        mask = np.zeros((24, 24), bool)
        if index % 3:
            for _ in range(2):
                y, x = rng.integers(0, 18, 2)
                mask[y : y + rng.integers(2, 6), x : x + rng.integers(2, 6)] = True
        values = rng.normal(rng.normal(0, 0.3), 1, mask.shape) + mask * rng.normal(shift, 0.4)
        pairs.append((values.astype(np.float32), mask if index % 3 else None))
    return pairs


def test_the_pixel_bootstrap_is_that_of_exact_metrics() -> None:
    pairs = random_maps(0)
    point = pixel_metrics(pairs)
    drawn = pixel_intervals(pairs, point, replicates=1500)
    rng = np.random.default_rng(8)
    anomalous = [i for i, (_, mask) in enumerate(pairs) if mask is not None]
    normal = [i for i, (_, mask) in enumerate(pairs) if mask is None]
    loop = []
    for _ in range(400):
        chosen = [*rng.choice(anomalous, len(anomalous)), *rng.choice(normal, len(normal))]
        exact = pixel_metrics([pairs[i] for i in chosen])
        loop.append((exact.auroc, exact.ap, exact.aupro))
    low, high = np.percentile(loop, [2.5, 97.5], axis=0)
    for place, name in enumerate(["pixel_auroc", "pixel_ap", "aupro"]):
        assert drawn[name] == pytest.approx((low[place], high[place]), abs=0.02)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([2, 16, 512]))
def test_pixel_metrics_lie_within_their_intervals(seed: int, thresholds: int) -> None:
    pairs = random_maps(seed, count=5)
    point = pixel_metrics(pairs)
    drawn = pixel_intervals(pairs, point, replicates=40, thresholds=thresholds, seed=seed)
    for name, value in [
        ("pixel_auroc", point.auroc),
        ("pixel_ap", point.ap),
        ("aupro", point.aupro),
    ]:
        assert 0 <= drawn[name].low <= value <= drawn[name].high <= 1


def test_the_pixel_bootstrap_depends_on_its_seed_only(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = random_maps(1)
    point = pixel_metrics(pairs)
    once = pixel_intervals(pairs, point, replicates=100, seed=1)
    assert pixel_intervals(pairs, point, replicates=100, seed=2) != once
    monkeypatch.setattr(intervals, "_CHUNK", 512 * 9)
    again = pixel_intervals(pairs, point, replicates=100, seed=1)
    for name, interval in once.items():
        assert again[name] == pytest.approx(interval, abs=1e-12)


def test_a_perfect_map_has_the_interval_of_one() -> None:
    mask = np.zeros((10, 10), bool)
    mask[2:5, 2:5] = True
    pairs: list[MapAndMask] = [(mask.astype(np.float32), mask)] * 4
    drawn = pixel_intervals(pairs, pixel_metrics(pairs), replicates=20)
    assert all(interval == pytest.approx((1, 1)) for interval in drawn.values())


def test_progress_of_the_pixel_intervals_ends_at_its_total() -> None:
    pairs = random_maps(1, count=4)
    calls: list[tuple[str, int, int]] = []
    point = pixel_metrics(pairs)
    pixel_intervals(pairs, point, replicates=2, progress=lambda *call: calls.append(call))
    assert calls == [("pixel intervals", done, 8) for done in range(1, 9)]


def test_options_out_of_range_are_refused() -> None:
    scores, labels = scored(0)
    pairs = random_maps(0, count=4)
    with pytest.raises(UsageError, match="replicates is 0"):
        image_intervals(scores, labels, replicates=0)
    with pytest.raises(UsageError, match="confidence is 1"):
        delong_interval(scores, labels, confidence=1)
    with pytest.raises(UsageError, match="thresholds is 1"):
        pixel_intervals(pairs, pixel_metrics(pairs), thresholds=1)
