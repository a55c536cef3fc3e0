"""What is exported scores as the detector does, and needs no torch for it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oddlens.cli import main
from oddlens.detector import Detector
from oddlens.errors import ArtifactError, UsageError
from oddlens.export import load_onnx, to_onnx
from oddlens.export.onnx_detector import OnnxDetector
from tests.cli.conftest import Run, run
from tests.export.models import fitted, odd_pictures

__all__ = ["run"]

pytestmark = pytest.mark.slow  # drawing a graph takes seconds

NAMES = ["ssm drawn", "multitask", "mhrot", "multicue", "anomem surface", "anomem lite", "ensemble"]
"""One of each method; AnoMem with its own encoder is the one of ``files``, and a member.

That their options are drawn rightly is the business of test_graph.py."""

ROUNDING = 1e-5
"""Of a score, in standard deviations of normal images: near 0 it is what is left of larger cues."""

ROUNDING_OF_EVENED = 1e-3
"""Where an image is flat, its evenness takes the root of what rounding left of nothing."""

Pair = tuple[Detector, OnnxDetector]


@pytest.fixture(scope="module", params=NAMES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    detector = fitted(request.param)
    path = tmp_path_factory.mktemp("onnx") / "m.onnx"
    made = to_onnx(detector, path)
    assert made.deviation < 1e-4
    assert made.size == path.stat().st_size
    return detector, load_onnx(path)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_parity(pair: Pair, batch_size: int) -> None:
    detector, exported = pair
    evened = getattr(detector.config, "subject", None) == "surface"
    rounding = ROUNDING_OF_EVENED if evened else ROUNDING
    images = odd_pictures(9, seed=11)
    wanted = detector.predict(images, batch_size=batch_size, false_alarm_rate=0.2)
    found = exported.predict(images, batch_size=batch_size, false_alarm_rate=0.2)
    assert found.method == wanted.method
    assert np.allclose(found.scores, wanted.scores, rtol=1e-4, atol=rounding)
    assert np.array_equal(found.p_values, wanted.p_values)
    assert np.array_equal(found.is_anomaly, wanted.is_anomaly)
    assert found.threshold == wanted.threshold
    assert found.pixel_threshold == wanted.pixel_threshold
    assert list(found.cues) == list(wanted.cues)
    for name, cue in wanted.cues.items():
        assert np.allclose(found.cues[name], cue, rtol=1e-4, atol=rounding)
    assert (found.maps is None) == (wanted.maps is None)
    if found.maps is not None and wanted.maps is not None:
        for mine, theirs in zip(found.maps, wanted.maps, strict=True):
            assert np.allclose(mine, theirs, rtol=1e-3, atol=1e-3)


def test_both_tell_alike_which_cue_objects(pair: Pair) -> None:
    detector, exported = pair
    images = odd_pictures(4, seed=8)
    wanted = detector.standings(detector.predict(images).cues)
    found = exported.standings(exported.predict(images).cues)
    assert list(found) == list(wanted)
    for name, standing in wanted.items():
        assert np.allclose(found[name], standing, rtol=1e-3, atol=1e-3)


def test_the_graph_gives_the_p_values_itself(pair: Pair) -> None:
    detector, exported = pair
    assert detector.calibration is not None
    views = {
        size: odd_pictures(3, seed=2)[:, :size, :size] for size in exported.metadata.image_sizes
    }
    found = exported.run(views)
    assert np.array_equal(found["p_value"], detector.calibration.p_values(found["score"]))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A model, what was exported of it, and a folder of pictures of which one is broken."""
    root = tmp_path_factory.mktemp("files")
    fitted("anomem").save(root / "model")
    call = ["export", root / "model", "--to", "onnx", "--out", root / "new" / "m.onnx", "--json"]
    assert main([str(each) for each in call]) == 0
    pictures = root / "pictures"
    pictures.mkdir()
    for index, picture in enumerate(odd_pictures(4, seed=3)):
        Image.fromarray(picture).save(pictures / f"{index}.png")
    (pictures / "broken.png").write_bytes(b"no picture")
    return root / "model", root / "new" / "m.onnx", pictures


def test_score_gives_the_same_table(
    run: Run, files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    model, exported, pictures = files
    tables = []
    for name, which in (("a", model), ("b", exported)):
        outcome = run("score", which, pictures, "--out", tmp_path / f"{name}.csv")
        assert outcome.code == 0, outcome.err
        assert "broken.png" in outcome.err
        tables.append(list(csv.DictReader((tmp_path / f"{name}.csv").open(encoding="utf-8"))))
    assert len(tables[0]) == len(tables[1]) == 4
    for theirs, mine in zip(*tables, strict=True):
        assert list(mine) == list(theirs)
        for column, value in theirs.items():
            if column == "score" or column.startswith("cue."):
                assert float(mine[column]) == pytest.approx(float(value), rel=1e-4, abs=ROUNDING)
            else:
                assert mine[column] == value


def test_info_shows_what_the_file_says(run: Run, files: tuple[Path, Path, Path]) -> None:
    told = json.loads(run("info", files[1], "--json").out)
    assert told["method"] == "anomem"
    assert told["image_sizes"] == [24]
    assert told["outputs"] == ["score", "p_value", "cues", "map"]
    assert told["config"]["evidence"] == ["memory", "mahalanobis"]
    assert "threshold.value" in run("info", files[1]).out


def test_scoring_imports_no_torch(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, exported, pictures = files
    code = (
        "import sys; from oddlens.cli import main; "
        "code = main(sys.argv[1:]); "
        "print(code, 'onnxruntime' in sys.modules, 'torch' in sys.modules)"
    )
    scores, maps = tmp_path / "s.csv", tmp_path / "maps"
    done = subprocess.run(
        [sys.executable, "-c", code, "score", exported, pictures, "--out", scores, "--maps", maps],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "0 True False"
    assert len(scores.read_text(encoding="utf-8").splitlines()) == 5
    assert (maps / "0.map.png").is_file()


def test_export_refuses_what_it_should(
    run: Run, files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    again = run("export", files[0], "--out", files[1])
    assert again.code == 2
    assert "--force" in again.err
    wrong = run("export", files[0], "--out", tmp_path / "m.pt")
    assert "give it the ending .onnx" in wrong.err


def test_damaged_and_missing_files(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    content = bytearray(files[1].read_bytes())
    bad = tmp_path / "bad.onnx"
    with pytest.raises(ArtifactError, match=r"bad\.onnx: there is no such file"):
        load_onnx(bad)
    bad.write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError, match=r"bad\.onnx: is no ONNX model that onnxruntime can"):
        load_onnx(bad)
    at = content.index(b'"evidence"') + 3  # within a string, so that it stays a model
    content[at] ^= 1
    bad.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"bad\.onnx: is not what was exported"):
        load_onnx(bad)


def test_without_the_extra_it_is_named(
    files: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    outcome = run("score", files[1], files[2])
    assert outcome.code == 2
    assert "pip install 'oddlens[onnx]'" in outcome.err
    with pytest.raises(UsageError, match="pip install"):
        to_onnx(fitted("mhrot"), files[1].with_name("other.onnx"))
