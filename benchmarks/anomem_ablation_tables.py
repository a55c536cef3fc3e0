"""What each part of AnoMem is worth, from results/one_vs_all_<data>.jsonl.

Every row is of fits of a single pass, which `oddlens benchmark one-vs-all --epochs 1` makes.
Several rows may come from one fit: what its cues say alone, and the scales of each kind of evidence
together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.table_cells import RESULTS
from oddlens.detectors.anomem_evidence import scale_cue
from oddlens.evaluation.records import Record
from oddlens.evaluation.summary import Summary, percent
from oddlens.images.catalogue import CATALOGUE
from oddlens.tables.cells import NOT_RUN, UNKNOWN, markdown
from oddlens.tables.provenance import told_origin
from oddlens.tables.told import file_of, not_usual, summaries_of

PROTOCOL = "one-vs-all"

_ASIDE = ("evidence", "collapse")
"""Options that change what is measured and not what is learned."""


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        part: of the method, that is looked at.
        variant: in words.
        evidence: what the AUROC is of: a kind of ``evidence``, all its scales together.
        options: that are set by hand, those aside that say what is measured.
        scale: a single one of the scales that were learned; None for all.
    """

    part: str
    variant: str
    evidence: str = "memory"
    options: Mapping[str, Any] = field(default_factory=dict)
    scale: int | None = None


_SIMCLR: Mapping[str, Any] = {"memory": False}
ROWS = (
    Row("as it comes", "learned memory, 3 scales, spread"),
    Row("recalled on the same encoder", "k-means prototypes", "kmeans"),
    Row("recalled on the same encoder", "nothing: the features' own spread", "features"),
    Row("recalled on the same encoder", "one Gaussian of the last scale (SSD)", "mahalanobis"),
    Row("no memory in training (SimCLR)", "k-means prototypes", "kmeans", _SIMCLR),
    Row("no memory in training (SimCLR)", "k-means, last scale", "kmeans", _SIMCLR, 3),
    Row("no memory in training (SimCLR)", "random prototypes", options=_SIMCLR),
    Row("no memory in training (SimCLR)", "nothing recalled", "features", _SIMCLR),
    Row("no memory in training (SimCLR)", "one Gaussian (SSD)", "mahalanobis", _SIMCLR),
    *(Row("one scale of the three", f"scale {scale}", scale=scale) for scale in (1, 2, 3)),
    *(Row("scales learned", f"{count}", options={"scales": count}) for count in (1, 2)),
    Row("variance term", "`variance_weight=0`", options={"variance_weight": 0.0}),
    *(Row("beta, by default 8", f"{beta}", options={"beta": float(beta)}) for beta in (4, 16, 32)),
    *(
        Row("prototypes, by default 64", f"{slots}", options={"slots": slots})
        for slots in (16, 256)
    ),
    Row("measured by its length", "learned memory", options={"measure": "length"}),
    Row("measured by its length", "k-means prototypes", "kmeans", {"measure": "length"}),
)


def is_ablation(summary: Summary) -> bool:
    """AnoMem trained for a single pass: too little for any other table of this repository."""
    one = summary.configuration
    return (one.protocol, one.method, one.epochs) == (PROTOCOL, "anomem", 1)


def no_ablation(summary: Summary) -> bool:
    """What the other tables tell of."""
    return not is_ablation(summary)


def anomem_ablation(data: str, folder: Path = RESULTS) -> str:
    """A row for each variant, a column for each class, and whether the memory was alive.

    Args:
        data: the data set.
        folder: of the records.
    """
    found = [each for each in summaries_of(PROTOCOL, data, folder) if is_ablation(each)]
    behind = [(row, _behind(row, found)) for row in ROWS]
    records = [record for _, used in behind for record in used]
    targets = {record.target for record in records}
    classes = [each for each in CATALOGUE[data].classes if each in targets]
    rows = [[row.part, row.variant, *_cells(row, used, classes)] for row, used in behind]
    headers = ["part", "variant", *classes, "mean", "recalled at once", "spread of recalls"]
    used = [each for each in found if any(record in records for record in each.records)]
    return f"{markdown(headers, rows)}\n\n{told_origin(used, file_of(PROTOCOL, data, folder))}"


def _behind(row: Row, summaries: Sequence[Summary]) -> list[Record]:
    """The records of a row: of the variant, where the evidence was measured; the most classes."""
    fitting = [
        [record for record in each.records if _value(row, record) is not None]
        for each in summaries
        if _set_by_hand(each) == dict(row.options)
    ]
    return max(fitting, key=lambda records: len({each.target for each in records}), default=[])


def _set_by_hand(summary: Summary) -> dict[str, Any]:
    one = summary.configuration
    actual = {**json.loads(one.config), **json.loads(one.options)}
    by_hand = not_usual(one, one.method, actual)
    return {name: value for name, value in by_hand.items() if name not in _ASIDE}


def _value(row: Row, record: Record) -> float | None:
    """AUROC of a row's evidence; None where the record has none."""
    if row.evidence == "mahalanobis":
        return record.cue_aurocs.get(row.evidence)
    scales = range(1, record.config["scales"] + 1) if row.scale is None else [row.scale]
    names = [scale_cue(row.evidence, scale) for scale in scales]
    if len(names) == 1:
        return record.cue_aurocs.get(names[0])
    if {*names} == {*record.cue_aurocs}:
        return record.metrics.image_auroc
    return record.cue_set_aurocs.get(" + ".join(names))


def _cells(row: Row, records: Sequence[Record], classes: Sequence[str]) -> list[str]:
    """AUROC of each class, their mean, and the state of the last scale's memory."""
    if not records:
        return [*(NOT_RUN for _ in classes), NOT_RUN, UNKNOWN, UNKNOWN]
    by_class = {
        target: fmean(
            value
            for record in records
            if record.target == target and (value := _value(row, record)) is not None
        )
        for target in {record.target for record in records}
    }
    means = [percent(by_class[each]) if each in by_class else NOT_RUN for each in classes]
    whole = len(by_class) == len(classes)
    mean = percent(fmean(by_class.values())) if whole else UNKNOWN
    return [*means, mean, *(_state(row, records, name) for name in ("attention", "spread"))]


def _state(row: Row, records: Sequence[Record], name: str) -> str:
    """Of the memory whose recall the row is of: mean over the records, on held-out normals."""
    if row.evidence != "memory":
        return UNKNOWN
    known = []
    for record in records:
        scale = row.scale or record.config["scales"]
        states = record.diagnostics.get("memories on held-out normals", {})
        known.append(states.get(f"scale {scale}: {name}"))
    if None in known:
        return UNKNOWN
    slots = records[0].config["slots"]
    mean = fmean(each for each in known if each is not None)
    return f"{mean:.1f} of {slots}" if name == "attention" else f"{mean:.2f}"
