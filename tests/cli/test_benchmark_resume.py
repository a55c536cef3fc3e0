"""``oddlens benchmark`` of every protocol, killed half way, goes on to the same records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from oddlens.demo.fonts import matplotlib_fonts
from oddlens.evaluation.origin import checkout
from oddlens.evaluation.protocols import PROTOCOLS
from tests.cli.conftest import Run
from tests.images.catalogue.made import attacks, category

ODDLENS = str(Path(sys.executable).with_name("oddlens"))
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "ODDLENS_DEBUG": "0"}


def method(name: str, *options: str) -> list[str]:
    return ["--method", name, *(word for each in options for word in ("--set", each))]


MULTITASK = method("multitask", "image_size=16", 'tasks=["vertical"]', "widths=[8]", "stem=4")
SSM = method("ssm", "image_size=32", "widths=[8,8]", "cells=[4,8]", "scoring_cells=[8]")
# Memory is off, since one that was hardly trained is refused.
ANOMEM = method("anomem", "image_size=16", "widths=[8]", "scales=1", "memory=false", "turned=false")

CALLS: dict[str, list[str]] = {
    "one-vs-all": ["--data", "digits", *MULTITASK, "--classes", "0-2"],
    "few-anomalies": [
        *("--data", "digits", *ANOMEM, "--classes", "3"),
        *("--gammas", "0,0.1", "--anomalies", "all,single"),
    ],
    "style": ["--data", "folder", *MULTITASK],
    "out-of-distribution": [
        *("--data", "digits", "--odd", "textures", *MULTITASK),
        *("--seeds", "0-1", "--test-limit", "100"),
    ],
    "localization": ["--data", "mvtec", *SSM],
    "presentation-attack": ["--data", "attacks", *MULTITASK, "--seeds", "0-2"],
}
"""Each of two or three trials."""


def make_data(protocol: str, root: Path, run: Run) -> None:
    """What is not embedded."""
    if protocol == "style":
        fonts = matplotlib_fonts()[:3]
        made = run("fonts", *fonts, "--out", root, "--train", 1, "--test", 1)
        assert made.code == 0, made.err
    elif protocol == "localization":
        for name in ("cup", "nut", "pin"):
            category(root / name, each=6)
    elif protocol == "presentation-attack":
        attacks(root, each=8)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As many as the commands have."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    checkout.cache_clear()  # asked when the commands ask
    yield
    torch.set_num_threads(before)


def kill_after_first_record(call: list[str], file: Path, said: Path) -> None:
    with said.open("w") as stream:
        process = subprocess.Popen(
            [ODDLENS, *call], stdout=subprocess.DEVNULL, stderr=stream, env=ONE_THREAD
        )
    try:
        while not (file.exists() and b"\n" in file.read_bytes()):
            assert process.poll() is None, said.read_text()
            time.sleep(0.002)
    finally:
        process.kill()
        code = process.wait()
    assert code == -signal.SIGKILL


def measured(file: Path) -> list[dict[str, Any]]:
    """The records without what no two runs share: times, memory and the date."""
    records: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    for record in records:
        del record["fit_seconds"], record["fit"]["seconds"], record["metrics"]["ms_per_image"]
        del record["peak_memory_mib"], record["provenance"]["when"]
    return records


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_killed_run_goes_on_to_the_records_of_a_whole_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    root = tmp_path / "data"
    make_data(protocol, root, run)
    call = ["benchmark", protocol, *CALLS[protocol], "--epochs", "1", "--device", "cpu"]
    call += ["--root", str(root)] if root.exists() else []
    whole, cut = (tmp_path / name / "records.jsonl" for name in ("whole", "cut"))

    monkeypatch.setattr(sys, "argv", ["oddlens", *call, "--out", str(whole)])
    unbroken = run(*sys.argv[1:])
    assert unbroken.code == 0, unbroken.err
    count = len(measured(whole))
    assert count >= 2

    call += ["--out", str(cut)]
    kill_after_first_record(call, cut, tmp_path / "said")
    kept = cut.read_bytes()
    kept = kept[: kept.rindex(b"\n") + 1]
    done = kept.count(b"\n")
    assert 1 <= done < count
    monkeypatch.setattr(sys, "argv", ["oddlens", *call])
    resumed = run(*call)
    assert resumed.code == 0, resumed.err
    assert resumed.err.count("recorded earlier") == done
    assert cut.read_bytes().startswith(kept)
    assert measured(cut) == measured(whole)
