"""A model whose answers can be told without it: its score is how bright an image is."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image

from oddlens.export.metadata import UNSIGNED, OnnxMetadata
from oddlens.export.onnx_detector import signature
from oddlens.scoring import Calibration

SIZE = 16
HELD_OUT = 99
THRESHOLD = 0.5
"""At a false-alarm rate of 0.01: the highest held-out score."""
CALIBRATION = Calibration(np.linspace(0.1, THRESHOLD, HELD_OUT), np.linspace(0.2, 0.6, HELD_OUT))
SCALES = {"bright": (0.3, 0.1), "dark": (0.7, 0.1)}


def write_toy(path: Path, *, added: float = 0.0) -> Path:
    """Write the model: scores in [0, 1], and ``added`` to each."""
    metadata = OnnxMetadata(
        version="0.0.1",
        method="toy",
        image_sizes=(SIZE,),
        cues=tuple(SCALES),
        localizes=True,
        calibration=CALIBRATION,
        config={},
        provenance={},
        scales=SCALES,
    )
    model = helper.make_model(
        _graph(added), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    helper.set_model_props(model, metadata.to_props())
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    path.write_bytes(content.replace(UNSIGNED.encode(), signature(content, UNSIGNED).encode()))
    return path


def _graph(added: float) -> onnx.GraphProto:
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.DOUBLE),
        helper.make_node("Div", ["pixels", "white"], ["light"]),
        helper.make_node("ReduceMean", ["light", "within"], ["bright"], keepdims=0),
        helper.make_node("Add", ["bright", "added"], ["score"]),
        helper.make_node("Identity", ["score"], ["p_value"]),
        helper.make_node("Sub", ["one", "bright"], ["dark"]),
        helper.make_node("Unsqueeze", ["bright", "last"], ["column"]),
        helper.make_node("Unsqueeze", ["dark", "last"], ["other"]),
        helper.make_node("Concat", ["column", "other"], ["cues"], axis=1),
        helper.make_node("ReduceMean", ["light", "channel"], ["grey"], keepdims=0),
        helper.make_node("Cast", ["grey"], ["map"], to=TensorProto.FLOAT),
    ]
    constants = [
        helper.make_tensor("white", TensorProto.DOUBLE, [], [255.0]),
        helper.make_tensor("one", TensorProto.DOUBLE, [], [1.0]),
        helper.make_tensor("added", TensorProto.DOUBLE, [], [added]),
        helper.make_tensor("within", TensorProto.INT64, [3], [1, 2, 3]),
        helper.make_tensor("channel", TensorProto.INT64, [1], [3]),
        helper.make_tensor("last", TensorProto.INT64, [1], [1]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", SIZE, SIZE, 3])
    outputs = [
        helper.make_tensor_value_info("score", TensorProto.DOUBLE, ["n"]),
        helper.make_tensor_value_info("p_value", TensorProto.DOUBLE, ["n"]),
        helper.make_tensor_value_info("cues", TensorProto.DOUBLE, ["n", 2]),
        helper.make_tensor_value_info("map", TensorProto.FLOAT, ["n", SIZE, SIZE]),
    ]
    return helper.make_graph(nodes, "toy", [images], outputs, constants)


def grey(value: int, side: int = SIZE, kind: str = "PNG") -> bytes:
    """A file of one grey: its score is ``value / 255``."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (value, value, value)).save(buffer, kind)
    return buffer.getvalue()


def half_bright() -> bytes:
    """Black on the left, white on the right."""
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    pixels[:, SIZE // 2 :] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
