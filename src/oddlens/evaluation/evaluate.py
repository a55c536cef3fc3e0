"""Evaluate a fitted detector on a labelled test set in MVTec layout."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from oddlens.errors import DataError, Interrupted, UsageError
from oddlens.evaluation.intervals import Interval, image_intervals, pixel_intervals
from oddlens.evaluation.masks import MapPairs, Masks, check_masks
from oddlens.evaluation.metrics import auroc, average_precision, f1_max
from oddlens.evaluation.pixels import FPR_LIMIT, pixel_metrics
from oddlens.files import open_to_write

if TYPE_CHECKING:
    from oddlens.images import DatasetLayout, TestImage
    from oddlens.predictions import Predictions

Progress = Callable[[str, int, int], None]


class _Predicts(Protocol):
    """What is asked of a detector here; `oddlens.detector.Detector` fulfils it."""

    def predict(
        self,
        images: list[Path],
        *,
        false_alarm_rate: float,
        maps: bool,
        on_bad: Literal["skip"],
        progress: Progress | None,
    ) -> Predictions:
        """Score images."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """What a test set says about a detector.

    Attributes:
        metrics: flat, as ``metrics.json``: ``image_auroc``, ``image_ap``, ``image_f1_max``, and
            where there are maps and masks ``pixel_auroc``, ``pixel_ap``, ``aupro``, each with
            ``<name>_low`` and ``<name>_high`` (95 % interval, None without bootstrap);
            ``false_alarm_rate_wanted``, ``_guaranteed`` (by calibration) and ``_seen`` (on
            ``test/good``), ``detection_rate`` (on anomalous images, at the same threshold);
            ``n_normal``, ``n_anomalous``, ``n_skipped`` (unreadable), ``n_without_mask`` (anomalous
            images left out of the pixel metrics), ``ms_per_image`` (wall time of ``predict``,
            decoding included) and ``provenance`` (a dict).
        by_defect: image AUROC of each kind of defect against all normal test images.
        predictions: of the images that could be read.
        labels: (N,) bool, true = anomalous, in the order of the predictions.
        defects: the kind of defect of each image (its folder), in the same order.
        masks: one mask an image at the image's own size, read when asked for, or None where the
            data set has no masks.
    """

    metrics: dict[str, Any]
    by_defect: dict[str, float]
    predictions: Predictions
    labels: NDArray[np.bool_]
    defects: list[str] = field(default_factory=list)
    masks: Masks | None = None

    def write_metrics(self, path: str | Path) -> Path:
        """Write the metrics, and ``by_defect``, as JSON: the whole file or nothing.

        Raises:
            OddlensError: the file cannot be written; one that was there is left as it was.
        """
        target = Path(path)
        with open_to_write(target) as file:
            json.dump(
                {**self.metrics, "by_defect": self.by_defect}, file, allow_nan=False, indent=1
            )
            file.write("\n")
        return target


def evaluate(
    detector: _Predicts,
    root: str | Path,
    *,
    out: str | Path | None = None,
    resolution: int | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    false_alarm_rate: float = 0.01,
    progress: Progress | None = None,
) -> Evaluation:
    """Predict the test images of a data set and measure how well scores and maps tell anomalies.

    Images that cannot be read are skipped and counted. Anomalous images without a mask count for
    the image metrics only.

    Args:
        detector: a fitted detector.
        root: folder in MVTec layout: ``test/good``, ``test/<defect>``, ``ground_truth/<defect>``.
        out: where to write ``metrics.json``, if anywhere.
        resolution: side in pixels of the square at which pixel metrics are computed (masks by
            nearest pixel, maps bilinearly); None for every image's own size.
        bootstrap: number of resampled test sets behind the 95 % intervals; 0 for no intervals.
        seed: of the bootstrap.
        false_alarm_rate: wanted share of normal images that are flagged, in (0, 1).
        progress: called with (phase, done, total); phases "pixel metrics", "pixel intervals" and
            those of ``predict``.

    Raises:
        DataError: the layout is incomplete, a mask is damaged or of another size than its image
            (both found before scoring begins), or no normal or no anomalous test image can be read.
        UsageError: an option is out of range.
        Interrupted: Ctrl-C; ``partial`` is what there is by then: the predictions made so far, or
            after scoring and the image metrics the evaluation without pixel metrics.
    """
    from oddlens.images import read_layout

    if bootstrap < 0:
        raise UsageError(f"bootstrap is {bootstrap}, but must be 0 (no intervals) or more.")
    if resolution is not None and resolution < 1:
        raise UsageError(f"resolution is {resolution}, but must be at least 1 pixel.")
    layout = read_layout(Path(root))
    check_masks(layout.test)
    started = time.perf_counter()
    predictions = detector.predict(
        [image.path for image in layout.test],
        false_alarm_rate=false_alarm_rate,
        maps=True,
        on_bad="skip",
        progress=progress,
    )
    seconds = time.perf_counter() - started
    return evaluate_predictions(
        predictions,
        layout,
        out=out,
        resolution=resolution,
        bootstrap=bootstrap,
        seed=seed,
        progress=progress,
        facts={
            "ms_per_image": 1000 * seconds / max(len(predictions), 1),
            "provenance": _provenance(root, detector),
        },
    )


def evaluate_predictions(
    predictions: Predictions,
    layout: DatasetLayout,
    *,
    out: str | Path | None = None,
    resolution: int | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Evaluation:
    """The second half of ``evaluate``: measure predictions that were made already.

    Args:
        predictions: of images of the layout's test set, of all or of some.
        layout: the data set.
        out: as of ``evaluate``, as the next four.
        resolution: see there.
        bootstrap: see there.
        seed: see there.
        progress: see there.
        facts: stand among the metrics as they are; a ``provenance`` is added to.

    Raises:
        DataError: a prediction is of no test image, or none is of a normal or an anomalous one.
        Interrupted: see ``evaluate``.
    """
    images = _predicted_images(layout, predictions)
    try:
        evaluation = _evaluate_images(predictions, images, layout.root, bootstrap, seed)
    except KeyboardInterrupt as error:
        raise Interrupted("stopped while computing image metrics", partial=predictions) from error
    told = dict(facts or {})
    evaluation.metrics.update(n_skipped=len(predictions.skipped), **told)
    evaluation.metrics["provenance"] = {
        **told.get("provenance", {}),
        "resolution": resolution,
        "bootstrap": bootstrap,
        "seed": seed,
        "aupro_fpr_limit": FPR_LIMIT,
    }
    try:
        _add_pixel_metrics(
            evaluation,
            images,
            resolution=resolution,
            replicates=bootstrap,
            seed=seed,
            progress=progress,
        )
    except KeyboardInterrupt as error:
        if out is not None:
            evaluation.write_metrics(out)
        raise Interrupted(
            "stopped while computing pixel metrics; the image metrics are kept"
            + (f" in {out}." if out is not None else "."),
            partial=evaluation,
        ) from error
    if out is not None:
        evaluation.write_metrics(out)
    return evaluation


def _predicted_images(layout: DatasetLayout, predictions: Predictions) -> list[TestImage]:
    """The layout's images in the order of the predictions (skipped ones are not among them)."""
    by_name = {str(image.path): image for image in layout.test}
    unknown = [name for name in predictions.names if name not in by_name]
    if unknown:
        raise DataError(f"{unknown[0]}: was predicted, but is not a test image of {layout.root}.")
    return [by_name[name] for name in predictions.names]


def _evaluate_images(
    predictions: Predictions,
    images: Sequence[TestImage],
    root: str | Path,
    replicates: int,
    seed: int,
) -> Evaluation:
    scores = np.asarray(predictions.scores, dtype=np.float64)
    flagged = np.asarray(predictions.is_anomaly, dtype=np.bool_)
    labels = np.array([image.is_anomaly for image in images], dtype=np.bool_)
    defects = [image.defect for image in images]
    if labels.all() or not labels.any():
        kind, folder = ("normal", "test/good") if labels.any() else ("anomalous", "test/<defect>")
        raise DataError(
            f"{root}: evaluation needs a readable {kind} image, but {folder} has none "
            f"({len(predictions.skipped)} test images could not be read)."
        )
    points = {
        "image_auroc": auroc(scores, labels),
        "image_ap": average_precision(scores, labels),
        "image_f1_max": f1_max(scores, labels),
    }
    intervals: Mapping[str, Interval] = {}
    if replicates:
        intervals = image_intervals(scores, labels, replicates=replicates, seed=seed)
    metrics = _with_intervals(points, intervals)
    metrics.update(
        false_alarm_rate_wanted=float(predictions.threshold.wanted),
        false_alarm_rate_guaranteed=float(predictions.threshold.guaranteed),
        false_alarm_rate_seen=float(flagged[~labels].mean()),
        detection_rate=float(flagged[labels].mean()),
        n_normal=int((~labels).sum()),
        n_anomalous=int(labels.sum()),
    )
    return Evaluation(
        metrics=metrics,
        by_defect=_by_defect(scores, labels, defects),
        predictions=predictions,
        labels=labels,
        defects=defects,
        masks=Masks(images) if any(image.mask is not None for image in images) else None,
    )


def _by_defect(
    scores: NDArray[np.float64], labels: NDArray[np.bool_], defects: Sequence[str]
) -> dict[str, float]:
    kinds = np.array(defects)
    return {
        str(kind): auroc(scores[chosen], labels[chosen])
        for kind in np.unique(kinds[labels])
        for chosen in [~labels | (kinds == kind)]
    }


def _add_pixel_metrics(
    evaluation: Evaluation,
    images: Sequence[TestImage],
    *,
    resolution: int | None,
    replicates: int,
    seed: int,
    progress: Progress | None,
) -> None:
    maps = evaluation.predictions.maps
    if maps is None or evaluation.masks is None:
        return
    usable = [i for i, image in enumerate(images) if image.mask is not None or not image.is_anomaly]
    pairs = MapPairs(maps, Masks(images, resolution), usable)
    point = pixel_metrics(pairs, progress=progress)
    intervals: Mapping[str, Interval] = {}
    if replicates:
        intervals = pixel_intervals(
            pairs, point, replicates=replicates, seed=seed, progress=progress
        )
    points = {"pixel_auroc": point.auroc, "pixel_ap": point.ap, "aupro": point.aupro}
    evaluation.metrics.update(
        _with_intervals(points, intervals), n_without_mask=len(images) - len(usable)
    )


def _with_intervals(
    points: Mapping[str, float], intervals: Mapping[str, Interval]
) -> dict[str, float | None]:
    metrics: dict[str, float | None] = {}
    for name, value in points.items():
        interval = intervals.get(name)
        metrics[name] = value
        metrics[f"{name}_low"] = interval.low if interval else None
        metrics[f"{name}_high"] = interval.high if interval else None
    return metrics


def _provenance(root: str | Path, detector: object) -> dict[str, Any]:
    """Where the numbers come from; the data set by its name, as paths differ between machines."""
    try:
        release = version("oddlens")
    except PackageNotFoundError:
        release = "unknown"
    return {
        "oddlens": release,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "dataset": Path(root).resolve().name,
        "detector": dict(getattr(detector, "provenance", None) or {}),
    }
