"""A file in whole numbers: calibrated anew on images of its own, and honest about its cost."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import onnx
import pytest
from PIL import Image

from oddlens.errors import DataError, OddlensError, UsageError
from oddlens.export import int8, load_onnx, to_onnx
from oddlens.export.int8 import Quantised, to_int8
from oddlens.export.onnx_detector import OnnxDetector
from oddlens.export.write import Exported
from tests.cli.conftest import Run, run
from tests.export.models import SIDE, fitted, odd_pictures, pictures

__all__ = ["run"]

pytestmark = pytest.mark.slow  # drawing a graph takes seconds

COUNT = 30
Pair = tuple[OnnxDetector, OnnxDetector, Quantised]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("labelled")
    for index, picture in enumerate(odd_pictures(12, seed=9)):
        folder = root / "test" / ("good" if index % 2 else "square")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{index}.png")
    return root


@pytest.fixture(scope="module", params=["multitask", "anomem frozen"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, labelled: Path
) -> Pair:
    folder = tmp_path_factory.mktemp("int8")
    made = to_onnx(fitted(request.param), folder / "float.onnx").path
    facts = to_int8(made, folder / "int8.onnx", pictures(COUNT, seed=2), labelled=labelled)
    return load_onnx(made), load_onnx(folder / "int8.onnx"), facts


def test_it_computes_in_whole_numbers_and_nearly_the_same(pair: Pair) -> None:
    before, after, _ = pair
    operations = {node.op_type for node in onnx.load(str(after.path)).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operations
    images = odd_pictures(20, seed=4)
    wanted, found = before.predict(images), after.predict(images)
    assert not np.array_equal(wanted.scores, found.scores)
    for name, cue in wanted.cues.items():
        assert np.corrcoef(cue, found.cues[name])[0, 1] > 0.8


def test_the_images_that_calibrate_are_not_those_of_the_ranges(pair: Pair) -> None:
    before, after, facts = pair
    assert (facts.range_images, facts.calibration_images) == (COUNT // 3, COUNT - COUNT // 3)
    images = pictures(COUNT, seed=2)
    order = np.random.default_rng(facts.split_seed).permutation(COUNT)
    scores = after.predict(images[order[facts.range_images :]], batch_size=8).scores
    assert np.allclose(np.sort(scores), after.calibration.scores)
    assert not np.array_equal(after.calibration.scores, before.calibration.scores)
    assert (after.calibration.map_peaks is None) is not after.metadata.localizes


def test_the_graph_tells_p_values_by_the_new_calibration(pair: Pair) -> None:
    _, after, _ = pair
    random = np.random.default_rng(0)
    size = after.metadata.image_sizes[0]
    found = after.run({size: random.integers(0, 256, (5, size, size, 3), dtype=np.uint8)})
    assert np.array_equal(found["p_value"], after.calibration.p_values(found["score"]))
    names = [each.name for each in onnx.load(str(after.path)).graph.initializer]
    assert not [name for name in names if name.endswith("p_value.held_out")]


def test_the_file_says_what_it_is_and_what_it_costs(pair: Pair, labelled: Path) -> None:
    from oddlens.evaluation.metrics import auroc

    before, after, facts = pair
    told = after.metadata.quantisation
    assert told["kind"] == "int8"
    assert told["calibration_images"] == facts.calibration_images
    files = [str(file) for file in sorted((labelled / "test").rglob("*.png"))]
    odd = ["square" in file for file in files]
    assert told["auroc_float"] == pytest.approx(auroc(before.predict(files).scores, odd))
    assert told["auroc_int8"] == pytest.approx(auroc(after.predict(files).scores, odd))
    assert told["auroc_loss"] == pytest.approx(told["auroc_float"] - told["auroc_int8"])
    assert before.metadata.quantisation == {}


def test_what_is_no_network_is_left_as_it_is(pair: Pair) -> None:
    _, after, _ = pair
    graph = onnx.load(str(after.path)).graph
    made = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type == "Conv":
            source = made.get(node.input[1])
            name = node.input[1] if source is None else source.input[0]
            assert (source is not None) is (".weight" in name)


def test_scores_that_lost_touch_are_refused(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(int8, "LEAST_AGREEMENT", 1.1)
        with pytest.raises(OddlensError, match="without --int8"):
            to_int8(pair[0].path, tmp_path / "m.onnx", pictures(COUNT, seed=2))
    assert not (tmp_path / "m.onnx").exists()
    for after in (np.zeros(9), -np.arange(9.0)):  # one for all, and upside down
        with pytest.raises(OddlensError, match="without --int8"):
            int8._agreement(np.arange(9.0), after, tmp_path)
    assert int8._agreement(np.arange(9.0), np.arange(9.0) ** 3, tmp_path) == pytest.approx(1)


def test_what_cannot_be_made_so_is_told(pair: Pair, tmp_path: Path) -> None:
    before, after, _ = pair
    with pytest.raises(DataError, match="12 or more"):
        to_int8(before.path, tmp_path / "m.onnx", pictures(11, seed=1))
    with pytest.raises(UsageError, match="already"):
        to_int8(after.path, tmp_path / "m.onnx", pictures(COUNT, seed=1))
    assert not (tmp_path / "m.onnx").exists()


def test_export_writes_it(
    run: Run, pair: Pair, tmp_path: Path, labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(_: object, path: Path) -> Exported:
        path.write_bytes(pair[0].path.read_bytes())  # drawing it again would take its time
        return Exported(path, path.stat().st_size, 1e-7)

    monkeypatch.setattr("oddlens.export.to_onnx", drawn)
    monkeypatch.setattr("oddlens.detector.load", lambda *_, **__: Mock(method=pair[0].method))
    (tmp_path / "normal").mkdir()
    for index, picture in enumerate(pictures(20, seed=3, side=SIDE)):
        Image.fromarray(picture).save(tmp_path / "normal" / f"{index}.png")
    call = ("export", tmp_path / "m.oddlens", "--out", tmp_path / "m.onnx", "--json")
    assert run(*call, "--labelled", labelled).code == 2
    outcome = run(*call, "--int8", tmp_path / "normal", "--labelled", labelled)
    assert outcome.code == 0, outcome.err
    told = json.loads(outcome.out)
    assert (told["range_images"], told["calibration_images"], told["test_images"]) == (6, 14, 12)
    assert load_onnx(tmp_path / "m.onnx").metadata.quantisation["auroc_loss"] == told["auroc_loss"]
    shown = json.loads(run("info", tmp_path / "m.onnx", "--json").out)
    assert shown["quantisation"]["kind"] == "int8"
