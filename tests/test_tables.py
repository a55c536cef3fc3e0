"""The tables of the documents are those of the records, and say "not run" where there are none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import headline_table, table_cells, tables
from oddlens.errors import OddlensError
from oddlens.evaluation.records import Record
from oddlens.evaluation.summary import Configuration
from oddlens.tables import rewritten
from oddlens.tables.documents import BLOCK

ORIGIN = {
    "commit": "abc1234",
    "dirty": False,
    "command": "python benchmarks/localization.py bottle --name bottle --keep /srv/kept",
    "hardware": {"cpu": "A CPU", "cores": 2, "threads": 2, "device": "cpu"},
    "torch": "2.13.0",
}


def trial(seed: int, image: float, **more: Any) -> dict[str, Any]:
    metrics = {"image_auroc": image, "pixel_auroc": 0.9, "aupro": 0.8, "pixel_ap": 0.5}
    metrics |= {"image_auroc_low": 0.9, "image_auroc_high": 1.0, "ms_per_image": 41.6}
    record = {"data": "bottle", "label": "default", "seed": seed, "minutes": 5.0, "options": {}}
    rest = {"metrics": metrics, "by_defect": {"crack": image, "stain": 1.0}}
    return {**record, **rest, "fit_seconds": 299.6, "provenance": ORIGIN, **more}


def write(folder: Path, name: str, *records: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    lines = "".join(f"{json.dumps(record)}\n" for record in records)
    (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def rows(table: str) -> list[list[str]]:
    """The cells of all rows of Markdown tables, their heads included."""
    lines = [line for line in table.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def cells(row: str) -> list[str]:
    return row.split(" | ")


# --- the documents of this project ------------------------------------------------------------


def test_the_documents_agree_with_the_records() -> None:
    stale = [path.relative_to(table_cells.ROOT).as_posix() for path in tables.differing()]
    assert not stale, f"run `make tables`: {', '.join(stale)}"


def named() -> list[str]:
    """The tables that the documents of this project hold."""
    texts = [path.read_text(encoding="utf-8") for path in tables.documents()]
    return list(dict.fromkeys(found[1] for text in texts for found in BLOCK.finditer(text)))


def test_the_documents_hold_every_table() -> None:
    protocols = {"style", "out_of_distribution", "presentation_attack", "localization"}
    expected = {*tables.OWN, *protocols, "one_vs_all_summary", "comparisons", "seed_noise"}
    assert expected <= {*named()}


def test_the_tables_that_the_command_line_lacks_are_named() -> None:
    text = (table_cells.ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in tables.OWN)


Place = tuple[str, int]
"""A record: the name of its file without the ending, and which line from 0 it is."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[Place, list[str]]:
    """The tables that tell of each record: below them stands the commit, here one of its own."""
    folder = tmp_path_factory.mktemp("marked") / "results"
    marks: dict[Place, str] = {}
    for stem, records in every_record().items():
        for at, record in enumerate(records):
            marks[stem, at] = record["provenance"]["commit"] = f"commit{len(marks)}."
        write(folder, stem, *records)
    texts = {name: tables.table(name, folder) for name in named()}
    return {
        place: [name for name, text in texts.items() if mark in text]
        for place, mark in marks.items()
    }


def every_record() -> dict[str, list[dict[str, Any]]]:
    stems = sorted(path.stem for path in table_cells.RESULTS.glob("*.jsonl"))
    return {stem: table_cells.read(stem) for stem in stems}


def measured_again(records: list[dict[str, Any]], at: int) -> bool:
    """Whether a later run of a script measured the same, which tables show in its place."""

    def what(record: dict[str, Any]) -> list[Any]:
        return [*map(record.get, ("method", "what", "clients")), "batch" in record]

    return any(what(later) == what(records[at]) for later in records[at + 1 :])


def test_every_record_is_told_by_a_table(told: dict[Place, list[str]]) -> None:
    records = every_record()
    silent = [place for place, names in told.items() if not names]
    assert not [(stem, at + 1) for stem, at in silent if not measured_again(records[stem], at)]


def alike(record: dict[str, Any]) -> str:
    """What records share that stand in the same rows: to delete one of them is enough here."""
    if "protocol" in record:
        return str(Configuration.of(Record.model_validate(record)))
    return json.dumps([record.get(name) for name in ("label", "group", "data", "method", "what")])


def test_a_record_that_is_deleted_changes_a_table(
    told: dict[Place, list[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    shutil.copytree(table_cells.RESULTS, folder)
    whole = {name: tables.table(name, folder) for name in named()}
    for stem, records in every_record().items():
        groups: dict[str, list[int]] = {}
        for at, record in enumerate(records):
            if told[stem, at]:
                groups.setdefault(alike(record), []).append(at)
        for places in groups.values():
            at = places[len(places) // 2]
            write(folder, stem, *records[:at], *records[at + 1 :])
            slow_last = sorted(told[stem, at], key=lambda name: name == "comparisons")
            assert any(tables.table(name, folder) != whole[name] for name in slow_last), (
                f"{stem}.jsonl, line {at + 1}"
            )
        write(folder, stem, *records)


def test_a_picture_of_other_records_is_found(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("No table.\n", encoding="utf-8")
    picture = tmp_path / tables.PICTURE
    picture.parent.mkdir(parents=True)
    (fresh,) = tables.differing(tmp_path).items()
    assert fresh[0] == picture
    picture.write_text(fresh[1], encoding="utf-8")
    assert not tables.differing(tmp_path)
    name = "few_anomalies_cifar10"
    write(tmp_path / "results", name, *table_cells.read(name))
    assert list(tables.differing(tmp_path)) == [picture]


# --- tables -----------------------------------------------------------------------------------


def test_the_headline_is_a_row_for_each_configuration_over_its_seeds(tmp_path: Path) -> None:
    mirrored = trial(0, 0.7, options={"flips": "horizontal"})
    other_label = trial(0, 0.1, label="a try")
    write(tmp_path, "ssm_localization", trial(1, 0.98), trial(0, 1.0), mirrored, other_label)
    table = tables.ssm_headline(tmp_path)
    mine = [row for row in rows(table) if "oddlens" in row[1]]
    ours = "MVTec AD, bottle | **oddlens SSM**"
    assert mine == [
        cells(f"{ours} | 5 | 99.0 ± 1.4 | 90.0 ± 0.0 | 80.0 ± 0.0 | 50.0 ± 0.0 | 42 | 0, 1"),
        cells(f"{ours}, `flips=horizontal` | 5 | 70.0 | 90.0 | 80.0 | 50.0 | 42 | 0"),
        ["magnetic tile", "**oddlens SSM**", *(7 * ["not run"])],
    ]


def test_the_numbers_of_others_stand_beside_with_their_source(tmp_path: Path) -> None:
    table = tables.ssm_headline(tmp_path)
    riad = next(row for row in rows(table) if row[1].startswith("RIAD"))
    assert riad == cells(
        "MVTec AD, bottle | RIAD, as published | – | 99.9 | 98.4 | – | 76.4 | – | –"
    )
    for other in json.loads(headline_table.REFERENCES.read_text(encoding="utf-8")):
        assert other["source"] in table


def test_defects_in_order_of_their_names(tmp_path: Path) -> None:
    write(tmp_path, "ssm_localization", trial(0, 0.9), trial(1, 0.8))
    assert rows(tables.ssm_defects(tmp_path))[1:] == [
        ["MVTec AD, bottle", "5", "crack", "85.0 ± 7.1", "0, 1"],
        ["MVTec AD, bottle", "5", "stain", "100.0 ± 0.0", "0, 1"],
    ]


def test_trials_one_by_one_with_interval_and_cost(tmp_path: Path) -> None:
    write(tmp_path, "ssm_localization", trial(3, 0.95, fit={"steps": 1200}, peak_memory_mib=900))
    head, row = rows(tables.ssm_trials(tmp_path))
    cells = dict(zip(head, row, strict=True))
    assert cells["image AUROC"] == "95.0 (90.0–100.0)"
    assert cells["pixel AUROC"] == "90.0"
    assert (cells["steps"], cells["fit, s"], cells["MiB"]) == ("1,200", "300", "900")
    assert cells["guaranteed, %"] == "not run"


def test_ablations_by_group_with_the_unchanged_detector_first(tmp_path: Path) -> None:
    scoring = {"provenance": {"command": "python benchmarks/scoring_ablation.py bottle"}}
    training = {"provenance": {"command": "python benchmarks/training_ablation.py bottle"}}
    write(
        tmp_path,
        "ssm_ablation",
        trial(0, 0.99, group="default", **scoring),
        trial(0, 0.95, group="training default", minutes=2.0, **training),
        trial(0, 0.97, group="cues", label="one", options={"cues": ["structure"]}, **scoring),
        {"group": "cues", "label": "none", "data": "magnetic_tile", "minutes": 5.0, **scoring},
        trial(0, 0.90, group="loss terms", label="no MSE", minutes=2.0, **training),
    )
    text = tables.ssm_ablations(tmp_path)
    assert text.index("**Cues**") < text.index("**Loss terms**")
    cues, loss = text.split("**Loss terms**")
    figures = ("image AUROC", "pixel AUROC", "AUPRO")
    places = [f"{one}, 5 min: {name}" for one in ("bottle", "magnetic_tile") for name in figures]
    assert rows(cues) == [
        ["what", "options", *places, "seeds"],
        cells("default |  | 99.0 | 90.0 | 80.0 | not run | not run | not run | 0"),
        cells('one | `cues=["structure"]` | 97.0 | 90.0 | 80.0 | not run | not run | not run | 0'),
        ["none", "", *(7 * ["not run"])],
    ]
    assert [row[2] for row in rows(loss)[1:]] == ["95.0", "90.0"]


def test_speed_as_it_was_measured(tmp_path: Path) -> None:
    record = {"what": "default against released", "value": 5.4321, "unit": "times", "note": "n"}
    write(tmp_path, "speed", {**record, "provenance": ORIGIN})
    (row,) = rows(tables.speed(tmp_path))[1:]
    assert row == ["default against released", "5.43", "times", "n", "A CPU"]


def test_an_ablation_is_compared_with_the_baseline_of_its_own_data(tmp_path: Path) -> None:
    base = [
        trial(0, 0.9, group="default"),
        trial(0, 0.7, group="default", data="magnetic_tile", label="subject=surface"),
    ]
    cells = trial(0, 0.6, group="surface", data="magnetic_tile", label="small cells")
    write(tmp_path, "ssm_ablation", *base, cells)
    labels = [row[0] for row in rows(tables.ssm_ablations(tmp_path))[1:]]
    assert labels == ["subject=surface", "small cells"]


@pytest.mark.parametrize("name", named())
def test_without_records_a_table_says_not_run(name: str, tmp_path: Path) -> None:
    text = tables.table(name, tmp_path / "results")
    assert "not run" in text
    assert "Not run yet: there is no record in `results/" in text


# --- documents --------------------------------------------------------------------------------


def test_a_table_is_made_anew_and_the_text_around_it_stays(tmp_path: Path) -> None:
    text = "Before.\n\n<!-- table:speed -->\nold\n<!-- end -->\n\nAfter.\n"
    fresh = rewritten(text, lambda name: tables.table(name, tmp_path))
    assert fresh.startswith("Before.\n\n<!-- table:speed -->\n| what |")
    assert fresh.endswith("\n<!-- end -->\n\nAfter.\n")
    assert "old" not in fresh
    assert rewritten(fresh, lambda name: tables.table(name, tmp_path)) == fresh


def test_a_marker_that_is_spoken_of_is_none(tmp_path: Path) -> None:
    text = "Write `<!-- table:NAME -->` and `<!-- end -->`.\n"
    assert rewritten(text, lambda name: tables.table(name, tmp_path)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- table:sped -->\n<!-- end -->\n", "no table 'sped'"),
        ("<!-- table:speed -->\nold\n", "do not pair up"),
        ("<!-- table:speed -->\n<!-- table:speed -->\n<!-- end -->\n", "do not pair up"),
        ("<!-- table:speed -->\n<!-- end -->\n<!-- end -->\n", "do not pair up"),
    ],
)
def test_a_wrong_marker_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(OddlensError, match=message):
        rewritten(text, lambda name: tables.table(name, tmp_path))


def test_the_program_rewrites_and_its_check_fails_until_it_has(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "docs").mkdir()
    source = table_cells.ROOT / "benchmarks"
    for path in (
        *source.glob("table*.py"),
        *source.glob("*_table*.py"),
        source / "references.json",
    ):
        shutil.copy(path, tmp_path / "benchmarks" / path.name)
    document = tmp_path / "README.md"
    document.write_text("<!-- table:speed -->\n<!-- end -->\n", encoding="utf-8")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "benchmarks.tables", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    stale = run("--check")
    assert stale.returncode == 1
    assert "README.md: differs" in stale.stdout
    assert document.read_text(encoding="utf-8") == "<!-- table:speed -->\n<!-- end -->\n"
    assert run().returncode == 0
    assert "not run" in document.read_text(encoding="utf-8")
    assert run("--check").returncode == 0
    record = {"what": "w", "value": 1.0, "unit": "u", "note": "n"}
    write(tmp_path / "results", "speed", record)
    assert run("--check").returncode == 1
