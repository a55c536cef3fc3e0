"""The table of AnoMem's ablation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.anomem_ablation_tables import anomem_ablation
from benchmarks.tables import table as table_of
from oddlens.detectors.anomem import AnoMem
from oddlens.evaluation.records import Record
from oddlens.tables.by_class import by_class, variants
from tests.evaluation.made_records import made
from tests.tables.test_by_class import kept

DATA = "fashion-mnist"
EVERY = ["memory", "kmeans", "features", "mahalanobis"]


def record(
    target: str, cues: dict[str, float], sets: dict[str, float] | None = None, **options: Any
) -> Record:
    given = {"preset": "compact", "flips": "horizontal", **options}
    return made(
        target,
        auroc=0.77,
        data=DATA,
        method="anomem",
        options=given,
        config=AnoMem(**given).config.model_dump(mode="json"),
        cue_aurocs=cues,
        cue_set_aurocs=sets or {},
        diagnostics={
            "memories on held-out normals": {"scale 3: attention": 2.5, "scale 3: spread": 0.6}
        },
    )


def cells(table: str, part: str, variant: str) -> list[str]:
    found = [line for line in table.splitlines() if line.startswith(f"| {part} | {variant} |")]
    assert len(found) == 1, table
    return [each.strip() for each in found[0].split("|")[3:-1]]


def test_several_rows_come_from_one_fit(tmp_path: Path) -> None:
    alone = {f"scale {s}": 0.6 + s / 100 for s in (1, 2, 3)}
    alone |= {f"kmeans scale {s}": 0.5 + s / 100 for s in (1, 2, 3)} | {"mahalanobis": 0.9}
    sets = {"scale 1 + scale 2 + scale 3": 0.7, "scale 1 + scale 2": 0.1}
    sets |= {" + ".join(f"kmeans scale {s}" for s in (1, 2, 3)): 0.65, "mean": 0.2}
    folder = kept(
        tmp_path,
        record("dress", alone, sets, evidence=EVERY),
        record("t-shirt", alone, {**sets, "scale 1 + scale 2 + scale 3": 0.8}, evidence=EVERY),
        data=DATA,
    )
    table = anomem_ablation(DATA, folder)
    assert "| part | variant | t-shirt | dress | mean |" in table
    usual = cells(table, "as it comes", "learned memory, 3 scales, spread")
    assert usual == ["80.0", "70.0", "75.0", "2.5 of 64", "0.60"]
    same = "recalled on the same encoder"
    assert cells(table, same, "k-means prototypes")[:4] == ["65.0", "65.0", "65.0", "–"]
    assert cells(table, same, "one Gaussian of the last scale (SSD)")[2] == "90.0"
    assert cells(table, "one scale of the three", "scale 2")[2] == "62.0"
    assert cells(table, "beta, by default 8", "16")[:3] == ["not run"] * 3


def test_a_single_pass_is_in_no_other_table_of_ours_and_in_all_of_others(tmp_path: Path) -> None:
    three = {f"scale {s}": 0.6 for s in (1, 2, 3)}
    folder = kept(tmp_path, record("dress", three), record("dress", three, beta=16), data=DATA)
    for name in ("one_vs_all_fashion_mnist", "variants_fashion_mnist"):
        assert "not run" in table_of(name, folder)
    assert "| dress | 77.0" in by_class("one-vs-all", DATA, folder)
    assert "`beta=16`" in variants(DATA, folder)


def test_variants_go_to_their_rows(tmp_path: Path) -> None:
    three = {f"scale {s}": 0.6 for s in (1, 2, 3)}
    one = {"scale 1": 0.81}
    kmeans = {f"kmeans scale {s}": 0.5 for s in (1, 2, 3)} | {"mahalanobis": 0.66}
    lengths = {**three, **{f"kmeans scale {s}": 0.5 for s in (1, 2, 3)}}
    folder = kept(
        tmp_path,
        record("dress", one, scales=1),
        record("dress", three, beta=16),
        record("dress", three, variance_weight=0.0, collapse="tell"),
        record("dress", kmeans, memory=False, evidence=["kmeans", "mahalanobis"]),
        record("dress", lengths, {"scale 1 + scale 2 + scale 3": 0.71}, measure="length",
               evidence=["memory", "kmeans"]),
        made("dress", data=DATA, method="anomem", minutes=5.0, epochs=None, cue_aurocs=three),
        data=DATA,
    )  # fmt: skip
    table = anomem_ablation(DATA, folder)
    assert cells(table, "scales learned", "1")[0] == "81.0"
    assert cells(table, "beta, by default 8", "16")[0] == "77.0"  # the score
    assert cells(table, "variance term", "`variance_weight=0`")[0] == "77.0"
    simclr = "no memory in training (SimCLR)"
    assert cells(table, simclr, "one Gaussian (SSD)")[0] == "66.0"
    assert cells(table, simclr, "k-means, last scale")[0] == "50.0"
    assert cells(table, "measured by its length", "learned memory")[0] == "71.0"
    assert cells(table, "as it comes", "learned memory, 3 scales, spread")[0] == "not run"


def test_without_records_nothing_was_run(tmp_path: Path) -> None:
    assert "Not run yet" in anomem_ablation(DATA, tmp_path)
