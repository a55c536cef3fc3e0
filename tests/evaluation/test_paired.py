"""Paired statistics, each against another way to the same number."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import f_oneway, norm

from oddlens.errors import DataError, UsageError
from oddlens.evaluation.metrics import auroc
from oddlens.evaluation.paired import delong_paired, holm, seed_noise

Floats = np.typing.NDArray[np.float64]


def two(rng: np.random.Generator, m: int, n: int, ties: bool) -> tuple[Floats, Floats, Floats]:
    """Scores of two correlated detectors, and the labels."""
    labels = np.repeat([1.0, 0.0], [m, n])
    shared = rng.normal(size=m + n)
    scores = [shared + rng.normal(size=m + n) + better * labels for better in (0.8, 1.4)]
    if ties:
        scores = [np.round(each) for each in scores]
    return scores[0], scores[1], labels


def by_the_book(first: Floats, second: Floats, labels: Floats) -> tuple[float, float]:
    """DeLong et al. 1988, equations 4 to 7, with every pair of images gone through."""
    structures = []
    for scores in (first, second):
        x, y = scores[labels == 1][:, None], scores[labels == 0][None, :]
        psi = (x > y) + 0.5 * (x == y)
        structures.append((psi.mean(axis=1), psi.mean(axis=0)))
    (v10, v01), (w10, w01) = structures
    m, n = len(v10), len(v01)
    variance = np.var(w10 - v10, ddof=1) / m + np.var(w01 - v01, ddof=1) / n
    difference = float(w10.mean() - v10.mean())
    if variance == 0:
        return difference, float("nan")
    return difference, float(2 * norm.sf(abs(difference) / np.sqrt(variance)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 30), st.integers(3, 30), st.booleans())
def test_delong_is_the_published_formula(seed: int, m: int, n: int, ties: bool) -> None:
    first, second, labels = two(np.random.default_rng(seed), m, n, ties)
    found = delong_paired(first, second, labels)
    difference, p_value = by_the_book(first, second, labels)
    assert found.difference == pytest.approx(difference, abs=1e-9)
    assert found.difference == pytest.approx(auroc(second, labels) - auroc(first, labels))
    if np.isfinite(p_value):
        assert found.p_value == pytest.approx(p_value, abs=1e-6)
    turned = delong_paired(second, first, labels)
    assert turned.p_value == pytest.approx(found.p_value, abs=1e-9)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-9)


def test_the_interval_is_that_of_a_paired_bootstrap() -> None:
    rng = np.random.default_rng(3)
    first, second, labels = two(rng, 150, 200, ties=False)
    found = delong_paired(first, second, labels)
    kinds = [np.flatnonzero(labels == kind) for kind in (1, 0)]
    drawn = []
    for _ in range(1500):
        at = np.concatenate([rng.choice(each, len(each)) for each in kinds])
        drawn.append(auroc(second[at], labels[at]) - auroc(first[at], labels[at]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    assert found.low == pytest.approx(low, abs=0.012)
    assert found.high == pytest.approx(high, abs=0.012)
    assert found.low < found.difference < found.high


def test_the_same_ranking_differs_in_nothing() -> None:
    rng = np.random.default_rng(0)
    first, _, labels = two(rng, 20, 30, ties=False)
    found = delong_paired(first, np.exp(first), labels)
    assert (found.difference, found.p_value) == (0.0, 1.0)
    right = np.repeat([1.0, 0.0], 5)
    assert delong_paired(-right, right, right).p_value == 0.0


def test_where_neither_is_better_p_is_uniform() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([1.0, 0.0], 40)
    p_values = []
    for _ in range(400):
        shared = rng.normal(size=80) + labels
        first, second = shared + rng.normal(size=80), shared + rng.normal(size=80)
        p_values.append(delong_paired(first, second, labels).p_value)
    # Binomial(400, 0.1) has a standard deviation of 0.015 as a share.
    assert np.mean(np.array(p_values) < 0.1) == pytest.approx(0.1, abs=0.05)


def test_mistakes() -> None:
    with pytest.raises(DataError, match="two images of either kind"):
        delong_paired([1, 2, 3], [1, 2, 3], [1, 0, 0])
    for other in ([1, 2, 3], [[1, 2], [3, 4]]):
        with pytest.raises(DataError, match="of the same images"):
            delong_paired([1, 2, 3, 4], other, [1, 1, 0, 0])
    with pytest.raises(UsageError, match="confidence"):
        delong_paired([1, 2, 3, 4], [1, 2, 3, 4], [1, 1, 0, 0], confidence=1)


# --- many tests -------------------------------------------------------------------------------


def closed(p_values: list[float]) -> list[float]:
    """Holm's method is the closed testing of Bonferroni's: every set that holds one is rejected."""
    places = range(len(p_values))
    sets = [each for size in places for each in combinations(places, size + 1)]
    return [
        max(min(1.0, len(each) * min(p_values[at] for at in each)) for each in sets if one in each)
        for one in places
    ]


@given(st.lists(st.floats(0, 1), max_size=7))
def test_holm_is_closed_testing(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(closed(p_values))


# --- seeds ------------------------------------------------------------------------------------


def test_the_split_agrees_with_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    values = 0.8 + 0.05 * rng.normal(size=(6, 1)) + 0.02 * rng.normal(size=(6, 4))
    found = seed_noise({str(at): dict(enumerate(row)) for at, row in enumerate(values.tolist())})
    assert found is not None
    # scipy's F is the mean square between classes over that within.
    f = float(f_oneway(*values).statistic)
    within = float(values.var(axis=1, ddof=1).mean())
    assert found.seed_deviation**2 == pytest.approx(within)
    assert found.class_deviation**2 == pytest.approx((f - 1) * within / 4)
    assert found.mean_error == pytest.approx((within / 24) ** 0.5)
    assert found.classes == 6


def test_the_split_finds_what_made_the_values() -> None:
    rng = np.random.default_rng(5)
    made = {
        str(at): {seed: base + 0.02 * float(rng.normal()) for seed in range(2 + at % 4)}
        for at, base in enumerate(0.05 * rng.normal(size=800))
    }
    found = seed_noise(made)
    assert found is not None
    assert found.seed_deviation == pytest.approx(0.02, rel=0.05)
    assert found.class_deviation == pytest.approx(0.05, rel=0.1)


def test_classes_of_one_seed_tell_nothing() -> None:
    assert seed_noise({"a": {0: 0.5}, "b": {0: 0.6}}) is None
    found = seed_noise({"a": {0: 0.5, 1: 0.7}, "b": {0: 0.6}})
    assert found is not None
    # By hand: deviations of 0.1, squares of 0.02 over one degree of freedom.
    assert (found.classes, found.class_deviation) == (1, 0.0)
    assert found.seed_deviation == pytest.approx(0.02**0.5)
    # The mean over both: a is known to 0.02 / 2, and b to 0.02.
    assert found.mean_error == pytest.approx((0.02 / 2 + 0.02) ** 0.5 / 2)


def test_the_error_of_the_mean_is_its_deviation_over_trainings() -> None:
    rng = np.random.default_rng(2)
    seeds = {"a": 3, "b": 2, "c": 1, "d": 1}
    means, told = [], []
    for _ in range(4000):
        drawn = {name: dict(enumerate(rng.normal(size=size))) for name, size in seeds.items()}
        means.append(np.mean([np.mean(list(each.values())) for each in drawn.values()]))
        found = seed_noise(drawn)
        assert found is not None
        told.append(found.mean_error**2)
    assert np.mean(told) == pytest.approx(np.var(means), rel=0.1)
