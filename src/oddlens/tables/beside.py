"""What stands beside our own figures: methods that were not run, and what others published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from oddlens.detectors import METHODS
from oddlens.evaluation.summary import Published, Summary, percent
from oddlens.tables.cells import UNKNOWN, distinct

EITHER = "image_or_pixel_auroc"
"""An AUROC of which its source does not say whether it is of images or of pixels."""


def not_run(found: Iterable[Summary]) -> str:
    """The methods that have no record among them, by their classes; empty where all have one."""
    tried = {each.configuration.method for each in found}
    places = (place for name, place in METHODS.items() if name not in tried)
    return ", ".join(place.partition(":")[2] for place in places)


def told_not_run(found: Iterable[Summary], where: str = "") -> str:
    """The same as a sentence; empty where all have a record.

    Args:
        found: of one data set.
        where: what is to be said of it, such as ``on CIFAR-10``.
    """
    names = not_run(found)
    return f"{' '.join(filter(None, ('Not run', where)))}: {names}." if names else ""


def figures_of(other: Published, names: Sequence[str]) -> list[str]:
    """What others published, in percent; a dash where they tell nothing.

    Args:
        other: one row of theirs.
        names: ``image_auroc``, or as in ``more_metrics`` of a record.
    """
    return [_figure(other, name) for name in names]


def _figure(other: Published, name: str) -> str:
    value = other.mean if name == "image_auroc" else other.more.get(name)
    if value is not None:
        return percent(value)
    if EITHER in other.more and name in ("image_auroc", "pixel_auroc"):
        return f"{percent(other.more[EITHER])}, image or pixel"
    return UNKNOWN


def sources_of(others: Iterable[Published], *, notes: bool = True) -> str:
    """Where the rows of others come from, as a sentence; empty where there are none.

    Args:
        others: whose rows are shown.
        notes: tell as well what makes them differ from ours.
    """
    found: dict[str, list[str]] = {}
    for each in others:
        source = ", ".join(filter(None, (each.source, each.note if notes else "")))
        found.setdefault(source, []).append(each.who)
    told = [f"{' and '.join(distinct(who))} ({source})" for source, who in found.items()]
    return f"As published, not measured by us: {'; '.join(told)}." if told else ""
