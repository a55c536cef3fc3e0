"""The plots of the report: axes that keep the order, bars that count every image."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlens.report.gallery import choose
from oddlens.report.plots import Group, ScoreAxis, histogram, roc
from oddlens.report.words import at_most_percent, number, percent, score_text


@given(
    scores=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60).map(np.array),
    threshold=st.floats(-1e6, 1e6),
)
def test_axis_keeps_the_order_and_holds_everything(scores: np.ndarray, threshold: float) -> None:
    axis = ScoreAxis.of(scores, threshold, scores > threshold)
    places = [axis.place(s) for s in np.sort(scores)]
    assert places == sorted(places)
    assert all(0 <= place <= 1 for place in places)
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks())
    edges = axis.edges(32)
    assert edges[0] <= min(scores.min(), threshold)
    assert edges[-1] >= max(scores.max(), threshold)


def test_gross_defects_do_not_squeeze_normal_images_into_one_bar() -> None:
    normal = np.random.default_rng(0).normal(0, 1, 200)
    scores = np.concatenate([normal, [400.0, 900.0]])
    axis = ScoreAxis.of(scores, 2.5, scores > 2.5)
    assert axis.unit > 0
    used = np.histogram(normal, axis.edges(32))[0]
    assert (used > 0).sum() >= 6
    assert 0.0 in axis.ticks()


def test_bars_count_every_image() -> None:
    scores = np.random.default_rng(0).normal(0, 1, 137)
    axis = ScoreAxis.of(scores, 1.0, scores > 1.0)
    svg = histogram([Group("images", "cool", scores)], axis, 1.0, shares=False)
    counts = [int(n) for n in re.findall(r"<title>images: (\d+) from", svg)]
    assert sum(counts) == 137


@pytest.mark.parametrize("scores", [[], [1.0], [2.0, 2.0], [math.inf, 0.0, 1.0]])
def test_odd_scores_still_make_a_plot(scores: list[float]) -> None:
    values = np.array(scores)
    axis = ScoreAxis.of(values, math.inf, values > math.inf)
    svg = histogram([Group("images", "cool", values)], axis, math.inf, shares=True)
    assert "nan" not in svg
    assert 'class="cut"' not in svg


def test_roc_ends_in_the_corners_and_marks_the_threshold() -> None:
    svg = roc(np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.8, 1.0]), (0.25, 0.8))
    assert "80% found, 25% false alarms" in svg
    points = re.search(r'class="curve" d="M([^"]*)"', svg)
    assert points is not None
    corners = points[1].split("L")
    assert corners[0] == "44.0 230.0"
    assert corners[-1] == "448.0 26.0"


def test_choose_shows_all_when_they_fit_and_never_more_than_asked() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=300)
    wrong = rng.random(300) < 0.2
    assert choose(scores, wrong, 300) == np.argsort(-scores, kind="stable").tolist()
    for most in (1, 2, 3, 4, 7, 40, 299):
        chosen = choose(scores, wrong, most)
        assert 1 <= len(chosen) <= most
        assert len(set(chosen)) == len(chosen)
        assert chosen[0] == int(np.argmax(scores))
        assert (np.diff(scores[chosen]) <= 0).all()


@given(st.floats(1e-6, 1.0))
def test_a_guarantee_is_never_rounded_down(share: float) -> None:
    shown = float(at_most_percent(share).rstrip("%")) / 100
    assert share * (1 - 1e-6) <= shown <= share * 1.011


def test_numbers_in_words() -> None:
    assert number(-3.25) == "−3.25"
    assert number(math.inf) == "∞"
    assert score_text(61.0) == "61.00"
    assert score_text(12345.6) == "1.235e+04"
    assert percent(0.99999) == "> 99.9%"
    assert at_most_percent(1 / 43) == "2.33%"
