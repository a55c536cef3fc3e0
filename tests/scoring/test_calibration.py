"""Conformal calibration: the guarantee, the thresholds, and what they say about themselves."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlens.errors import ArtifactError, DataError, UsageError
from oddlens.scoring import Calibration

FINITE = st.floats(allow_nan=False, allow_infinity=False)
# Few distinct values, so that ties are common; and all floats, so that extremes are met.
SCORE = st.one_of(st.sampled_from([0.0, -0.0, 1.0, 2.0, 0.1 + 0.2, 0.3]), FINITE)
SCORES = st.lists(SCORE, min_size=1, max_size=40)
RATE = st.one_of(
    st.floats(min_value=1e-6, max_value=1, exclude_max=True),
    st.sampled_from([0.01, 0.05, 0.07, 0.1, 0.29, 0.5, 0.57, 1 / 3]),
)


@given(SCORES, SCORES)
def test_p_values_are_the_count_of_the_definition(held_out: list[float], new: list[float]) -> None:
    expected = [(1 + sum(h >= s for h in held_out)) / (len(held_out) + 1) for s in new]
    assert Calibration(np.array(held_out)).p_values(new).tolist() == expected


@given(SCORES, SCORES)
def test_p_values_never_contradict_the_scores(held_out: list[float], new: list[float]) -> None:
    ranked = sorted(new)
    p_values = Calibration(np.array(held_out)).p_values(ranked)
    assert (np.diff(p_values) <= 0).all()


@given(SCORES, SCORES, RATE)
def test_flagged_if_and_only_if_the_p_value_is_small(
    held_out: list[float], new: list[float], rate: float
) -> None:
    calibration = Calibration(np.array(held_out))
    threshold = calibration.threshold(rate)
    asked = [*new, *held_out, threshold.value, math.nextafter(threshold.value, math.inf)]
    asked = [score for score in asked if math.isfinite(score)]
    flagged = threshold.flags(asked)
    assert flagged.tolist() == (calibration.p_values(asked) <= threshold.guaranteed).tolist()


@pytest.mark.parametrize("count", [1, 2, 3, 48, 98, 99, 100, 6, 28, 1000])
@pytest.mark.parametrize("rate", [0.01, 0.02, 0.07, 0.1, 0.29, 0.5, 0.57, 0.58, 0.999])
def test_the_equivalence_holds_at_every_rank(count: int, rate: float) -> None:
    calibration = Calibration(np.arange(count, dtype=float))
    threshold = calibration.threshold(rate)
    asked = np.arange(-1, 2 * count + 1) / 2
    expected = calibration.p_values(asked) <= threshold.guaranteed
    assert (threshold.flags(asked) == expected).all()
    assert expected.any()
    assert not expected.all()


@given(st.lists(SCORE, min_size=2, max_size=25), RATE)
def test_the_guarantee_exactly(scores: list[float], rate: float) -> None:
    """Exchangeable: each of the n + 1 images is equally likely to be the new one.

    So the false-alarm probability, given the multiset of scores, is the share of images that are
    flagged when calibrated on all the others. It holds for every multiset, ties or not.
    """
    alarms = 0
    for i, new in enumerate(scores):
        threshold = Calibration(np.array(scores[:i] + scores[i + 1 :])).threshold(rate)
        alarms += int(threshold.flags(new))
    k = max(1, sum(i / len(scores) <= rate for i in range(1, len(scores))))
    assert threshold.guaranteed == k / len(scores)
    assert alarms <= k
    if len(set(scores)) == len(scores):
        assert alarms == k


@pytest.mark.parametrize(("count", "rate"), [(19, 0.1), (49, 0.06), (5, 0.01)])
def test_the_guarantee_by_simulation(count: int, rate: float) -> None:
    generator = np.random.default_rng(7)
    trials, alarms = 20_000, 0
    draws = generator.gamma(0.5, size=(trials, count + 1))  # Skewed, far from normal.
    for draw in draws:
        threshold = Calibration(draw[:-1]).threshold(rate)
        alarms += int(threshold.flags(draw[-1]))
    guaranteed = threshold.guaranteed
    four_sigma = 4 * math.sqrt(guaranteed * (1 - guaranteed) / trials)
    assert alarms / trials == pytest.approx(guaranteed, abs=four_sigma)


def test_a_tie_is_no_alarm() -> None:
    calibration = Calibration(np.array([1.0, 2.0, 2.0, 2.0]))
    assert calibration.p_values([2.0]).tolist() == [4 / 5]
    assert not calibration.threshold(0.2).flags(2.0)
    assert calibration.threshold(0.2).flags(np.nextafter(2.0, 3.0))


@pytest.mark.parametrize(
    ("count", "rate", "guaranteed"),
    [
        (99, 0.01, 0.01),
        (99, 0.29, 0.29),  # 0.29 * 100 is 28.999999999999996 in floats.
        (99, 0.0299, 0.02),
        (100, 0.01, 1 / 101),
        (2, 1 / 3, 1 / 3),
        (5, 1 / 3, 1 / 3),
    ],
)
def test_the_guaranteed_rate(count: int, rate: float, guaranteed: float) -> None:
    threshold = Calibration(np.arange(count, dtype=float)).threshold(rate)
    assert threshold.guaranteed == guaranteed
    assert threshold.guaranteed <= threshold.wanted == rate
    assert threshold.count == count
    assert threshold.message is None


def test_a_small_hold_out_says_what_it_can_guarantee() -> None:
    threshold = Calibration(np.arange(20.0)).threshold(0.01)
    assert threshold.value == 19.0
    assert threshold.guaranteed == 1 / 21
    assert threshold.message == (
        "a false-alarm rate of 0.01 needs 99 held-out normal images and there are 20: "
        "the rate guaranteed instead is 1 in 21 (0.0477)"
    )


@given(st.integers(min_value=1, max_value=300), RATE)
def test_the_message_is_true(count: int, rate: float) -> None:
    threshold = Calibration(np.zeros(count)).threshold(rate)
    assert (threshold.message is None) == (1 / (count + 1) <= rate)
    if threshold.message is not None:
        words = threshold.message.replace(",", "").split()
        needed = int(words[words.index("needs") + 1])
        assert 1 / (needed + 1) <= rate < 1 / needed
        # Who then asks for the rate in the message gets it without a message.
        offered = float(words[-1].strip("()"))
        assert Calibration(np.zeros(count)).threshold(offered).message is None


@pytest.mark.parametrize(("rate", "needed"), [(0.01, 99), (0.05, 19), (0.3, 3), (1e-6, 999_999)])
def test_the_number_of_images_that_a_rate_needs(rate: float, needed: int) -> None:
    assert f"needs {needed:,} held-out" in str(Calibration(np.zeros(1)).threshold(rate).message)


def test_an_absurd_rate_gets_an_answer_too() -> None:
    assert Calibration(np.zeros(5)).threshold(5e-324).guaranteed == 1 / 6
    assert "1 in 6" in str(Calibration(np.zeros(5)).threshold(5e-324).message)


def test_pixel_threshold_comes_from_the_peaks() -> None:
    calibration = Calibration(np.arange(9.0), map_peaks=np.array([5.0, 1, 9, 2, 3, 4, 6, 7, 8]))
    threshold = calibration.pixel_threshold(0.2)
    assert (threshold.value, threshold.guaranteed) == (8.0, 0.2)
    pixels = np.array([[8, 9], [1, np.nextafter(np.float32(8), np.float32(9))]], dtype=np.float32)
    assert threshold.flags(pixels).tolist() == [[False, True], [False, True]]
    with pytest.raises(UsageError, match="gives no maps"):
        Calibration(np.arange(9.0)).pixel_threshold(0.2)


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, math.nan, math.inf])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="out of range: give one between 0 and 1"):
        Calibration(np.arange(3.0)).threshold(rate)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(DataError, match="1 of 2 scores are not finite"):
        Calibration(np.array([0.0, bad]))
    with pytest.raises(DataError, match=r"maps of the held-out.*not finite"):
        Calibration(np.array([0.0]), map_peaks=np.array([bad]))
    with pytest.raises(DataError, match="not finite"):
        Calibration(np.array([0.0])).p_values([bad])


def test_no_held_out_image_and_wrong_shapes_are_refused() -> None:
    with pytest.raises(DataError, match="no held-out normal image"):
        Calibration(np.array([]))
    with pytest.raises(UsageError, match=r"shape \(2, 2\)"):
        Calibration(np.zeros((2, 2)))


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(UsageError, match="scores: expected a list of numbers"):
        Calibration(np.zeros(1)).p_values(["high"])


def test_zeros_of_both_signs_keep_their_places() -> None:
    zeros = np.array([0.0, -0.0] * 50)
    assert Calibration(zeros).scores.tobytes() == zeros.tobytes()


def test_the_calibration_cannot_be_changed_from_outside() -> None:
    given_scores = np.array([2.0, 1.0])
    calibration = Calibration(given_scores)
    given_scores[0] = 9.0
    assert calibration.scores.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        calibration.scores[0] = 3.0


@given(SCORES, st.none() | SCORES)
def test_json_round_trip_is_exact(scores: list[float], peaks: list[float] | None) -> None:
    calibration = Calibration(np.array(scores), None if peaks is None else np.array(peaks))
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json(), allow_nan=False)))
    assert again.scores.tobytes() == calibration.scores.tobytes()
    assert again.to_json() == calibration.to_json()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"scores": [], "map_peaks": None},
        {"scores": [math.nan], "map_peaks": None},
        {"scores": ["1"], "map_peaks": None},
        {"scores": [1.0], "map_peaks": None, "more": 1},
    ],
)
def test_damaged_json_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="calibration is damaged"):
        Calibration.from_json(data)
