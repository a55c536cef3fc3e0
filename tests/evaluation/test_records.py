"""The file of records survives being cut off."""

from __future__ import annotations

import fcntl
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from oddlens.errors import DataError, OddlensError
from oddlens.evaluation.protocols import Trial
from oddlens.evaluation.records import Record, RecordFile
from tests.evaluation.made_records import made


@pytest.fixture
def file(tmp_path: Path) -> RecordFile:
    return RecordFile(tmp_path / "deep" / "r.jsonl")


def test_records_come_back_in_order(file: RecordFile) -> None:
    assert file.read() == []
    records = [made("a"), made("b", diagnostics={"x": [1, None]}), made("a", 1)]
    for record in records:
        file.append(record)
    assert file.read() == records
    lines = file.path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["target"] for line in lines] == ["a", "b", "a"]


LINES = (made("a").model_dump_json() + "\n" + made("b").model_dump_json() + "\n").encode()
END_OF_FIRST = LINES.index(b"\n")


@given(st.integers(0, len(LINES)))
def test_wherever_a_file_is_cut_the_whole_records_stay_and_the_next_fits(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    file = RecordFile(tmp_path_factory.mktemp("cut") / "r.jsonl")
    file.path.write_bytes(LINES[:cut])
    whole = (cut >= END_OF_FIRST) + (cut >= len(LINES) - 1)
    assert [record.target for record in file.read()] == ["a", "b"][:whole]
    file.append(made("c"))
    assert [record.target for record in file.read()] == [*["a", "b"][:whole], "c"]


def test_a_damaged_line_in_the_middle_is_named(file: RecordFile) -> None:
    file.append(made("a"))
    file.path.write_bytes(file.path.read_bytes() + b'{"version": 1}\n')
    file.append(made("b"))
    with pytest.raises(DataError, match=r"r\.jsonl: line 2 is no record of a trial \(protocol"):
        file.read()


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OddlensError, match="cannot write .*r.jsonl"):
        RecordFile(tmp_path / "file" / "r.jsonl").append(made())


def test_several_may_append_to_one_file_at_once(file: RecordFile) -> None:
    def append_many(target: str) -> None:
        for seed in range(25):
            RecordFile(file.path).append(made(target, seed))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append_many, "abcd"))
    found = [(record.target, record.seed) for record in file.read()]
    assert sorted(found) == [(name, seed) for name in "abcd" for seed in range(25)]


def test_an_append_waits_for_another_to_end(file: RecordFile) -> None:
    file.append(made("a"))
    with file.path.open("rb") as other, ThreadPoolExecutor(1) as pool:
        fcntl.flock(other, fcntl.LOCK_EX)
        appended = pool.submit(file.append, made("b"))
        with pytest.raises(TimeoutError):
            appended.result(timeout=0.2)
        assert len(file.read()) == 1
        fcntl.flock(other, fcntl.LOCK_UN)
        appended.result(timeout=30)
    assert len(file.read()) == 2


def test_the_schema_refuses_what_it_does_not_know() -> None:
    for wrong in ({"colour": 1}, {"metrics": {"image_auroc": 1.2}}, {"version": 2}):
        with pytest.raises(ValidationError):
            Record.model_validate({**made().model_dump(), **wrong})


def test_a_record_has_the_key_of_its_trial() -> None:
    trial = Trial("one-vs-all", "x", None, "0f", "a", "toy", {"preset": "compact"}, 3, epochs=1)
    assert made("a", 3).key == trial.key
    assert made("a", 4).key != trial.key
