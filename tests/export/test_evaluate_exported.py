"""``oddlens evaluate`` of an exported file says what it says of the detector, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from oddlens.cli import main
from tests.cli.conftest import Run, run
from tests.export.models import fitted, odd_pictures

__all__ = ["run"]

pytestmark = pytest.mark.slow  # drawing a graph takes seconds

EXACT = ("image_auroc", "image_ap", "image_f1_max")
"""Of ranks alone: equal, with their intervals, unless rounding turns two images round."""
COUNTS = (
    *("n_normal", "n_anomalous", "n_skipped", "detection_rate"),
    *("false_alarm_rate_wanted", "false_alarm_rate_guaranteed", "false_alarm_rate_seen"),
)


class Models(NamedTuple):
    detector: Path
    exported: Path
    localizes: bool


@pytest.fixture(scope="module", params=["anomem", "multitask"])
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Models:
    root = tmp_path_factory.mktemp("models")
    detector, exported = root / "m.oddlens", root / "m.onnx"
    fitted(request.param).save(detector)
    assert main(["export", str(detector), "--out", str(exported), "--quiet"]) == 0
    return Models(detector, exported, localizes=request.param.startswith("anomem"))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 good pictures and 12 with a black square, whose masks say where; one file is broken."""
    root = tmp_path_factory.mktemp("labelled")
    for folder in ("test/good", "test/hole", "ground_truth/hole"):
        (root / folder).mkdir(parents=True)
    mask = np.zeros((40, 40), np.uint8)
    mask[5:17, 8:20] = 255
    for index, picture in enumerate(odd_pictures(24, seed=21)):
        kind = "good" if index % 2 else "hole"
        Image.fromarray(picture).save(root / "test" / kind / f"{index:03}.png")
        if kind == "hole":
            Image.fromarray(mask).save(root / "ground_truth" / kind / f"{index:03}_mask.png")
    (root / "test" / "good" / "broken.png").write_bytes(b"no picture")
    return root


def measured(run: Run, model: Path, labelled: Path, folder: Path) -> dict[str, Any]:
    """What is written, which is also what is printed."""
    folder.mkdir()
    out, report = folder / "metrics.json", folder / "report.html"
    call = ("evaluate", model, labelled, "--out", out, "--report", report)
    outcome = run(*call, "--false-alarm-rate", 0.2, "--json")
    assert outcome.code == 0, outcome.err
    assert "broken.png" in outcome.err
    assert "<html" in report.read_text(encoding="utf-8")
    written: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    assert json.loads(outcome.out) == written
    return written


def test_metrics_are_the_detectors(
    run: Run, models: Models, labelled: Path, tmp_path: Path
) -> None:
    wanted = measured(run, models.detector, labelled, tmp_path / "a")
    found = measured(run, models.exported, labelled, tmp_path / "b")
    assert list(found) == list(wanted)
    assert ("aupro" in found) is models.localizes
    exact = [name for name in found if name.startswith(EXACT)]
    assert len(exact) == 9
    for name in (*exact, *COUNTS, "by_defect"):
        assert found[name] == wanted[name], name
    for name in found:
        if name.startswith(("pixel_", "aupro")):  # some hundred thousand pixels, of which two turn
            assert found[name] == pytest.approx(wanted[name], abs=1e-4), name
    assert (found["n_normal"], found["n_anomalous"], found["n_skipped"]) == (12, 12, 1)


def test_verdicts_and_scores_are_the_detectors(run: Run, models: Models, labelled: Path) -> None:
    told = []
    for model in (models.detector, models.exported):
        outcome = run("score", model, labelled / "test", "--json", "--false-alarm-rate", 0.2)
        assert outcome.code == 0, outcome.err
        told.append(json.loads(outcome.out))
    wanted, found = (each["predictions"] for each in told)
    assert len(found) == len(wanted) == 24
    assert 0 < sum(each["is_anomaly"] for each in found) < 24
    for mine, theirs in zip(found, wanted, strict=True):
        for name in ("path", "is_anomaly", "p_value"):
            assert mine[name] == theirs[name]
        assert mine["score"] == pytest.approx(theirs["score"], rel=1e-4)


def test_the_record_tells_what_was_measured(
    run: Run, models: Models, labelled: Path, tmp_path: Path
) -> None:
    wanted = measured(run, models.detector, labelled, tmp_path / "a")["provenance"]
    found = measured(run, models.exported, labelled, tmp_path / "b")["provenance"]
    exported = found["detector"].pop("exported")
    assert found == wanted
    assert set(exported) == {"oddlens", "onnxruntime"}


def test_no_torch_is_imported(models: Models, labelled: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from oddlens.cli import main; "
        "code = main(sys.argv[1:]); print(code, 'torch' in sys.modules)"
    )
    out, report = tmp_path / "metrics.json", tmp_path / "report.html"
    call: list[str | Path] = [
        "evaluate",
        models.exported,
        labelled,
        "--out",
        out,
        "--report",
        report,
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *call], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 False", done.stderr
    assert "image_auroc" in done.stdout
    assert ("aupro" in done.stdout) is models.localizes
    assert report.is_file()


@pytest.mark.parametrize("verb", ["export", "ensemble"])
def test_what_needs_the_detector_itself_says_so(
    run: Run, models: Models, labelled: Path, tmp_path: Path, verb: str
) -> None:
    more = ["--normal", labelled] if verb == "ensemble" else []
    outcome = run(verb, models.exported, *more, "--out", tmp_path / "new.onnx", "--quiet")
    assert outcome.code == 1
    assert f"error: {models.exported} is an exported file" in outcome.err
    assert outcome.err.count("\n") == 1
