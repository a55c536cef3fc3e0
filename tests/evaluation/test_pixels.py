from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from oddlens.errors import DataError, UsageError
from oddlens.evaluation.pixels import (
    MapAndMask,
    PixelMetrics,
    pixel_metrics,
    read_pixels,
    region_weights,
    resize_map,
    sort_keys,
)

FEW: NDArray[np.float32] = np.array([-2.5, -0.0, 0.0, 0.1, 1.0, 1e6], dtype=np.float32)


def flood_fill_regions(mask: NDArray[np.bool_]) -> list[set[tuple[int, int]]]:
    """8-connected regions by flood fill: nothing shared with the code under test."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    regions = []
    while left:
        region, todo = set(), [left.pop()]
        while todo:
            y, x = todo.pop()
            region.add((y, x))
            for near in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    todo.append(near)
        regions.append(region)
    return regions


def brute_force_aupro(pairs: Sequence[MapAndMask], limit: float = 0.3) -> float:
    """The definition: for every threshold the mean overlap of the regions, then the integral."""
    masks = [np.zeros(m.shape, bool) if mask is None else mask for m, mask in pairs]
    regions = [
        (number, region) for number, mask in enumerate(masks) for region in flood_fill_regions(mask)
    ]
    normals = sum(int((~mask).sum()) for mask in masks)
    points = [(0.0, 0.0)]
    for threshold in sorted({float(v) for m, _ in pairs for v in m.ravel()}, reverse=True):
        flagged = [m >= threshold for m, _ in pairs]
        false = sum(int((f & ~mask).sum()) for f, mask in zip(flagged, masks, strict=True))
        overlaps = [sum(flagged[i][p] for p in region) / len(region) for i, region in regions]
        points.append((false / normals, float(np.mean(overlaps))))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 >= limit:
            break
        end = min(x1, limit)
        y_end = y1 if x1 == x0 else y0 + (y1 - y0) * (end - x0) / (x1 - x0)
        area += (end - x0) * (y0 + y_end) / 2
    return area / limit


def pooled(pairs: Sequence[MapAndMask]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    values = np.concatenate([m.ravel() for m, _ in pairs])
    truth = np.concatenate(
        [np.zeros(m.size, bool) if mask is None else mask.ravel() for m, mask in pairs]
    )
    return values, truth


def random_pairs(
    seed: int, count: int = 4, size: int = 9, ties: bool = True, share: float = 0.3
) -> list[MapAndMask]:
    rng = np.random.default_rng(seed)
    pairs: list[MapAndMask] = []
    for index in range(count):
        shape = (size, size + index)
        mask = rng.random(shape) < share
        values = rng.choice(FEW, shape) if ties else rng.normal(size=shape).astype(np.float32)
        values = (values + mask * np.float32(rng.choice([0, 0.5]))).astype(np.float32)
        pairs.append((values, None if index % 3 == 2 else mask))
    return pairs


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_scikit_learn_and_with_the_definition(seed: int, ties: bool) -> None:
    pairs = random_pairs(seed, ties=ties)
    result = pixel_metrics(pairs)
    values, truth = pooled(pairs)
    assert result.auroc == pytest.approx(roc_auc_score(truth, values), abs=1e-12)
    assert result.ap == pytest.approx(average_precision_score(truth, values), abs=1e-12)
    assert result.aupro == pytest.approx(brute_force_aupro(pairs), abs=1e-12)
    assert (result.n_anomalous, result.n_normal) == (truth.sum(), (~truth).sum())


@pytest.mark.parametrize("limit", [0.01, 0.05, 0.5, 1.0])
def test_aupro_at_other_limits(limit: float) -> None:
    for ties in (True, False):
        pairs = random_pairs(7, ties=ties)
        expected = brute_force_aupro(pairs, limit)
        assert pixel_metrics(pairs, fpr_limit=limit).aupro == pytest.approx(expected, abs=1e-12)


def same(a: PixelMetrics, b: PixelMetrics) -> None:
    assert (a.auroc, a.ap, a.aupro) == pytest.approx((b.auroc, b.ap, b.aupro), abs=1e-13)
    assert (a.n_normal, a.n_anomalous, a.n_regions) == (b.n_normal, b.n_anomalous, b.n_regions)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10**6),
    st.booleans(),
    st.sampled_from([1, 2, 5, 17, 60, 200]),
    st.sampled_from([1.0, 1e-3, -1e5]),
)
def test_bounded_memory_gives_the_same_numbers(
    seed: int, ties: bool, max_pixels: int, scale: float
) -> None:
    pairs: list[MapAndMask] = [
        (m * np.float32(scale), mask) for m, mask in random_pairs(seed, ties=ties)
    ]
    same(pixel_metrics(pairs, max_pixels=max_pixels), pixel_metrics(pairs))


def test_bounded_memory_holds_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    from oddlens.evaluation import pixels

    sizes = []
    merge: Callable[..., Any] = pixels._merge

    def spy(keys: NDArray[np.uint32], *rest: object) -> Any:
        sizes.append((keys.size, len(set(keys.tolist()))))
        return merge(keys, *rest)

    monkeypatch.setattr(pixels, "_merge", spy)
    # A narrow range of values: all within one bin of the upper 16 bits, so the lower ones cut.
    rng = np.random.default_rng(0)
    pairs: list[MapAndMask] = [
        (rng.uniform(1000, 1000.5, (20, 20)).astype(np.float32), rng.random((20, 20)) < 0.4)
        for _ in range(5)
    ]
    bounded = pixel_metrics(pairs, max_pixels=50)
    assert max(held for held, distinct in sizes if distinct > 1) <= 50
    monkeypatch.undo()
    same(bounded, pixel_metrics(pairs))


def test_constant_maps_are_chance() -> None:
    mask = np.zeros((8, 8), bool)
    mask[2:4, 2:5] = True
    pairs: list[MapAndMask] = [(np.full((8, 8), 3.0, np.float32), mask)] * 3
    for max_pixels in (1, 100):
        result = pixel_metrics(pairs, max_pixels=max_pixels)
        assert result.auroc == 0.5
        assert result.ap == pytest.approx(6 / 64)
        assert result.aupro == pytest.approx(0.15)


def test_an_image_may_be_anomalous_all_over() -> None:
    rng = np.random.default_rng(0)
    pairs: list[MapAndMask] = [
        (rng.normal(size=(5, 5)).astype(np.float32), np.full((5, 5), whole))
        for whole in (True, False, True)
    ]
    values, truth = pooled(pairs)
    result = pixel_metrics(pairs)
    assert result.auroc == pytest.approx(roc_auc_score(truth, values), abs=1e-12)
    assert result.aupro == pytest.approx(brute_force_aupro(pairs), abs=1e-12)


def test_a_perfect_and_a_reversed_map() -> None:
    mask = np.zeros((6, 6), bool)
    mask[1:3, 1:3] = mask[5, 5] = True
    values = mask.astype(np.float32)
    best = pixel_metrics([(values, mask)])
    assert (best.auroc, best.ap, best.aupro, best.n_regions) == (1.0, 1.0, 1.0, 2)
    worst = pixel_metrics([(-values, mask)])
    assert (worst.auroc, worst.aupro) == (0.0, 0.0)


def test_small_regions_count_as_much_as_large_ones() -> None:
    mask = np.zeros((20, 20), bool)
    mask[0:10, 0:10] = True
    mask[15, 15] = True
    found_large = np.zeros((20, 20), np.float32)
    found_large[0:10, 0:10] = 1
    # One of two regions found at FPR 0, the other in the tie of all the rest.
    assert pixel_metrics([(found_large, mask)]).aupro == pytest.approx(0.5 + 0.5 * 0.15)
    assert pixel_metrics([(found_large, mask)]).auroc > 0.99


def test_large_values_are_not_squashed() -> None:
    values = np.array([[-1e6, -1e6 + 1, 1e6, 1e6 + 1]], np.float32)
    mask = np.array([[False, True, False, True]])
    assert pixel_metrics([(values, mask)]).auroc == 0.75


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_properties(seed: int, ties: bool) -> None:
    pairs = random_pairs(seed, ties=ties)
    result = pixel_metrics(pairs)
    ranked: list[MapAndMask] = []
    order = np.unique(np.concatenate([m.ravel() for m, _ in pairs]))
    for m, mask in pairs:
        ranked.append((np.exp(np.searchsorted(order, m) / 50).astype(np.float32), mask))
    same(pixel_metrics(ranked), result)
    negated = pixel_metrics([(-m, mask) for m, mask in pairs])
    assert negated.auroc == pytest.approx(1 - result.auroc, abs=1e-12)
    same(pixel_metrics(pairs[::-1]), result)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2))
def test_keys_keep_the_order(numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)
    keys = sort_keys(values)
    assert np.array_equal(keys[:-1] < keys[1:], values[:-1] < values[1:])
    assert np.array_equal(keys[:-1] == keys[1:], values[:-1] == values[1:])


def test_diagonal_neighbours_are_one_region() -> None:
    mask = np.array([[1, 0, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]], bool)
    weights, regions = region_weights(mask)
    assert regions == 2
    assert weights.tolist() == [0.5, 0.5, 0.5, 0.5]


@pytest.mark.parametrize("size", [(19, 23), (7, 40), (10, 8)])
def test_upsampling_is_bilinear_with_aligned_pixel_centres(size: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(0, 100, (7, 8)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], size=size, mode="bilinear", align_corners=False
    )[0, 0].numpy()
    np.testing.assert_allclose(resize_map(values, size), expected, atol=1e-3)


def test_upsampling_makes_no_order_where_there_is_none() -> None:
    for value in (0.1, -3.3e5, 1e-20):
        flat = np.full((7, 9), value, np.float32)
        assert np.unique(resize_map(flat, (200, 301))).tolist() == [np.float32(value)]


def test_metrics_are_computed_at_the_masks_size() -> None:
    mask = np.zeros((16, 24), bool)
    mask[3:9, 4:11] = True
    coarse = np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)
    fine = resize_map(coarse, (16, 24))
    assert fine.shape == (16, 24)
    normal: MapAndMask = (coarse, None)
    same(pixel_metrics([(coarse, mask), normal]), pixel_metrics([(fine, mask), normal]))
    assert read_pixels([normal], 0).normal.size == 24


def test_progress_ends_at_its_total() -> None:
    calls: list[tuple[str, int, int]] = []
    pixel_metrics(random_pairs(0), max_pixels=30, progress=lambda *call: calls.append(call))
    assert {phase for phase, _, _ in calls} == {"pixel metrics"}
    assert calls[-1][1] == calls[-1][2]
    assert all(a[1] < b[1] for a, b in pairwise(calls))


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    pairs = random_pairs(0)
    pairs[1][0][3, 3] = bad
    with pytest.raises(DataError, match="map 1 has NaN or infinite values"):
        pixel_metrics(pairs)


def test_malformed_input_is_refused() -> None:
    values, mask = random_pairs(0)[0]
    with pytest.raises(DataError, match="no anomalous ones"):
        pixel_metrics([(values, None)])
    with pytest.raises(DataError, match="no anomalous ones"):
        pixel_metrics([])
    with pytest.raises(DataError, match="no normal ones"):
        pixel_metrics([(values, np.ones(values.shape, bool))])
    with pytest.raises(DataError, match="float64"):
        pixel_metrics([(values.astype(np.float64), mask)])
    with pytest.raises(DataError, match="mask 0 is uint8"):
        pixel_metrics([(values, mask.astype(np.uint8))])  # type: ignore[union-attr]
    with pytest.raises(DataError, match="shape"):
        pixel_metrics([(values[None], mask)])
    with pytest.raises(UsageError, match="fpr_limit"):
        pixel_metrics([(values, mask)], fpr_limit=0.0)
    with pytest.raises(UsageError, match="max_pixels"):
        pixel_metrics([(values, mask)], max_pixels=0)
