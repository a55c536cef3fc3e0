"""Write the report: one HTML file that needs nothing beside itself."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from oddlens.errors import UsageError
from oddlens.files import open_to_write
from oddlens.report.gallery import COMPARABLE, CardMaker, Mask, choose, scale_of
from oddlens.report.plots import ScoreAxis
from oddlens.report.sections import (
    compare,
    figure,
    note_box,
    roc_and_area,
    score_figure,
    tiles,
    toolbar,
)
from oddlens.report.words import (
    metrics_table,
    origin_list,
    skipped_list,
    summary,
    with_interval,
)

if TYPE_CHECKING:
    from oddlens.predictions import Predictions

_T = TypeVar("_T")


def write_report(
    predictions: Predictions,
    path: str | Path,
    *,
    labels: Sequence[bool | int | None] | Mapping[str, bool] | npt.NDArray[np.bool_] | None = None,
    masks: Sequence[Mask] | Mapping[str, Mask] | None = None,
    title: str | None = None,
    note: str | None = None,
    metrics: Mapping[str, object] | None = None,
    max_images: int = 200,
) -> Path:
    """Write predictions as one self-contained HTML file.

    Memory and the size of the file are bounded by ``max_images``, not by the number of
    predictions; the file appears whole or not at all.

    Args:
        predictions: what to show. Images come from ``predictions.source``; without it the page
            shows heat maps alone.
        path: of the HTML file; missing folders are made.
        labels: what is true, True (or 1) for anomalous: one for each prediction in their order
            (None where unknown), or by name.
        masks: ground-truth masks, as paths or bool arrays ``(H, W)``: one for each prediction
            (None where there is none), or by name.
        title: heading of the page, default "Anomaly report".
        note: plain text shown below the summary; a blank line begins a new paragraph.
        metrics: what ``evaluate`` measured, flat as ``metrics.json``; shown as a table. Without
            it, the AUROC of known labels is computed.
        max_images: how many images the gallery shows at most, at least 1: mostly the highest
            scores, and a sample of the rest (see ``oddlens.report.gallery.choose``).

    Returns:
        ``path``.

    Raises:
        UsageError: labels or masks do not fit the predictions, or ``max_images`` is below 1.
        DataError: a mask cannot be read.
        OddlensError: the file cannot be written.
    """
    if max_images < 1:
        raise UsageError(f"max_images is {max_images}; it must be at least 1")
    path = Path(path)
    truth = [None if t is None else bool(t) for t in _aligned(labels, predictions, "labels")]
    page = _page(
        predictions,
        truth,
        _aligned(masks, predictions, "masks"),
        title or "Anomaly report",
        note,
        metrics or {},
        max_images,
    )
    with open_to_write(path) as file:
        file.writelines(page)
    return path


def _aligned(
    values: Sequence[_T | None] | Mapping[str, _T] | npt.NDArray[np.bool_] | None,
    predictions: Predictions,
    what: str,
) -> list[_T | None]:
    """One value a prediction, in their order."""
    if values is None:
        return [None] * len(predictions)
    if isinstance(values, Mapping):
        return [values.get(name) for name in predictions.names]
    if len(values) != len(predictions):
        raise UsageError(
            f"{len(values):,} {what} were given for {len(predictions):,} predictions; give one "
            "for each, or a mapping from names (images that were skipped have no prediction)"
        )
    return list(values)


def _page(
    predictions: Predictions,
    truth: list[bool | None],
    masks: list[Mask],
    title: str,
    note: str | None,
    metrics: Mapping[str, object],
    max_images: int,
) -> Iterator[str]:
    """The page, in pieces, so that it is never in memory as a whole."""
    scores = np.asarray(predictions.scores, dtype=np.float64)
    flagged = np.asarray(predictions.is_anomaly, dtype=bool)
    result = compare(truth, flagged)
    axis = ScoreAxis.of(scores, predictions.threshold.value, flagged)
    curve, auroc = roc_and_area(scores, truth, result)
    auroc_text = with_interval(metrics, "image_auroc") or (
        f"{auroc:.3f}" if auroc is not None else None
    )

    yield _head(title)
    yield f'<header><p class="brand">oddlens <span>{escape(predictions.method)}</span></p>'
    yield f"<h1>{escape(title)}</h1>"
    yield summary(predictions, int(flagged.sum()), result, auroc_text)
    yield f"{tiles(predictions, flagged, result, auroc_text)}</header><main>"
    yield note_box(note)
    yield skipped_list(predictions)
    yield '<div class="plots">'
    yield score_figure(scores, truth, flagged, axis, predictions.threshold.value)
    if curve:
        yield figure("ROC curve", curve, f"AUROC {auroc_text}")
    yield "</div>"
    table = metrics_table(metrics)
    if table:
        # Folded: the headline has the most telling ones, and what people came for is the images.
        yield '<details class="panel measured"><summary>All metrics</summary>'
        yield f'<div class="metrics"><div>{table}</div>{origin_list(metrics)}</div></details>'
    verdicts = zip(truth, flagged, strict=True)
    wrong = np.asarray([t is not None and t != f for t, f in verdicts], dtype=bool)
    shown = choose(scores, wrong, max_images)
    scale = scale_of(predictions, shown)
    has_masks = any(mask is not None for mask in masks)
    yield toolbar(len(predictions), shown, flagged, truth, scale is not None, has_masks)
    if scale is not None and predictions.pixel_threshold is None:
        yield '<p class="hint">No pixel threshold is known; the outlines mark what exceeds the '
        yield "highest peak of the images that were not flagged.</p>"
    yield '<ul class="gallery" id="gallery">'
    folder = _common_folder(list(predictions.names))
    maker = CardMaker(predictions, axis, scale, truth, masks, folder, _cue_ranges(predictions))
    yield from maker.cards(shown)
    yield '</ul><p class="empty" id="empty" hidden>No image matches.</p></section>'
    yield _foot(folder)


def _cue_ranges(predictions: Predictions) -> dict[str, tuple[float, float]]:
    ranges = {}
    for name, values in predictions.cues.items():
        finite = np.asarray(values)[np.isfinite(values)]
        ranges[name] = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if ranges and predictions.method in COMPARABLE:
        low, high = zip(*ranges.values(), strict=True)
        return dict.fromkeys(ranges, (min(low), max(high)))
    return ranges


def _common_folder(names: list[str]) -> str:
    """The folders that all names begin with, with the last slash; "" where there are none."""
    if len(names) < 2:
        return ""
    shared: list[str] = []
    for parts in zip(*(name.split("/")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared) + "/" if shared else ""


def _head(title: str) -> str:
    style = _text("style.css")
    # The hash lets this one script run and no other, whatever a file name may contain.
    digest = base64.b64encode(hashlib.sha256(_text("script.js").encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
    )


def _foot(folder: str) -> str:
    from oddlens import __version__

    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    where = f"Names are relative to {escape(folder)}. " if folder else ""
    return (
        f"</main><footer>{where}Made with oddlens {escape(__version__)}, {when}.</footer>"
        '<dialog id="viewer" aria-label="Enlarged image"><div class="bar">'
        '<button type="button" id="back" aria-label="Previous image">←</button>'
        '<span id="place"></span>'
        '<button type="button" id="next" autofocus aria-label="Next image">→</button>'
        '<button type="button" id="close" aria-label="Close">×</button></div>'
        '<div id="view"></div></dialog>'
        f"<script>{_text('script.js')}</script></body></html>\n"
    )


def _text(name: str) -> str:
    return (resources.files("oddlens.report") / name).read_text(encoding="utf-8")
