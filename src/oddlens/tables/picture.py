"""The picture of few labelled anomalies.

Lines are means over classes against gamma, the share of labelled anomalies, one for each method and
kind of draw. Dotted ones were published by others and are not ours.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oddlens.images.catalogue import CATALOGUE
from oddlens.tables.cells import NOT_RUN
from oddlens.tables.few_anomalies import PROTOCOL, Curve, curves, others
from oddlens.tables.told import data_sets

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def as_svg(folder: Path) -> bytes:
    """The picture of a folder of records; the same records make the same file."""
    from matplotlib import rc_context

    written = io.BytesIO()
    with rc_context({"svg.hashsalt": "oddlens", "svg.fonttype": "none"}):
        drawn(folder).savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()


def drawn(folder: Path, sets: Sequence[str] | None = None) -> Figure:
    """The picture, a panel for each data set that has records, or one that says there are none.

    Args:
        folder: of the records.
        sets: which data sets; None for all that have records.
    """
    found = data_sets(PROTOCOL, folder) if sets is None else sets
    shown = [data for data in found if curves(data, folder)] or ["fashion-mnist"]
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1 + 5.5 * len(shown), 4.2), layout="constrained")
    for place, data in enumerate(shown, start=1):
        _panel(figure.add_subplot(1, len(shown), place), data, curves(data, folder))
    return figure


def _panel(axes: Axes, data: str, found: Sequence[Curve]) -> None:
    for curve in found:
        points = curve.points()
        gammas = list(points)
        means = [100 * point.mean for point in points.values()]
        below = [100 * (point.mean - point.low) for point in points.values()]
        above = [100 * (point.high - point.mean) for point in points.values()]
        count = len(curve.classes)
        label = f"{curve.name}, {count} {'class' if count == 1 else 'classes'}"
        axes.errorbar(gammas, means, yerr=(below, above), marker="o", capsize=3, label=label)
    for (who, source), by_gamma in others(data).items():
        label = f"{who}, published ({source})"
        values = [100 * value for value in by_gamma.values()]
        axes.plot(list(by_gamma), values, ":", marker=".", color="0.5", label=label)
    title = CATALOGUE[data].title if data in CATALOGUE else data
    axes.set_title(title if found else f"{title}: oddlens {NOT_RUN}")
    axes.set_xlabel("gamma, labelled anomalies as a share of the training images")
    axes.set_ylabel("AUROC, %, mean over classes")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="x-small")
