"""Heat maps: one colour scale for all images, and outlines of what lies above a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# (level, red, green, blue, opacity). Level 0.5 is the pixel threshold. Below it a cool, thin
# haze that vanishes towards the usual level; above it fire: hotter is brighter, so a defect
# glows on dark and stands out by its red rim on light ground. Our choice.
_STOPS = (
    (0.00, 64, 78, 190, 0.00),
    (0.28, 64, 78, 190, 0.00),
    (0.46, 92, 60, 180, 0.26),
    (0.50, 176, 24, 96, 0.50),
    (0.62, 226, 44, 48, 0.74),
    (0.80, 252, 134, 22, 0.86),
    (1.00, 255, 240, 150, 0.94),
)


# The most characters that one outline may take in the page: some hundred separate spots. Beyond
# that the map is noise, and the page would grow by megabytes.
_LONGEST = 24_000


@dataclass(frozen=True)
class HeatScale:
    """The common scale of all heat maps of a report. Our choice.

    A map value becomes a level in [0, 1]: 0 at ``calm``, 1/2 at ``threshold``, 1 at ``top``;
    linear up to the threshold and logarithmic above it, because defects can exceed the
    threshold many times over. One scale for all images, anchored where the decision falls,
    keeps normal images calm; a scale stretched image by image would paint noise as defects.

    Attributes:
        calm: map value at and below which nothing is painted.
        threshold: the pixel threshold, greater than ``calm``.
        top: map value at and above which the colour is the hottest, greater than ``threshold``.
    """

    calm: float
    threshold: float
    top: float

    @classmethod
    def anchored(
        cls, medians: Sequence[float], peaks: Sequence[float], threshold: float
    ) -> HeatScale:
        """Lay the scale through the maps of a report.

        Args:
            medians: the median value of each map that stands for normal, at least one.
            peaks: the greatest value of each map shown, at least one.
            threshold: the pixel threshold, in units of the maps.

        Returns:
            A scale whose calm end is the median of ``medians`` and whose hot end is the
            greatest of ``peaks``, but at least twice as far from calm as the threshold.
        """
        calm = float(np.median(medians))
        if calm >= threshold:
            calm = threshold - max(1e-6, abs(threshold) * 1e-6)
        reach = threshold - calm
        return cls(calm, threshold, max(float(np.max(peaks)), calm + 2 * reach))

    def levels(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Levels of map values.

        Args:
            values: of any shape; NaN counts as calm.

        Returns:
            float64 of the same shape, in [0, 1], greater than 1/2 exactly where a value is
            above the threshold (up to rounding).
        """
        reach = self.threshold - self.calm
        relative = np.nan_to_num((values.astype(np.float64) - self.calm) / reach, nan=0.0)
        decades = math.log((self.top - self.calm) / reach)
        hot = 0.5 + 0.5 * np.log(np.maximum(relative, 1.0)) / decades
        return np.asarray(np.clip(np.where(relative <= 1, 0.5 * relative, hot), 0.0, 1.0))

    def paint(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
        """Colours of a map, to lay over its image.

        Args:
            values: ``(H, W)``.

        Returns:
            uint8 ``(H, W, 4)``: red, green, blue, opacity.
        """
        indices = np.rint(self.levels(values) * 255).astype(np.intp)
        return np.asarray(palette()[indices])


def palette() -> npt.NDArray[np.uint8]:
    """The 256 colours of the scale, uint8 ``(256, 4)``: red, green, blue, opacity."""
    stops = np.asarray(_STOPS)
    where = np.linspace(0, 1, 256)
    columns = [np.interp(where, stops[:, 0], stops[:, i]) for i in range(1, 5)]
    columns[3] = columns[3] * 255
    return np.asarray(np.rint(np.stack(columns, axis=1)), dtype=np.uint8)


def gradient() -> str:
    """The scale as a CSS ``linear-gradient`` from calm to hot, without its opacity steps."""
    stops = ", ".join(f"rgb({r} {g} {b} / {a}) {100 * at:g}%" for at, r, g, b, a in _STOPS)
    return f"linear-gradient(90deg, {stops})"


def outline(values: npt.NDArray[np.floating], threshold: float, most: int = 256) -> str:
    """Outline what lies above a threshold, as the data of an SVG path.

    Args:
        values: map ``(H, W)``; NaN counts as below.
        threshold: in units of the map.
        most: maps with more rows or columns than this are first reduced by the maximum over
            blocks, so that nothing above the threshold is lost; so are maps whose outline
            would be longer than a page can bear.

    Returns:
        Closed curves in a square of 1000 by 1000 units that covers the whole map, each cell's
        centre inside (even-odd rule) exactly when its value is above the threshold (up to the
        path's one decimal, about 1/100 of a cell); "" where none is. Curves run along
        the border where what they outline touches it.
    """
    from skimage.measure import find_contours

    excess = _reduced(np.nan_to_num(values.astype(np.float64), nan=-np.inf), most) - threshold
    if not (excess > 0).any():
        return ""
    finite = np.clip(excess, -1e30, 1e30)
    # Ties count as below; contours of exact zeros would be drawn through the cell's centre.
    finite = np.where(finite == 0, -1e-12, finite)
    padded = np.pad(finite, 1, mode="edge")
    inner = np.zeros(padded.shape, dtype=bool)
    inner[1:-1, 1:-1] = True
    # The opposite of the edge value beyond the border puts the crossing on the border itself.
    padded = np.where(inner, padded, -np.abs(padded))
    height, width = finite.shape
    parts = []
    for line in find_contours(padded, 0.0):  # type: ignore[no-untyped-call]
        # Cell (0, 0) is at 1 of the padded grid and its centre half a cell from the border.
        points = (line[:-1] - 0.5) * (1000 / height, 1000 / width)
        parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for y, x in points) + "Z")
    path = "".join(parts)
    if len(path) <= _LONGEST or max(height, width) <= 16:
        return path
    return outline(values, threshold, min(most, max(height, width)) // 2)


def _reduced(values: npt.NDArray[np.float64], most: int) -> npt.NDArray[np.float64]:
    """Maximum over blocks, so that neither side exceeds ``most``."""
    for axis in (0, 1):
        length = values.shape[axis]
        if length > most:
            starts = np.unique(np.linspace(0, length, most, endpoint=False).astype(np.intp))
            values = np.maximum.reduceat(values, starts, axis=axis)
    return values
