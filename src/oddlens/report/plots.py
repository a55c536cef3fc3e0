"""The two plots of the page, as inline SVG that follows the page's colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oddlens.report.words import number, percent

_WIDTH, _HEIGHT = 460, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 26, 40
_BINS = 32


@dataclass(frozen=True)
class ScoreAxis:
    """A monotone axis for scores: linear, or compressed like a logarithm away from the middle.

    Scores of gross defects can lie hundreds of normal spreads above the normal ones; a linear
    axis would put all normal images into one bar. Our choice: ``asinh`` around the median of
    the images that were not flagged, when the range exceeds 30 of their interquartile ranges.

    Attributes:
        low: score at the left end.
        high: score at the right end, greater than ``low``.
        middle: centre of the compression.
        unit: its width; 0 for a linear axis.
    """

    low: float
    high: float
    middle: float = 0.0
    unit: float = 0.0

    @classmethod
    def of(
        cls, scores: npt.NDArray[np.float64], threshold: float, flagged: npt.NDArray[np.bool_]
    ) -> ScoreAxis:
        """The axis for these scores; infinite ones and an infinite threshold are left out."""
        finite = scores[np.isfinite(scores)]
        ends = np.append(finite, threshold) if math.isfinite(threshold) else finite
        if len(ends) == 0:
            return cls(0.0, 1.0)
        low, high = float(ends.min()), float(ends.max())
        if low == high:
            low, high = low - 0.5, high + 0.5
        calm = scores[np.isfinite(scores) & ~flagged]
        calm = calm if len(calm) >= 4 else finite
        quarter, middle, upper = (
            np.quantile(calm, [0.25, 0.5, 0.75]) if len(calm) else (low, low, high)
        )
        spread = float(upper - quarter)
        if spread > 0 and high - low > 30 * spread:
            return cls(low, high, float(middle), 2 * spread)
        return cls(low, high)

    def place(self, score: float) -> float:
        """Where a score is on the axis, in [0, 1]; scores beyond the ends lie at the ends."""
        low, high, at = (self._bent(value) for value in (self.low, self.high, score))
        return min(1.0, max(0.0, (at - low) / (high - low)))

    def edges(self, bins: int) -> npt.NDArray[np.float64]:
        """Edges of bins of equal width on the axis, float64 ``(bins + 1,)``."""
        bent = np.linspace(self._bent(self.low), self._bent(self.high), bins + 1)
        edges = self.middle + np.sinh(bent) * self.unit if self.unit else bent
        edges[0], edges[-1] = self.low, self.high
        return np.asarray(edges)

    def ticks(self) -> list[float]:
        """Round scores to mark, far enough apart to be labelled."""
        if not self.unit:
            return _round_numbers(self.low, self.high, 5)
        powers = range(-6, 13)
        wanted = [0.0] + [
            s * m * 10.0**e for e in reversed(powers) for m in (1, 5, 2) for s in (1, -1)
        ]
        chosen: list[float] = []
        for tick in wanted:
            inside = self.low <= tick <= self.high
            if inside and all(abs(self.place(tick) - self.place(c)) > 0.13 for c in chosen):
                chosen.append(tick)
        return sorted(chosen)

    def _bent(self, score: float) -> float:
        if not self.unit:
            return min(max(score, self.low), self.high)
        return math.asinh((min(max(score, self.low), self.high) - self.middle) / self.unit)


def _round_numbers(low: float, high: float, about: int) -> list[float]:
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(low / step)
    return [k * step for k in range(first, math.floor(high / step) + 1)]


@dataclass(frozen=True)
class Group:
    """One group of images in the histogram: its name, its CSS class and its scores."""

    name: str
    css: str
    scores: npt.NDArray[np.float64]


def histogram(groups: Sequence[Group], axis: ScoreAxis, threshold: float, *, shares: bool) -> str:
    """Histogram of scores with the threshold.

    Args:
        groups: drawn one over the other.
        axis: of the scores.
        threshold: drawn as a line where it is finite.
        shares: whether bars are shares of their group, so that a few anomalies are seen beside
            many normal images, or counts.

    Returns:
        An ``<svg>`` element.
    """
    edges = axis.edges(_BINS)
    counts = [np.histogram(np.clip(g.scores, axis.low, axis.high), edges)[0] for g in groups]
    heights = [c / max(1, c.sum()) if shares else c.astype(float) for c in counts]
    top = max((float(h.max()) for h in heights), default=0.0) or 1.0
    parts = [_y_axis(top, shares), _x_axis(axis)]
    for group, height, count in zip(groups, heights, counts, strict=True):
        parts.append(f'<g class="bar {group.css}">')
        for i in np.flatnonzero(count):
            x0, x1 = _LEFT + _span() * i / _BINS, _LEFT + _span() * (i + 1) / _BINS
            y = _y(height[i] / top)
            tip = f"{group.name}: {count[i]} from {number(edges[i])} to {number(edges[i + 1])}"
            parts.append(
                f'<rect x="{x0 + 0.5:.1f}" y="{y:.1f}" width="{x1 - x0 - 1:.1f}" '
                f'height="{_y(0) - y:.1f}"><title>{tip}</title></rect>'
            )
        parts.append("</g>")
    if math.isfinite(threshold):
        x = _LEFT + _span() * axis.place(threshold)
        anchor, nudge = ("end", -5) if axis.place(threshold) > 0.6 else ("start", 5)
        parts.append(
            f'<line class="cut" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 14}" y2="{_y(0):.1f}"/>'
            f'<text class="cutname" x="{x + nudge:.1f}" y="{_TOP - 5}" text-anchor="{anchor}">'
            f"threshold {number(threshold)}</text>"
        )
    return _svg("Histogram of scores with the threshold", parts)


def roc(
    fpr: npt.NDArray[np.float64],
    tpr: npt.NDArray[np.float64],
    point: tuple[float, float],
) -> str:
    """ROC curve with the point that the threshold gives.

    Args:
        fpr: false-alarm rates ``(K,)``, rising from 0 to 1.
        tpr: shares of the anomalies found ``(K,)``, rising from 0 to 1.
        point: false-alarm rate and share found at the threshold.

    Returns:
        An ``<svg>`` element.
    """
    step = max(1, len(fpr) // 500)
    chosen = sorted({*range(0, len(fpr), step), len(fpr) - 1})
    points = [(_LEFT + _span() * fpr[i], _y(tpr[i])) for i in chosen]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    area = f"M{_LEFT} {_y(0)}L{path}L{_LEFT + _span()} {_y(0)}Z"
    px, py = _LEFT + _span() * point[0], _y(point[1])
    anchor, nudge = ("end", -10) if point[0] > 0.5 else ("start", 10)
    drop = 18 if point[1] > 0.15 else -8
    parts = [_y_axis(1.0, True), _share_axis()]
    parts.append(f'<text x="{_LEFT}" y="{_TOP - 12}">anomalies found</text>')
    parts.append(
        f'<path class="area" d="{area}"/>'
        f'<line class="chance" x1="{_LEFT}" y1="{_y(0)}" x2="{_LEFT + _span()}" y2="{_y(1)}"/>'
        f'<path class="curve" d="M{path}"/>'
        f'<circle class="point" cx="{px:.1f}" cy="{py:.1f}" r="5"/>'
        f'<text class="cutname" x="{px + nudge:.1f}" y="{py + drop:.1f}" text-anchor="{anchor}">'
        f"threshold: {percent(point[1])} found, {percent(point[0])} false alarms</text>"
    )
    return _svg("ROC curve", parts)


def _span() -> float:
    return _WIDTH - _LEFT - _RIGHT


def _y(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _svg(name: str, parts: list[str]) -> str:
    return (
        f'<svg class="plot" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">'
        + "".join(parts)
        + "</svg>"
    )


def _x_axis(axis: ScoreAxis) -> str:
    marks = [(axis.place(tick), number(tick)) for tick in axis.ticks()]
    return _marks(marks, "score (compressed scale)" if axis.unit else "score")


def _share_axis() -> str:
    return _marks([(k / 4, percent(k / 4)) for k in range(5)], "normal images flagged")


def _marks(marks: list[tuple[float, str]], name: str) -> str:
    texts = [f'<line class="base" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{_y(0)}" y2="{_y(0)}"/>']
    for place, text in marks:
        x = _LEFT + _span() * place
        anchor = "end" if place > 0.97 else "middle"
        texts.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="{anchor}">{text}</text>'
        )
    texts.append(
        f'<text class="name" x="{_LEFT + _span() / 2}" y="{_HEIGHT - 4}" '
        f'text-anchor="middle">{name}</text>'
    )
    return "".join(texts)


def _y_axis(top: float, shares: bool) -> str:
    parts = []
    ticks = _round_numbers(0.0, top, 4)
    if not shares:
        ticks = [t for t in ticks if t == int(t)]
    for tick in ticks:
        y = _y(tick / top)
        text = percent(tick) if shares else f"{int(tick):,}"
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
        )
    return "".join(parts)
