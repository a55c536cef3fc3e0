"""The tables of exported files and of the service show the latest whole measurement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.serving_tables import exported, loaded, served

ORIGIN = {"commit": "abc", "command": "python benchmarks/serving.py", "cpu": "a CPU", "cores": 2}
COUNTS = {"requests": 20_000, "scored": 19_800, "refused as they should": 200, "lost": 0}


def keep(folder: Path, name: str, records: list[dict[str, Any]]) -> None:
    lines = [json.dumps({**record, "provenance": ORIGIN}) for record in records]
    (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")


def rows(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def run(method: str, service: float) -> list[dict[str, Any]]:
    of = {"method": method, "image_sizes": [128]}
    waits = [
        {**of, "what": f"p{part}", "clients": clients, "value": part * clients, "unit": "ms"}
        for clients in (1, 8, 32)
        for part in (50, 99)
    ]
    pace = {"batch": 16, "clients": 4}
    return [
        {**of, **pace, "what": "in process", "value": 40},
        {**of, **pace, "what": "service", "value": service},
        {**of, **pace, "what": "service against in process", "value": service / 40},
        *waits,
        {**of, "what": "load", "clients": 32, **COUNTS, "wrong": 0, "busy, tried again": 3},
        {**of, "what": "load", "value": 38.2, "unit": "requests/s"},
        {**of, "what": "memory at the end", "value": 301.2, "unit": "MiB"},
        {**of, "what": "memory growth", "value": -1.5, "unit": "MiB"},
    ]


def test_the_latest_run_of_each_method_is_shown(tmp_path: Path) -> None:
    keep(tmp_path, "serving", [*run("ssm", 30), *run("multitask", 36), *run("ssm", 38)])
    assert rows(served(tmp_path)) == [
        ["SSM", "40.0", "38.0", "0.95", "50.0 / 99.0", "400 / 792", "1,600 / 3,168"],
        ["MultiTask", "40.0", "36.0", "0.90", "50.0 / 99.0", "400 / 792", "1,600 / 3,168"],
    ]
    counts = ["20,000", "19,800", "200", "0", "0", "3"]
    assert rows(loaded(tmp_path))[0] == ["SSM", *counts, "38.2", "301", "-1.5"]


def test_a_run_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    keep(tmp_path, "serving", [*run("multitask", 36), *run("ssm", 38)[:5]])
    assert [row[0] for row in rows(served(tmp_path))] == ["MultiTask"]
    keep(tmp_path, "serving", [*run("ssm", 30), *run("ssm", 38)[:5]])
    assert rows(served(tmp_path))[0][1:4] == ["40.0", "30.0", "0.75"]


def test_files_are_told_with_their_gain_and_their_deviation(tmp_path: Path) -> None:
    of = {"method": "AnoMem", "batch": 16, "image_sizes": [32]}
    values = {
        "torch": 3.0,
        "onnxruntime": 1.5,
        "torch against onnxruntime": 2.0,
        "largest deviation": 4.2e-7,
        "file": 12.34,
    }
    keep(tmp_path, "onnx_speed", [{**of, "what": w, "value": v} for w, v in values.items()])
    assert rows(exported(tmp_path)) == [["AnoMem", "32", "3.0", "1.5", "2.0", "4e-07", "12.3"]]


def test_without_records_nothing_was_run(tmp_path: Path) -> None:
    for table in (exported, served, loaded):
        assert {cell for row in rows(table(tmp_path)) for cell in row} == {"not run"}
