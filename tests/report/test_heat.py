"""One colour scale for all maps, and outlines that enclose exactly what exceeds a threshold."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.path import Path as Polygon

from oddlens.report.heat import HeatScale, outline


def _enclosed(path: str, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Cells whose centre is inside the SVG path, by the even-odd rule."""
    height, width = shape
    y, x = np.mgrid[:height, :width]
    centres = np.stack([(x.ravel() + 0.5) * 1000 / width, (y.ravel() + 0.5) * 1000 / height], 1)
    inside = np.zeros(len(centres), dtype=bool)
    for part in re.findall(r"M([^Z]*)Z", path):
        corners = [[float(v) for v in point.split()] for point in part.split("L")]
        inside ^= Polygon([*corners, corners[0]]).contains_points(centres)
    return inside.reshape(shape)


# Multiples of 1/4 keep every value far enough from the threshold for one decimal in the path.
_maps = arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.integers(-8, 8).map(lambda k: k / 4 + 0.125),
)


@given(values=_maps, threshold=st.integers(-8, 8).map(lambda k: k / 4))
@settings(max_examples=150, deadline=None)
def test_outline_encloses_exactly_what_is_above(
    values: npt.NDArray[np.float32], threshold: float
) -> None:
    path = outline(values, threshold)
    np.testing.assert_array_equal(_enclosed(path, values.shape), values > threshold)


def test_outline_has_no_curve_where_the_threshold_is_only_reached() -> None:
    assert outline(np.full((5, 5), 2.0), 2.0) == ""
    assert outline(np.full((5, 5), np.nan), 2.0) == ""


def test_outline_of_everything_runs_along_the_border() -> None:
    corners = {float(v) for v in re.findall(r"[\d.]+", outline(np.ones((4, 8)), 0.0))}
    assert min(corners) == 0
    assert max(corners) == 1000


def test_a_reduced_map_loses_nothing_above_the_threshold() -> None:
    values = np.zeros((1000, 700))
    values[613, 333] = 1
    path = outline(values, 0.5, most=100)
    enclosed = _enclosed(path, (100, 100))
    assert enclosed.sum() == 1
    assert enclosed[61, 333 * 100 // 700]


def test_a_map_that_is_noise_gets_a_coarse_outline_of_bounded_length() -> None:
    values = np.random.default_rng(0).integers(0, 30, size=(128, 128)) == 0
    assert len(outline(values[:, :96].astype(float), 0.5)) > 15_000
    path = outline(values.astype(float), 0.5)
    assert len(path) <= 24_000
    blocks = values.reshape(64, 2, 64, 2).max(axis=(1, 3))
    np.testing.assert_array_equal(_enclosed(path, (64, 64)), blocks)
    everywhere = np.random.default_rng(0).random((128, 128))
    assert 0 < len(outline(everywhere, 0.5)) <= 24_000


scales = st.tuples(st.floats(-10, 10), st.floats(0.01, 10), st.floats(0, 1e4)).map(
    lambda t: HeatScale.anchored([t[0]], [t[0] + t[1] + t[2]], t[0] + t[1])
)


@given(scale=scales, values=arrays(np.float64, 30, elements=st.floats(-1e5, 1e5)))
def test_levels_keep_the_order_and_cross_one_half_at_the_threshold(
    scale: HeatScale, values: npt.NDArray[np.float64]
) -> None:
    ordered = np.sort(values)
    levels = scale.levels(ordered)
    assert (np.diff(levels) >= 0).all()
    assert (levels >= 0).all()
    assert (levels <= 1).all()
    np.testing.assert_allclose(scale.levels(np.array([scale.calm, scale.top])), [0, 1], atol=1e-9)
    np.testing.assert_allclose(scale.levels(np.array([scale.threshold])), 0.5, atol=1e-9)
    assert (levels[ordered <= scale.threshold] <= 0.5 + 1e-9).all()


def test_normal_maps_stay_clear_and_defects_are_opaque() -> None:
    scale = HeatScale.anchored([0.2, 0.3], [5.0], 1.0)
    paint = scale.paint(np.array([[0.1, 0.25, 0.4, 0.99, 1.2, 5.0, np.nan]]))
    opacity = paint[0, :, 3].astype(float) / 255
    assert (opacity[:3] == 0).all()
    assert opacity[3] < 0.5 < opacity[4] < opacity[5]
    assert opacity[6] == 0


def test_scale_survives_maps_that_are_all_above_the_threshold() -> None:
    scale = HeatScale.anchored([7.0], [7.0], 3.0)
    assert scale.calm < scale.threshold < scale.top
    assert (scale.levels(np.array([[7.0]])) > 0.5).all()
