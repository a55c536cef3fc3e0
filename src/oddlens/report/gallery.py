"""The gallery: which images are shown, and the card of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from oddlens.errors import ImageError
from oddlens.report.heat import HeatScale, outline
from oddlens.report.pictures import heat_uri, photo_uri
from oddlens.report.plots import ScoreAxis
from oddlens.report.words import score_text

if TYPE_CHECKING:
    from oddlens.predictions import Prediction, Predictions

Mask: TypeAlias = "str | Path | npt.NDArray[np.bool_] | None"
_CUES_ON_CARD = 3
COMPARABLE = frozenset({"ensemble"})
"""The methods whose cues have one unit: their bars share a range, and the largest comes first."""


def choose(scores: npt.NDArray[np.float64], wrong: npt.NDArray[np.bool_], most: int) -> list[int]:
    """Which images to show when there are too many. Our choice.

    Three quarters of the places go to the highest scores; of the rest, at most half to wrong
    verdicts (misses and false alarms), and what is left to other images. Both are spread evenly
    over their rankings, down to the lowest score: the worst miss is always shown.

    Args:
        scores: ``(N,)``.
        wrong: bool ``(N,)``, verdicts that contradict a known label.
        most: how many to show at most, at least 1.

    Returns:
        Indices by falling score; all of them where ``N <= most``.
    """
    ranking = [int(i) for i in np.argsort(-scores, kind="stable")]
    if len(ranking) <= most:
        return ranking
    top = max(1, (3 * most) // 4)
    rest = ranking[top:]
    errors = _spread([i for i in rest if wrong[i]], (most - top) // 2)
    others = [i for i in rest if i not in errors]
    chosen = {*ranking[:top], *errors, *_spread(others, most - top - len(errors))}
    return [i for i in ranking if i in chosen]


def _spread(items: list[int], places: int) -> set[int]:
    """At most ``places`` items at even distances, the first and the last among them."""
    if len(items) <= places:
        return set(items)
    return {items[round(at)] for at in np.linspace(len(items) - 1, 0, places)}


def scale_of(predictions: Predictions, shown: Sequence[int]) -> HeatScale | None:
    """The common heat scale of the images shown, or None where there are no maps.

    Where no pixel threshold is known, the greatest peak among images that are not flagged takes
    its place (of all images, where all are flagged).
    """
    medians: list[float] = []
    calm: list[float] = []
    peaks: list[float] = []
    calm_peaks: list[float] = []
    for index in shown:
        one = predictions[index]
        if one.map is None:
            continue
        finite = one.map[np.isfinite(one.map)]
        if finite.size == 0:
            continue
        medians.append(float(np.median(finite)))
        peaks.append(float(finite.max()))
        if not one.is_anomaly:
            calm.append(medians[-1])
            calm_peaks.append(peaks[-1])
    if not peaks:
        return None
    known = predictions.pixel_threshold
    threshold = known.value if known is not None else max(calm_peaks or peaks)
    if not np.isfinite(threshold):
        threshold = max(peaks)
    return HeatScale.anchored(calm or medians, peaks, float(threshold))


@dataclass(frozen=True)
class CardMaker:
    """Makes the card of one image.

    Attributes:
        predictions: what the page is about.
        axis: of the scores, for the meter.
        scale: of the heat maps, or None without maps.
        labels: truth by index, True for anomalous, None for unknown.
        masks: ground truth by index.
        folder: the part that all names share; left out of what is shown.
        cue_ranges: smallest and greatest finite value of each cue, for its bar.
    """

    predictions: Predictions
    axis: ScoreAxis
    scale: HeatScale | None
    labels: Sequence[bool | None]
    masks: Sequence[Mask]
    folder: str
    cue_ranges: Mapping[str, tuple[float, float]]

    def cards(self, shown: Sequence[int]) -> Iterator[str]:
        """The cards of these images, as ``<li>`` elements, one at a time."""
        places = _source_places(self.predictions)
        for index in shown:
            yield self._card(index, places.get(index))

    def _card(self, index: int, place: int | None) -> str:
        one = self.predictions[index]
        truth = self.labels[index]
        verdict = "flagged" if one.is_anomaly else "passed"
        error = ""
        if truth is not None and truth != one.is_anomaly:
            error = "miss" if truth else "falsealarm"
        name = one.name.removeprefix(self.folder)
        return (
            f'<li class="card {verdict} {error}" data-verdict="{verdict}" data-error="{error}" '
            f'data-name="{escape(name.lower())}" data-score="{float(one.score)!r}">'
            f'<button class="open" type="button" aria-label="Enlarge {escape(name)}">'
            f"{self._picture(index, one, place)}</button>"
            f'<div class="facts"><h3 title="{escape(one.name)}">{_name(name)}</h3>'
            f'<p class="verdict">{_badge(one.is_anomaly)}{_truth(truth, error)}</p>'
            f'<p class="numbers"><span><small>score</small> <b>{score_text(one.score)}</b></span>'
            f"<span><small>p</small> <b>{_p(one.p_value)}</b></span></p>"
            f"{self._meter(one)}{self._cues(one)}</div></li>"
        )

    def _picture(self, index: int, one: Prediction, place: int | None) -> str:
        photo, width, height = self._photo(place, one)
        layers = [photo]
        marks = []
        if one.map is not None and self.scale is not None:
            heat = heat_uri(self.scale.paint(one.map))
            layers.append(f'<img class="heat" src="{heat}" alt="" decoding="async">')
            marks.append(("found", outline(one.map, self.scale.threshold)))
        mask = _mask(self.masks[index])
        if mask is not None:
            marks.append(("truth", outline(mask.astype(np.float64), 0.5)))
        lines = "".join(
            f'<path class="{css} casing" d="{d}"/><path class="{css}" d="{d}"/>'
            for css, d in marks
            if d
        )
        if lines:
            layers.append(
                '<svg class="marks" viewBox="0 0 1000 1000" preserveAspectRatio="none" '
                f'aria-hidden="true">{lines}</svg>'
            )
        tall = " tall" if height > width else ""
        return (
            f'<span class="frame"><span class="stack{tall}" '
            f'style="aspect-ratio:{width}/{height}">{"".join(layers)}</span></span>'
        )

    def _photo(self, place: int | None, one: Prediction) -> tuple[str, int, int]:
        source = self.predictions.source
        if source is not None and place is not None:
            try:
                uri, width, height = photo_uri(source.read(place))
            except (ImageError, OSError):
                # Gone since it was scored; its score still counts.
                uri = ""
            if uri:
                return f'<img class="photo" src="{uri}" alt="" decoding="async">', width, height
        height, width = one.map.shape if one.map is not None else (1, 1)
        return '<span class="photo absent">image not at hand</span>', width, height

    def _meter(self, one: Prediction) -> str:
        cut = self.predictions.threshold.value
        at = 100 * self.axis.place(one.score)
        return (
            f'<p class="meter{" hot" if one.is_anomaly else ""}" aria-hidden="true">'
            f'<i style="width:{at:.1f}%"></i>'
            f'<em style="left:{100 * self.axis.place(cut):.1f}%"></em></p>'
        )

    def _cues(self, one: Prediction) -> str:
        rows = []
        cues = list(one.cues.items())
        if self.predictions.method in COMPARABLE:
            cues.sort(key=lambda cue: -cue[1])
        for rank, (name, value) in enumerate(cues):
            low, high = self.cue_ranges[name]
            share = (value - low) / (high - low) if high > low and np.isfinite(value) else 0.0
            width = 100 * min(1.0, max(0.0, share))
            more = ' class="more"' if rank >= _CUES_ON_CARD else ""
            rows.append(
                f"<tr{more}><th>{escape(name)}</th><td>{score_text(value)}</td>"
                f'<td class="bar"><i style="width:{width:.0f}%"></i></td></tr>'
            )
        hidden = len(rows) - _CUES_ON_CARD
        note = f'<p class="hidden-cues">{hidden} more when enlarged</p>' if hidden > 0 else ""
        return f'<table class="cues">{"".join(rows)}</table>{note}' if rows else ""


def _source_places(predictions: Predictions) -> dict[int, int]:
    """Where in the source each prediction comes from: skipped images leave gaps."""
    source = predictions.source
    if source is None:
        return {}
    by_name: dict[str, list[int]] = {}
    for place in reversed(range(len(source))):
        by_name.setdefault(source.name(place), []).append(place)
    return {
        index: by_name[name].pop()
        for index, name in enumerate(predictions.names)
        if by_name.get(name)
    }


def _mask(mask: Mask) -> npt.NDArray[np.bool_] | None:
    if mask is None:
        return None
    if isinstance(mask, np.ndarray):
        return np.asarray(mask) > 0
    from oddlens.images import read_mask

    return read_mask(Path(mask), None)


def _name(name: str) -> str:
    folder, slash, file = name.rpartition("/")
    return f"<span>{escape(folder + slash)}</span>{escape(file)}" if slash else escape(name)


def _badge(is_anomaly: bool) -> str:
    return (
        '<span class="badge hot">flagged</span>'
        if is_anomaly
        else '<span class="badge">not flagged</span>'
    )


def _truth(truth: bool | None, error: str) -> str:
    if truth is None:
        return ""
    if error:
        words = {"miss": "miss", "falsealarm": "false alarm"}[error]
        return f'<span class="badge wrong">{words}</span>'
    return f'<span class="truth">{"anomalous" if truth else "normal"}</span>'


def _p(value: float) -> str:
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"
