"""Which method is better, over classes: every pair of methods as they come, measured alike.

Of methods that were run with several budgets, it is the budget in which they share the most
classes; of several such the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path

from oddlens.errors import DataError
from oddlens.evaluation.compare import Comparison, compare
from oddlens.evaluation.summary import Summary
from oddlens.tables.by_class import lengths, weight
from oddlens.tables.cells import NOT_RUN, UNKNOWN, distinct, markdown
from oddlens.tables.provenance import named, told_origin
from oddlens.tables.told import budget, data_sets, data_title, file_of, titled

PROTOCOLS = ("one-vs-all", "style")
HEADERS = (
    *("protocol", "data", "first", "second", "budget", "classes", "mean difference"),
    *("better in", "p (Wilcoxon)", "least p of so many", "error of the mean by seeds"),
)


def comparisons(folder: Path) -> str:
    """A row for each pair of methods as they come; differences are second less first, in points."""
    rows: list[list[str]] = []
    origins: list[str] = []
    for protocol in PROTOCOLS:
        for data in data_sets(protocol, folder):
            pairs = combinations(lengths(protocol, data, folder), 2)
            found = [each for pair in pairs if (each := _best_alike(*pair)) is not None]
            rows += [_row(*pair, each) for pair, each in found]
            if found:
                shown = list({id(one): one for pair, _ in found for one in pair}.values())
                origins.append(told_origin(shown, file_of(protocol, data, folder), commands=False))
    table = markdown(HEADERS, rows or [[NOT_RUN] * len(HEADERS)])
    absent = (
        f"Not run yet: there is no record in `{named(folder / '*.jsonl')}` of two methods "
        "measured alike."
    )
    return "\n\n".join([table, *(origins or [absent])])


def _best_alike(
    some: Sequence[Summary], others: Sequence[Summary]
) -> tuple[tuple[Summary, Summary], Comparison] | None:
    """The pair that was measured alike on the most classes, then for the longest."""
    found = [
        (pair, comparison)
        for pair in product(some, others)
        if (comparison := _compared(*pair)) is not None
    ]
    return max(
        found, key=lambda each: (len(each[1].classes), *weight(each[0][0])[1:]), default=None
    )


def _compared(one: Summary, other: Summary) -> Comparison | None:
    methods = one.configuration.method, other.configuration.method
    if methods[0] == methods[1]:
        return None
    try:
        return compare([*one.records, *other.records], *methods)[0]
    except DataError:  # not measured alike
        return None


def _row(one: Summary, other: Summary, found: Comparison) -> list[str]:
    first, second = found.means
    wins, losses = found.wins
    noise = found.noise
    # The same minutes may have had another number of threads.
    budgets = " against ".join(distinct(map(budget, (one, other))))
    return [
        *(one.configuration.protocol, data_title(one.configuration.data)),
        *(titled(one), titled(other), budgets, str(len(found.classes))),
        f"{100 * (second - first):+.1f}",
        f"{wins} : {losses}",
        *(f"{found.p_value:.2g}", f"{found.least_p_value:.2g}"),
        UNKNOWN if noise is None else f"{100 * noise.mean_error:.1f}",
    ]
