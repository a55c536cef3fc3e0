"""Where the numbers of a table come from, in a line."""

from __future__ import annotations

import shlex
from itertools import product
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oddlens.tables.provenance import merged, named, origin

ORIGIN: dict[str, Any] = {
    "commit": "abc1234",
    "dirty": False,
    "command": "python benchmarks/localization.py bottle --name bottle --keep /srv/kept",
    "hardware": {"cpu": "A CPU", "cores": 2, "threads": 2, "device": "cpu"},
    "torch": "2.13.0",
}


def record(seed: int = 0, **provenance: Any) -> dict[str, Any]:
    return {"seed": seed, "provenance": {**ORIGIN, **provenance}}


def test_commit_command_hardware_and_seeds() -> None:
    found = origin([record(1), record(commit="def5678", dirty=True)], "results/x.jsonl")
    assert found == (
        "Commits abc1234, def5678 with changes; "
        "`python benchmarks/localization.py bottle --name bottle`; A CPU, 2 threads on 2 cores, "
        "torch 2.13.0; seeds 0, 1; records in `results/x.jsonl`."
    )
    short = origin([record()], "results/x.jsonl", commands=False)
    assert short == (
        "Commit abc1234; A CPU, 2 threads on 2 cores, torch 2.13.0; seeds 0; records in "
        "`results/x.jsonl`."
    )


def test_no_place_on_a_machine_and_no_silence() -> None:
    command = "oddlens benchmark style --root /srv/fonts -q --keep-scores kept --out results"
    found = origin([record(command=command)], "x.jsonl")
    assert "`oddlens benchmark style --root fonts --out results`" in found
    assert named(Path("/srv/mine/x.jsonl")) == "mine/x.jsonl"
    assert named(Path("x.jsonl")) == "x.jsonl"


def test_commands_that_differ_in_their_classes_are_one() -> None:
    start = "oddlens benchmark one-vs-all --data digits"
    found = merged(
        [
            f"{start} --method ssm --classes 0-2 --seeds 0",
            f"{start} --classes 7,3 --seeds 0 --method ssm",
            f"{start} --method ssm --classes 0-2 --seeds 1",
            f"{start} --method toy --classes cat --seeds 0",
            f"{start} --method toy --classes cat,dog --seeds 0",
        ]
    )
    assert found == [
        f"{start} --method ssm --classes 0-3,7 --seeds 0",
        f"{start} --method ssm --classes 0-2 --seeds 1",
        f"{start} --method toy --classes cat,dog --seeds 0",
    ]


def test_seeds_are_merged_as_each_program_takes_them() -> None:
    assert merged(["python a.py --seeds 0 2", "python a.py --seeds 1"]) == [
        "python a.py --seeds 0 1 2"
    ]
    assert merged(["oddlens a --seeds 0", "oddlens a --seeds 5"]) == ["oddlens a --seeds 0,5"]
    assert merged(["oddlens a --classes 0", "oddlens a"]) == ["oddlens a --classes 0", "oddlens a"]


def ran(command: str) -> set[tuple[int, int]]:
    """The pairs of class and seed of a command."""
    words = shlex.split(command)

    def numbers(option: str) -> set[int]:
        found: set[int] = set()
        for part in words[words.index(option) + 1].split(","):
            first, _, last = part.partition("-")
            found |= {*range(int(first), int(last or first) + 1)}
        return found

    return {*product(numbers("--classes"), numbers("--seeds"))}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, unique=True))
def test_merging_tells_of_nothing_that_was_not_run(pairs: list[tuple[int, int]]) -> None:
    found = merged([f"oddlens a --classes {one} --seeds {seed}" for one, seed in pairs])
    assert set().union(*map(ran, found)) == {*pairs}
    assert len(found) <= len(pairs)
