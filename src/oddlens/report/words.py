"""The page in words: numbers, the summary, the table of metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oddlens.predictions import Predictions

_NAMES = {
    "image_auroc": "Image AUROC",
    "image_ap": "Image average precision",
    "image_f1_max": "Image F1, best threshold",
    "pixel_auroc": "Pixel AUROC",
    "pixel_ap": "Pixel average precision",
    "aupro": "AUPRO",
    "n_normal": "Normal images",
    "n_anomalous": "Anomalous images",
    "ms_per_image": "Milliseconds an image",
}


@dataclass(frozen=True)
class Outcome:
    """How the verdicts compare with the truth, counted over images whose label is known.

    Attributes:
        found: anomalous and flagged.
        misses: anomalous and not flagged.
        false_alarms: normal and flagged.
        passed: normal and not flagged.
    """

    found: int
    misses: int
    false_alarms: int
    passed: int

    @property
    def anomalous(self) -> int:
        """How many images are known to be anomalous."""
        return self.found + self.misses

    @property
    def normal(self) -> int:
        """How many images are known to be normal."""
        return self.false_alarms + self.passed


def number(value: float) -> str:
    """A number in four significant digits, with a true minus sign."""
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "−∞"}.get(value, "not a number")
    return f"{value:.4g}".replace("-", "−") if value else "0"


def score_text(value: float) -> str:
    """A score or cue in four significant digits, zeros included, so that columns line up."""
    if not math.isfinite(value) or not 1e-3 <= abs(value) < 1e4:
        return number(value)
    return f"{value:#.4g}".rstrip(".").replace("-", "−")


def percent(share: float) -> str:
    """A share in [0, 1] as a percentage in three significant digits."""
    text = f"{100 * share:.3g}"
    return "> 99.9%" if text == "100" and share < 1 else f"{text}%"


def at_most_percent(share: float) -> str:
    """A bound in [0, 1] as a percentage in three significant digits, never rounded down."""
    if share <= 0:
        return "0%"
    digits = 2 - math.floor(math.log10(100 * share))
    return f"{math.ceil(round(100 * share * 10**digits, 6)) / 10**digits:g}%"


def plural(count: int, word: str) -> str:
    """A count with its noun: 1 image, 1,200 images."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def summary(
    predictions: Predictions, flagged: int, outcome: Outcome | None, auroc: str | None
) -> str:
    """The summary, as HTML paragraphs.

    Args:
        predictions: what the page is about.
        flagged: how many images are flagged.
        outcome: against the truth, or None where no label is known.
        auroc: the image AUROC in words, or None.

    Returns:
        One ``<p>`` of results and one of what the guarantee means.
    """
    threshold = predictions.threshold
    lead = (
        f"The {escape(predictions.method)} detector scored "
        f"<b>{plural(len(predictions), 'image')}</b> and flagged <b>{flagged:,}</b> as anomalous."
    )
    if outcome is not None:
        truth = []
        if outcome.anomalous:
            truth.append(
                f"Of {plural(outcome.anomalous, 'image')} known to be anomalous, "
                f"<b>{outcome.found:,}</b> {_were(outcome.found)} found and "
                f"<b>{outcome.misses:,}</b> missed."
            )
        if outcome.normal:
            truth.append(
                f"Of {plural(outcome.normal, 'image')} known to be normal, "
                f"<b>{outcome.false_alarms:,}</b> {_were(outcome.false_alarms)} flagged by mistake."
            )
        lead += " " + " ".join(truth)
    if auroc is not None:
        lead += f" The AUROC is <b>{auroc}</b>."
    lead += " " + _skipped_words(len(predictions.skipped))
    limits = (
        f"The threshold rests on {plural(threshold.count, 'held-out normal image')}. It is set so "
        f"that on average at most <b>{at_most_percent(threshold.guaranteed)}</b> of new normal "
        f"images are flagged (wanted: {percent(threshold.wanted)}), as long as they are taken "
        "like those. It promises nothing about how many anomalies are found."
    )
    if threshold.message:
        limits += f" Note: {escape(threshold.message)}."
    return f'<p class="lead">{lead}</p><p class="limits">{limits}</p>'


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _skipped_words(count: int) -> str:
    if count == 0:
        return "No file was skipped."
    return f"{plural(count, 'file')} {_were(count)} skipped because unreadable (listed below)."


def skipped_list(predictions: Predictions, most: int = 200) -> str:
    """The skipped files and why, as HTML; "" where none was skipped."""
    skipped = predictions.skipped
    if not skipped:
        return ""
    items = "".join(
        f"<li><span class=path>{escape(one.name)}</span> {escape(one.reason)}</li>"
        for one in skipped[:most]
    )
    rest = len(skipped) - most
    more = f"<li>and {rest:,} more</li>" if rest > 0 else ""
    opened = " open" if len(skipped) <= 10 else ""
    return (
        f'<details class="panel skipped"{opened}><summary>{plural(len(skipped), "file")} skipped'
        f"</summary><ul>{items}{more}</ul></details>"
    )


def with_interval(metrics: Mapping[str, object], name: str) -> str | None:
    """A metric with its 95 % interval where it is given; None where the metric is not a number."""
    value = metrics.get(name)
    if not _is_number(value):
        return None
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    text = _metric(value)
    if _is_number(low) and _is_number(high):
        text += f" ({_metric(low)}–{_metric(high)})"
    return text


def metrics_table(metrics: Mapping[str, object]) -> str:
    """All metrics as an HTML table, intervals beside their metric.

    Args:
        metrics: flat, as ``metrics.json``; ``<name>_low`` and ``<name>_high`` join ``<name>``;
            nested values are left to ``origin_list``.

    Returns:
        A ``<table>``, or "" where there is nothing to show.
    """
    rows = []
    for name, value in metrics.items():
        stem = name.removesuffix("_low").removesuffix("_high")
        if stem != name and stem in metrics:
            continue
        if _is_number(value):
            low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
            known = _is_number(low) and _is_number(high)
            rows.append(
                (name, _metric(value), f"{_metric(low)} to {_metric(high)}" if known else "")
            )
        elif value is not None and not isinstance(value, Mapping):
            rows.append((name, str(value), ""))
    if not rows:
        return ""
    columns = ("metric", "value", "95% interval")
    head = "<tr>" + "".join(f'<th scope="col">{name}</th>' for name in columns) + "</tr>"
    body = "".join(
        f'<tr><th scope="row">{escape(_NAMES.get(name, name.replace("_", " ")))}</th>'
        f"<td>{escape(value)}</td><td>{escape(interval)}</td></tr>"
        for name, value, interval in rows
    )
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def origin_list(metrics: Mapping[str, object]) -> str:
    """Where the metrics come from (``provenance``), as an HTML list; "" where that is unknown."""
    origin = metrics.get("provenance")
    if not isinstance(origin, Mapping) or not origin:
        return ""
    items = "".join(
        f"<div><dt>{escape(str(key).replace('_', ' '))}</dt><dd>{escape(_plain(value))}</dd></div>"
        for key, value in origin.items()
    )
    return f"<details open><summary>Where these come from</summary><dl>{items}</dl></details>"


def _plain(value: object) -> str:
    """A value for people: of a mapping its single facts, without lists and deeper mappings."""
    if not isinstance(value, Mapping):
        return str(value)
    facts = {
        key: each for key, each in value.items() if isinstance(each, str | int | float) and each
    }
    return ", ".join(f"{str(key).replace('_', ' ')} {each}" for key, each in facts.items())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _metric(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    assert isinstance(value, float)
    return f"{value:.3f}" if 0 <= value <= 1 else number(value)
