"""The parts of the page above the gallery, as HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from oddlens.report.heat import gradient
from oddlens.report.plots import Group, ScoreAxis, histogram, roc
from oddlens.report.words import Outcome, at_most_percent, plural

if TYPE_CHECKING:
    from oddlens.predictions import Predictions


def compare(truth: list[bool | None], flagged: npt.NDArray[np.bool_]) -> Outcome | None:
    """How verdicts compare with the truth, or None where no label is known."""
    pairs = [(t, bool(f)) for t, f in zip(truth, flagged, strict=True) if t is not None]
    if not pairs:
        return None
    return Outcome(
        found=pairs.count((True, True)),
        misses=pairs.count((True, False)),
        false_alarms=pairs.count((False, True)),
        passed=pairs.count((False, False)),
    )


def roc_and_area(
    scores: npt.NDArray[np.float64], truth: list[bool | None], outcome: Outcome | None
) -> tuple[str, float | None]:
    """The ROC curve as SVG and its area, or nothing where one of the two classes is empty."""
    if outcome is None or not outcome.anomalous or not outcome.normal:
        return "", None
    from sklearn.metrics import auc, roc_curve

    known = np.asarray([t is not None for t in truth]) & np.isfinite(scores)
    positive = np.asarray([t is True for t in truth])
    if not positive[known].any() or positive[known].all():
        return "", None
    fpr, tpr, _ = roc_curve(positive[known], scores[known], drop_intermediate=True)
    point = (outcome.false_alarms / outcome.normal, outcome.found / outcome.anomalous)
    return roc(fpr, tpr, point), float(auc(fpr, tpr))


def score_figure(
    scores: npt.NDArray[np.float64],
    truth: list[bool | None],
    flagged: npt.NDArray[np.bool_],
    axis: ScoreAxis,
    threshold: float,
) -> str:
    """The histogram, coloured by what is true where labels are known, else by verdict."""
    usable = ~np.isnan(scores)
    known = any(t is not None for t in truth)
    cool = np.asarray([t is False for t in truth], dtype=bool) if known else ~flagged
    hot = np.asarray([t is True for t in truth], dtype=bool) if known else flagged
    names = ("normal", "anomalous") if known else ("not flagged", "flagged")
    groups = [
        Group(name, css, scores[members & usable])
        for name, css, members in zip(names, ("cool", "hot"), (cool, hot), strict=True)
    ]
    key = "".join(f'<i class="dot {group.css}"></i>{group.name}' for group in groups)
    unit = "share of each" if known else "number of images"
    plot = histogram(groups, axis, threshold, shares=known)
    caption = f"{key} ({unit})"
    if not known:
        caption += "</p><p>Images to the right of the threshold are flagged."
    return figure("Scores", plot, caption)


def figure(name: str, plot: str, caption: str) -> str:
    """A panel with a heading, a caption (HTML) and a plot (SVG)."""
    return (
        f'<figure class="panel"><figcaption><h2>{name}</h2><p>{caption}</p></figcaption>'
        f"{plot}</figure>"
    )


def tiles(
    predictions: Predictions,
    flagged: npt.NDArray[np.bool_],
    outcome: Outcome | None,
    auroc: str | None,
) -> str:
    """The headline numbers, as a row of tiles."""
    shown = [
        ("images", f"{len(predictions):,}", ""),
        ("flagged", f"{int(flagged.sum()):,}", "hot"),
    ]
    if outcome is not None and outcome.anomalous:
        shown.append(("anomalies found", f"{outcome.found:,}", f"of {outcome.anomalous:,}"))
    if outcome is not None and outcome.normal:
        shown.append(("false alarms", f"{outcome.false_alarms:,}", f"of {outcome.normal:,}"))
    if auroc is not None:
        value, _, interval = auroc.partition(" ")
        shown.append((f"AUROC {interval}", value, ""))
    bound = at_most_percent(predictions.threshold.guaranteed)
    shown.append(("guaranteed false-alarm rate", f"≤ {bound}", ""))
    cells = "".join(
        f"<div{' class=hot' if extra == 'hot' else ''}><dt>{name}</dt><dd>{value}"
        f"{f' <small>{extra}</small>' if extra not in ('', 'hot') else ''}</dd></div>"
        for name, value, extra in shown
    )
    return f'<dl class="tiles">{cells}</dl>'


def note_box(note: str | None) -> str:
    """A note in plain text, as a panel; "" without a note."""
    if not note or not note.strip():
        return ""
    paragraphs = "".join(f"<p>{escape(p.strip())}</p>" for p in note.split("\n\n") if p.strip())
    return f'<aside class="panel note">{paragraphs}</aside>'


def toolbar(
    total: int,
    shown: list[int],
    flagged: npt.NDArray[np.bool_],
    truth: list[bool | None],
    has_maps: bool,
    has_masks: bool,
) -> str:
    """Heading, filters, search, order and layers of the gallery; opens its ``<section>``."""
    hot = sum(bool(flagged[i]) for i in shown)
    filters = [("all", "All", len(shown)), ("flagged", "Flagged", hot)]
    filters.append(("passed", "Not flagged", len(shown) - hot))
    if any(t is not None for t in truth):
        misses = sum(truth[i] is True and not flagged[i] for i in shown)
        alarms = sum(truth[i] is False and bool(flagged[i]) for i in shown)
        filters += [("miss", "Misses", misses), ("falsealarm", "False alarms", alarms)]
    chips = "".join(
        f'<button type="button" data-filter="{key}" aria-pressed="{str(key == "all").lower()}">'
        f"{name} <b>{count:,}</b></button>"
        for key, name, count in filters
    )
    layers = ""
    if has_maps:
        layers += (
            '<label class="slide">Heat map <input type="range" id="heat" min="0" max="100" '
            'value="70"></label><label><input type="checkbox" id="found" checked> '
            '<i class="line found"></i>above threshold</label>'
        )
    if has_masks:
        layers += (
            '<label><input type="checkbox" id="truth" checked> '
            '<i class="line truth"></i>ground truth</label>'
        )
    if layers:
        layers = f'<div class="layers">{layers}</div>'
    return (
        f'<section><h2 id="images">Images</h2><p class="hint">{_shown_words(total, shown)}</p>'
        f'<div class="toolbar"><div class="chips" role="group" aria-label="Filter by verdict">'
        f'{chips}</div><div class="find"><input type="search" id="search" '
        'placeholder="Find a name" aria-label="Find a name"><select id="order" '
        'aria-label="Order"><option value="down">highest score first</option>'
        '<option value="up">lowest score first</option>'
        f'<option value="name">by name</option></select></div>{layers}</div>'
        f"{_scale_words() if has_maps else ''}"
    )


def _shown_words(total: int, shown: list[int]) -> str:
    if len(shown) == total:
        return "All images, most anomalous first. Click one to enlarge it."
    return (
        f"{len(shown):,} of {plural(total, 'image')}: the highest scores, wrong verdicts where "
        "labels are known, and a sample of the rest. Filters count and search only these; the CSV "
        "file has all."
    )


def _scale_words() -> str:
    return (
        f'<div class="scale"><span class="ramp" style="--ramp:{gradient()}"></span>'
        "<p><span>usual</span><span>pixel threshold</span><span>strongest here</span></p>"
        "<p>One colour scale for all images: up to the pixel threshold a faint haze, above it "
        "fire, on a logarithmic scale.</p></div>"
    )
