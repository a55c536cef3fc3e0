"""Fusion: monotone, the same for one image as for many, and never silent about bad values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from oddlens.errors import DataError, UsageError
from oddlens.scoring import Fusion, fuse
from oddlens.scoring.tails import log_tails

HOW: list[Fusion] = ["mean", "median", "max", "min"]
ORACLE: dict[str, Callable[..., np.ndarray]] = {
    "mean": np.mean,
    "median": np.median,
    "max": np.max,
    "min": np.min,
}
VALUE = st.floats(min_value=-1e300, max_value=1e300)


def table(max_cues: int = 20, max_images: int = 6) -> st.SearchStrategy[np.ndarray]:
    shape = st.tuples(st.integers(1, max_cues), st.integers(1, max_images))
    return shape.flatmap(lambda size: arrays(np.float64, size, elements=VALUE))


def cues(values: np.ndarray) -> dict[str, np.ndarray]:
    return {f"cue{i}": row for i, row in enumerate(values)}


@pytest.mark.parametrize("how", HOW)
@given(values=table())
def test_it_is_what_its_name_says(how: Fusion, values: np.ndarray) -> None:
    fused = fuse(cues(values), how)
    assert fused.dtype == np.float64
    assert fused.shape == (values.shape[1],)
    # Relative to the largest term: a sum that cancels has no more digits than that.
    tolerance = 1e-13 * np.abs(values).max(axis=0)
    assert (np.abs(fused - ORACLE[how](values, axis=0)) <= tolerance).all()


@pytest.mark.parametrize("how", HOW)
@given(values=table(), data=st.data())
def test_raising_a_cue_never_lowers_the_score(
    how: Fusion, values: np.ndarray, data: st.DataObject
) -> None:
    raised = values.copy()
    cue = data.draw(st.integers(0, len(values) - 1))
    image = data.draw(st.integers(0, values.shape[1] - 1))
    raised[cue, image] = data.draw(st.floats(values[cue, image], 1e300))
    before, after = fuse(cues(values), how), fuse(cues(raised), how)
    assert after[image] >= before[image]
    assert np.delete(after, image).tolist() == np.delete(before, image).tolist()


@pytest.mark.parametrize("how", HOW)
@given(values=table())
def test_an_image_scores_the_same_alone_and_in_any_order_of_cues(
    how: Fusion, values: np.ndarray
) -> None:
    together = fuse(cues(values), how)
    alone = [fuse(cues(values[:, [i]]), how)[0] for i in range(values.shape[1])]
    assert together.tolist() == alone
    backwards = dict(reversed(cues(values).items()))
    assert fuse(backwards, how).tolist() == together.tolist()


@pytest.mark.parametrize("how", HOW)
def test_one_cue_passes_unchanged(how: Fusion) -> None:
    scores = np.array([0.1, -1e300, 5e-324])
    assert fuse({"only": scores}, how).tolist() == scores.tolist()


@pytest.mark.parametrize("how", HOW)
def test_bad_values_are_named(how: Fusion) -> None:
    with pytest.raises(DataError, match=r"cue 'b': 1 of 2 scores are not finite.*number 1: nan"):
        fuse({"a": np.zeros(2), "b": np.array([0, np.nan])}, how)


def test_an_overflow_is_an_error_and_not_infinity() -> None:
    with pytest.raises(DataError, match="mean of the cues"):
        fuse({"a": np.array([1e308]), "b": np.array([1e308])}, "mean")


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(UsageError, match="'sum' is unknown: choose one of mean, median, max, min"):
        fuse({"a": np.zeros(2)}, "sum")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no cue to fuse"):
        fuse({}, "mean")
    with pytest.raises(UsageError, match="'a': 2, 'b': 3"):
        fuse({"a": np.zeros(2), "b": np.zeros(3)}, "mean")


# --- fusions of p-values --------------------------------------------------------------------------

NORMALS = np.random.default_rng(0).normal(size=(2, 200))
REFERENCE = {"a": NORMALS[0], "b": NORMALS[1]}


def test_fisher_and_stouffer_are_those_of_scipy() -> None:
    """Within the range of the held-out values p-values are ranks, and scipy combines them."""
    scores = {"a": np.array([-1.0, 0.5, 1.5]), "b": np.array([0.2, -0.7, 1.1])}
    p_values = [np.exp(log_tails(scores[name], REFERENCE[name])[0]) for name in scores]
    for how in ("fisher", "stouffer"):
        expected = [
            stats.combine_pvalues(each, method=how).statistic for each in np.transpose(p_values)
        ]
        assert np.allclose(fuse(scores, how, REFERENCE), expected)
    smallest = [
        stats.combine_pvalues(each, method="tippett").statistic for each in np.transpose(p_values)
    ]
    assert np.allclose(fuse(scores, "min_p", REFERENCE), -np.log(smallest))


def test_the_smallest_p_value_takes_the_word_of_the_cue_that_objects() -> None:
    scores = {"a": np.array([0.0, 50.0, 50.0]), "b": np.array([90.0, 0.0, 0.5])}
    found = fuse(scores, "min_p", REFERENCE)
    assert found[1] == found[2] == fuse({"a": np.array([50.0])}, "min_p", REFERENCE)[0]
    assert found[0] == fuse({"b": np.array([90.0])}, "min_p", REFERENCE)[0]


@pytest.mark.parametrize("how", ["rank_product", "fisher", "stouffer"])
def test_ranked_fusions_are_monotone_beyond_every_held_out_value(how: Fusion) -> None:
    steps = np.array([-9.0, -1.0, 0.0, 2.0, 5.0, 50.0, 500.0])
    for name, other in (("a", "b"), ("b", "a")):
        found = fuse({name: steps, other: np.zeros(7)}, how, REFERENCE)
        assert (np.diff(found) > 0).all()


def test_the_rank_product_orders_images_as_fisher_does() -> None:
    rng = np.random.default_rng(1)
    scores = {"a": rng.normal(size=50) * 3, "b": rng.normal(size=50) * 3}
    fused = [fuse(scores, how, REFERENCE) for how in ("rank_product", "fisher")]
    assert np.allclose(4 * fused[0], fused[1])


def test_units_do_not_matter_to_ranks() -> None:
    scores = {"a": [0.3, 4.0], "b": [1.0, -3.0]}
    scaled = {name: np.multiply(each, 1000) for name, each in scores.items()}
    reference = {name: each * 1000 for name, each in REFERENCE.items()}
    assert np.allclose(fuse(scores, "fisher", REFERENCE), fuse(scaled, "fisher", reference))


def test_without_held_out_values_a_ranked_fusion_is_refused() -> None:
    with pytest.raises(UsageError, match="fit it with fusion=fisher"):
        fuse({"a": [1.0]}, "fisher", {})
