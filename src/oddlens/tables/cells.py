"""Cells of tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev

from oddlens.evaluation.records import Record

NOT_RUN = "not run"
UNKNOWN = "–"


def markdown(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [list(headers), ["---"] * len(headers), *map(list, rows)]
    return "\n".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in r)} |" for r in lines)


def spread(values: Iterable[float | None], scale: float = 100.0, digits: int = 1) -> str:
    """Mean ± sample standard deviation; the mean alone of a single value."""
    known = [scale * value for value in values if value is not None]
    if not known:
        return NOT_RUN
    mean = f"{fmean(known):.{digits}f}"
    return f"{mean} ± {stdev(known):.{digits}f}" if len(known) > 1 else mean


def with_interval(value: float, low: float | None, high: float | None) -> str:
    """A share in [0, 1] in percent, with its interval where there is one."""
    if low is None or high is None:
        return f"{100 * value:.1f}"
    return f"{100 * value:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def measured(records: Sequence[Record], name: str) -> str:
    """A metric in percent: of one record with its 95 % interval, of several mean ± deviation.

    Args:
        records: one a seed.
        name: ``image_auroc``, or as in ``more_metrics``.
    """
    found = [each for record in records if (each := value_of(record, name)) is not None]
    if not found:
        return UNKNOWN
    if len(found) > 1:
        return spread(found)
    ends = [value_of(records[0], f"{name}{end}") for end in ("_low", "_high")]
    return with_interval(found[0], *ends)


def value_of(record: Record, name: str) -> float | None:
    """A metric of a record in [0, 1], or None where it was not measured."""
    if name.startswith("image_auroc"):
        return float(getattr(record.metrics, name))
    return record.more_metrics.get(name)


def milliseconds(records: Sequence[Record]) -> str:
    """Mean milliseconds an image; the spread would be the machine's, not the method's."""
    return f"{fmean(record.metrics.ms_per_image for record in records):.1f}"


def seeds_of(records: Iterable[Record]) -> str:
    """The seeds behind a row."""
    return ", ".join(map(str, sorted({record.seed for record in records})))


def distinct(values: Iterable[str]) -> list[str]:
    """Each text once, without empty ones, in the order of their first appearance."""
    return list(dict.fromkeys(value for value in values if value))
