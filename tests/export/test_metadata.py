"""What a file says of itself is read back, and what it cannot mean is told."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from oddlens.errors import ArtifactError
from oddlens.export.metadata import OnnxMetadata
from oddlens.scoring import Calibration


def some(**other: Any) -> OnnxMetadata:
    values: dict[str, Any] = {
        "version": "1.2.3",
        "method": "ssm",
        "image_sizes": (64, 128),
        "cues": ("dark.er", "b"),
        "localizes": True,
        "calibration": Calibration(np.arange(200) / 7, np.arange(200) / 3),
        "config": {"image_size": 128},
        "provenance": {"seed": 0},
    }
    return OnnxMetadata(**{**values, **other})


def test_it_comes_back() -> None:
    data = some()
    back = OnnxMetadata.from_props(data.to_props(), "m.onnx")
    for name in ("version", "method", "image_sizes", "cues", "localizes", "config", "provenance"):
        assert getattr(back, name) == getattr(data, name)
    assert np.array_equal(back.calibration.scores, data.calibration.scores)
    assert data.inputs == ("images_64", "images_128")
    assert data.outputs == ("score", "p_value", "cues", "map")
    assert some(image_sizes=(64,), localizes=False).inputs == ("images",)


def test_the_threshold_is_there_for_other_programs() -> None:
    data = some()
    props = data.to_props()
    assert json.loads(props["oddlens.threshold"]) == data.calibration.threshold(0.01).value
    held_out = json.loads(props["oddlens.calibration"])["scores"]
    assert held_out[-2] == data.calibration.threshold(0.01).value  # floor(0.01 * 201) = 2
    assert json.loads(props["oddlens.guaranteed_rate"]) == 2 / 201


def test_a_foreign_file() -> None:
    with pytest.raises(ArtifactError, match=r"m\.onnx: is an ONNX model, but none that oddlens"):
        OnnxMetadata.from_props({"author": "somebody"}, "m.onnx")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"oddlens.format": "2"}, r"format 2, and this version of oddlens reads format 1"),
        ({"oddlens.calibration": "{}"}, "its description is damaged"),
        ({"oddlens.calibration": '{"scores": ['}, "its description is damaged"),
        ({"oddlens.image_sizes": "[]"}, "its description is damaged"),
        ({"oddlens.sha256": "?"}, "its description is damaged"),
    ],
)
def test_what_cannot_be_meant(change: dict[str, str], match: str) -> None:
    with pytest.raises(ArtifactError, match=match):
        OnnxMetadata.from_props(some().to_props() | change, "m.onnx")
