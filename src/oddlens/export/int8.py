"""An exported file with its convolutions in whole numbers: faster where the processor has them.

Static quantisation by onnxruntime (QDQ, per channel). Scores shift by it, so the file is calibrated
anew, on normal images that had no part in finding the ranges of the activations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from oddlens.errors import DataError, OddlensError, UsageError
from oddlens.export.metadata import UNSIGNED
from oddlens.export.onnx_detector import OnnxDetector, open_session
from oddlens.export.p_value import recalibrated
from oddlens.export.write import described, require_libraries
from oddlens.files import write_bytes
from oddlens.images import ImagesLike, open_source, read_layout, stream_pixels
from oddlens.images.pixels import Pixels
from oddlens.predictions import FloatArray
from oddlens.scoring import Calibration, Scored

LEAST = 12
"""Normal images below which it is refused: a third finds the ranges, the rest calibrates."""
_MOST_FOR_RANGES = 64
"""More hardly widen a range (our choice)."""
_BATCH = 8
_OPERATION, _WEIGHT = "Conv", ".weight"
"""What is quantised: convolutions with weights of a network, where most of the time goes. Those of
a graph's own (the distances of a memory, the smoothing of maps) stay as they are: they live by
small differences, and scores lose all sense when they are quantised."""
LEAST_AGREEMENT = 0.0
"""Rank correlation of the scores before and after, over normal images, that must be exceeded. It
finds networks that fell silent, and no more: normal images are much alike, so that detectors whose
ranking of defects is kept agree little on them. What is lost, labelled images tell."""


@dataclass(frozen=True)
class Quantised:
    """What was written, and what it costs.

    Attributes:
        kind: ``"int8"``.
        range_images: normal images that the ranges were found on.
        calibration_images: others, that p-values and thresholds rest on.
        split_seed: of the division into both.
        agreement: rank correlation of the scores before and after, over the calibration images.
        test_images: labelled images, 0 where there were none; neither part holds any of them.
        auroc_float: of the file before, or None without labelled images.
        auroc_int8: of the file after, or None.
        auroc_loss: the difference of both, or None.
    """

    kind: str
    range_images: int
    calibration_images: int
    split_seed: int
    agreement: float
    test_images: int = 0
    auroc_float: float | None = None
    auroc_int8: float | None = None
    auroc_loss: float | None = None


def to_int8(
    source: Path, path: Path, normal: ImagesLike, *, labelled: Path | None = None, seed: int = 0
) -> Quantised:
    """Write an exported detector with its convolutions in 8-bit whole numbers.

    A third of the normal images, 64 at most, drawn at random, finds the ranges of the activations;
    the others calibrate.

    Args:
        source: what ``to_onnx`` wrote of one detector.
        path: the file, which is replaced when it is there.
        normal: at least 12 normal images that the detector was not trained on (the p-values of
            others would be too large), and that are no test images.
        labelled: a folder in MVTec layout, to measure the AUROC of both files on; or None.
        seed: of the division.

    Raises:
        UsageError: an ensemble, a file that is quantised already, or libraries are missing.
        DataError: too few normal images, or some that cannot be read.
        OddlensError: the scores after have lost touch with those before.
    """
    require_libraries()
    detector = OnnxDetector.load(source)
    _refuse(detector, source)
    views = _views(detector, normal)
    ranges, rest = _divided(len(views), seed)
    model = _quantised(source, detector.metadata.inputs[0], views[ranges])
    found = _scored(_running(detector, model), views[rest])
    agreement = _agreement(_scored(detector, views[rest]).scores, found.scores, path)
    peaks = None
    if found.maps is not None:
        peaks = found.maps.reshape(len(rest), -1).max(axis=1).astype(np.float64)
    calibration = Calibration(found.scores, peaks)
    recalibrated(model, calibration)
    facts = Quantised("int8", len(ranges), len(rest), seed, agreement)
    metadata = replace(detector.metadata, calibration=calibration, sha256=UNSIGNED)

    def content() -> bytes:
        return described(model, replace(metadata, quantisation=asdict(facts)))

    if labelled is not None:
        after = OnnxDetector(open_session(content(), str(path)), metadata, path)
        facts = _measured(facts, detector, after, labelled)
    write_bytes(path, content())
    return facts


def _refuse(detector: OnnxDetector, source: Path) -> None:
    if detector.metadata.quantisation:
        raise UsageError(f"{source}: is quantised already; give the detector that it was made of")
    if detector.method == "ensemble":
        raise UsageError(
            f"{source}: --int8 takes one detector, and this is an ensemble: quantise and serve "
            "its best member"
        )


def _views(detector: OnnxDetector, normal: ImagesLike) -> Pixels:
    source = open_source(normal)
    if len(source) < LEAST:
        raise DataError(f"--int8: {len(source)} normal images are too few; give {LEAST} or more")
    (size,) = detector.image_sizes
    batches = stream_pixels(source, (size,), _BATCH, on_bad="raise")
    return np.concatenate([batch.views[size] for batch in batches])


def _divided(count: int, seed: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    order = np.random.default_rng(seed).permutation(count)
    first = min(count // 3, _MOST_FOR_RANGES)
    return order[:first], order[first:]


def _quantised(source: Path, name: str, views: Pixels) -> Any:
    """The model, quantised with the ranges that these images span."""
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as folder:
        prepared, made = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        nodes = onnx.load(str(prepared)).graph.node
        convolutions = [node for node in nodes if node.op_type == _OPERATION]
        own = [node.name for node in convolutions if _WEIGHT not in node.input[1]]
        quantize_static(
            str(prepared),
            str(made),
            _Reader(name, views),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            op_types_to_quantize=[_OPERATION],
            nodes_to_exclude=own,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(str(made))


class _Reader:
    """Batches as onnxruntime's quantisation asks for them."""

    def __init__(self, name: str, views: Pixels) -> None:
        self._left: Iterator[dict[str, Pixels]] = (
            {name: views[at : at + _BATCH]} for at in range(0, len(views), _BATCH)
        )

    def get_next(self) -> Mapping[str, Pixels] | None:
        """The next batch; None at the end."""
        return next(self._left, None)


def _running(detector: OnnxDetector, model: Any) -> OnnxDetector:
    session = open_session(model.SerializeToString(), "the quantised graph")
    return OnnxDetector(session, detector.metadata, detector.path)


def _scored(detector: OnnxDetector, views: Pixels) -> Scored:
    (size,) = detector.image_sizes
    parts = [views[at : at + _BATCH] for at in range(0, len(views), _BATCH)]
    found = [detector.scored_pixels({size: part}) for part in parts]
    maps = [each.maps for each in found if each.maps is not None]
    scores = np.concatenate([each.scores for each in found])
    return Scored(scores, {}, np.concatenate(maps) if maps else None)


def _agreement(before: FloatArray, after: FloatArray, path: Path) -> float:
    from scipy.stats import spearmanr

    same = after.std() == 0 or before.std() == 0
    agreement = 0.0 if same else float(spearmanr(before, after).statistic)
    if not agreement > LEAST_AGREEMENT:
        raise OddlensError(
            f"{path}: not written, since this detector loses in whole numbers what it sees (its "
            f"scores agree with those before by {agreement:.2f}): export it without --int8"
        )
    return agreement


def _measured(
    facts: Quantised, before: OnnxDetector, after: OnnxDetector, labelled: Path
) -> Quantised:
    """With the AUROC of both; nothing is chosen by it."""
    from sklearn.metrics import roc_auc_score

    test = read_layout(labelled).test
    labels = [each.is_anomaly for each in test]
    files = [each.path for each in test]
    values = [
        float(roc_auc_score(labels, each.predict(files, maps=False, on_bad="raise").scores))
        for each in (before, after)
    ]
    return replace(
        facts,
        test_images=len(test),
        auroc_float=values[0],
        auroc_int8=values[1],
        auroc_loss=values[0] - values[1],
    )
