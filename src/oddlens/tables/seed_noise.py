"""How much of what differs is the noise of seeds."""

from __future__ import annotations

from pathlib import Path

from oddlens.evaluation.paired import seed_noise
from oddlens.evaluation.protocols import PROTOCOLS
from oddlens.evaluation.summary import Summary, told
from oddlens.tables.cells import NOT_RUN, UNKNOWN, markdown, seeds_of
from oddlens.tables.provenance import named, told_origin
from oddlens.tables.told import budget, data_sets, data_title, file_of, summaries_of, titled

HEADERS = (
    *("protocol", "data", "detector", "budget", "classes", "seeds"),
    *("deviation over seeds", "deviation over classes", "error of the mean by seeds"),
)


def seed_noise_table(folder: Path) -> str:
    """A row for each configuration that has a class with two seeds or more; AUROC, in points."""
    rows: list[list[str]] = []
    origins: list[str] = []
    for protocol in PROTOCOLS:
        for data in data_sets(protocol, folder):
            every = [(one, _row(one)) for one in summaries_of(protocol, data, folder)]
            shown = [(one, row) for one, row in every if row]
            rows += [row for _, row in shown]
            if shown:
                file = file_of(protocol, data, folder)
                origins.append(told_origin([one for one, _ in shown], file, commands=False))
    table = markdown(HEADERS, rows or [[NOT_RUN] * len(HEADERS)])
    absent = (
        f"Not run yet: there is no record in `{named(folder / '*.jsonl')}` of a class with two "
        "seeds or more."
    )
    return "\n\n".join([table, *(origins or [absent])])


def _row(summary: Summary) -> list[str]:
    values: dict[str, dict[int, float]] = {}
    for record in summary.records:
        values.setdefault(record.target, {})[record.seed] = record.metrics.image_auroc
    noise = seed_noise(values)
    if noise is None:
        return []
    one = summary.configuration
    data = ", ".join(filter(None, (data_title(one.data), told(summary.records[0].setting))))
    figures = [noise.seed_deviation, noise.class_deviation, noise.mean_error]
    cells = [f"{100 * value:.2f}" for value in figures]
    if noise.classes == 1:
        cells[1] = UNKNOWN
    return [
        *(one.protocol, data, titled(summary), budget(summary), f"{noise.classes}"),
        *(seeds_of(summary.records), *cells),
    ]
