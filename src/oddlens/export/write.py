"""From a fitted detector to an ONNX file: draw the graph, describe it, try it, write it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import oddlens
from oddlens.detector import Detector
from oddlens.errors import OddlensError, UsageError
from oddlens.export.graph import Graph
from oddlens.export.metadata import UNSIGNED, CueScales, OnnxMetadata
from oddlens.export.onnx_detector import MISSING, open_session, signature
from oddlens.files import write_bytes
from oddlens.images.prepare import squash

TOLERANCE = 1e-4
"""How far score and cues of the graph may be from the detector's, as a share of the larger of 1 and
the value: rounding of float32 in another order gives some 1e-6."""
_OPSET = 18
_TRIED = 4


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        size: in bytes.
        deviation: largest difference of scores and cues between graph and detector on made images,
            as a share of the larger of 1 and the value.
    """

    path: Path
    size: int
    deviation: float


def to_onnx(detector: Detector, path: Path) -> Exported:
    """See ``oddlens.export.to_onnx``."""
    require_libraries()
    graph = Graph(detector).eval()
    tried = made_images(graph.sizes, _TRIED)
    with torch.no_grad():
        names, localizes = _asked(detector, graph, tried)
        model = _drawn(graph, tried, localizes=localizes)
    metadata = OnnxMetadata(
        version=oddlens.__version__,
        method=detector.method,
        image_sizes=tuple(graph.sizes),
        cues=names,
        localizes=localizes,
        calibration=graph.calibration,
        config=detector.config.model_dump(mode="json"),
        provenance=detector.provenance,
        scales=cue_scales(detector),
    )
    content = described(model, metadata)
    deviation = _deviation(detector, metadata, content, tried)
    if not deviation <= TOLERANCE:
        raise OddlensError(
            f"{path}: not written, since the graph disagrees with the detector by "
            f"{deviation:.2g}: please report it with the versions of torch and onnxruntime"
        )
    write_bytes(path, content)
    return Exported(path, len(content), deviation)


def cue_scales(detector: Detector) -> CueScales:
    """What brings the cues to one unit: ``(0, 1)`` where they are of one already."""
    from oddlens.ensemble import Ensemble

    assert detector.standardiser is not None
    mean, std = detector.standardiser.mean, detector.standardiser.std
    if isinstance(detector, Ensemble):
        return dict.fromkeys(mean, (0.0, 1.0))
    return {name: (mean[name], std[name]) for name in mean}


def require_libraries() -> None:
    """Raise a UsageError where the libraries of the extra ``onnx`` are missing."""
    try:
        for name in ("onnx", "onnxruntime", "onnxscript"):
            import_module(name)
    except ImportError as error:
        raise UsageError(MISSING) from error


def made_images(sizes: list[int], count: int) -> dict[int, npt.NDArray[np.uint8]]:
    """Pictures to try a graph on: coloured blotches under noise, the same at every size.

    Returns:
        By size S, uint8 ``(count, S, S, 3)``.
    """
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    largest = max(sizes)
    smooth = np.stack([squash(each, largest) for each in coarse]).astype(np.int16)
    noisy = np.clip(smooth + random.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)
    return {size: np.stack([squash(each, size) for each in noisy]) for size in sizes}


def _asked(
    detector: Detector, graph: Graph, views: dict[int, npt.NDArray[np.uint8]]
) -> tuple[tuple[str, ...], bool]:
    """The names of the cues, and whether there is a map.

    Running the module once before it is drawn also fills the caches of constant matrices with real
    ones: made while a graph is drawn, they would be symbols.
    """
    found = graph(*(torch.from_numpy(views[size]) for size in graph.sizes))
    scored = detector.scored_pixels(views)
    return tuple(scored.cues), len(found) > 3


def _drawn(graph: Graph, views: dict[int, npt.NDArray[np.uint8]], *, localizes: bool) -> Any:
    """The graph as an ONNX model."""
    count = torch.export.Dim("count", min=1)
    shapes = (tuple({0: count} for _ in graph.sizes),)
    inputs = tuple(torch.from_numpy(views[size]) for size in graph.sizes)
    metadata_names = ["score", "p_value", "cues", *(["map"] if localizes else [])]
    names = ["images"] if len(inputs) == 1 else [f"images_{size}" for size in graph.sizes]
    with _quietly():
        program = torch.export.export(graph, inputs, dynamic_shapes=shapes, strict=False)
        made = torch.onnx.export(
            program,
            dynamo=True,
            input_names=names,
            output_names=metadata_names,
            opset_version=_OPSET,
            verbose=False,
        )
    assert made is not None
    return made.model_proto


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep what the exporter tells its developers from the users of oddlens."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnx_ir", "onnxscript")]
    before = [each.level for each in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for each in loggers:
                each.setLevel(logging.ERROR)
            yield
        finally:
            for each, level in zip(loggers, before, strict=True):
                each.setLevel(level)


def described(model: Any, metadata: OnnxMetadata) -> bytes:
    """The bytes of the file: the model with its description and its own SHA-256."""
    del model.metadata_props[:]
    for name, value in metadata.to_props().items():
        model.metadata_props.add(key=name, value=value)
    model.producer_name, model.producer_version = "oddlens", metadata.version
    content: bytes = model.SerializeToString(deterministic=True)
    return content.replace(UNSIGNED.encode(), signature(content, UNSIGNED).encode())


def _deviation(
    detector: Detector,
    metadata: OnnxMetadata,
    content: bytes,
    views: dict[int, npt.NDArray[np.uint8]],
) -> float:
    """How far the graph is from the detector, see ``Exported``; infinite where p-values differ."""
    session = open_session(content, "the exported graph")
    given = dict(zip(metadata.inputs, (views[size] for size in metadata.image_sizes), strict=True))
    score, p_values, cues = session.run(["score", "p_value", "cues"], given)
    wanted = detector.scored_pixels(views)
    if not np.array_equal(p_values, metadata.calibration.p_values(score)):
        return float("inf")
    pairs = [(score, wanted.scores), *zip(cues.T, wanted.cues.values(), strict=True)]
    return max(float((np.abs(a - b) / np.maximum(1, np.abs(b))).max()) for a, b in pairs)
