"""``Detector.fit`` step by step: read, split, train, adapt, standardise, calibrate, account."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

import oddlens
from oddlens.detector import Detector, OnBad, Progress
from oddlens.errors import UsageError
from oddlens.images import ImageCache, ImagesLike, Skipped, holdout_split, open_source
from oddlens.scoring import Calibration, Standardiser
from oddlens.training import TrainingRecord, train

_MOST_RESERVED = 0.25
"""Share of a budget that may be set aside for what comes after training."""


def choose_device(wanted: str | torch.device) -> torch.device:
    """``auto`` is the first GPU, else the CPU.

    Raises:
        UsageError: an unknown device, or no GPU where one is asked for.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise UsageError(f"device {wanted!r} is unknown: use auto, cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("device cuda: this machine has no usable GPU; use --device cpu or auto")
    return device


def fit(
    detector: Detector,
    images: ImagesLike,
    *,
    anomalies: ImagesLike | None,
    epochs: int | None,
    max_minutes: float | None,
    seed: int,
    device: str | torch.device,
    holdout: float,
    on_bad: OnBad,
    checkpoint: Path | None,
    resume: bool,
    progress: Progress | None,
) -> None:
    """See ``Detector.fit``."""
    begin = time.monotonic()
    _check_length(epochs, max_minutes)
    if anomalies is not None:
        raise UsageError(
            f"{detector.method} learns from normal images alone and cannot use anomalies; "
            "leave --anomalies out"
        )
    chosen = choose_device(device)
    tell = progress or (lambda phase, done, total: None)

    skipped: list[Skipped] = []
    cache = ImageCache.load(
        open_source(images),
        detector.config.image_size,
        on_bad=on_bad,
        skipped=skipped,
        progress=lambda done, total: tell("read", done, total),
    )
    parts = holdout_split(len(cache), holdout, seed)
    train_images, tune, calibration = (cache.subset(part) for part in parts)
    _initialise(detector, seed)
    detector.to(chosen)
    seconds = None
    if max_minutes is not None:
        budget = 60 * max_minutes
        after = _seconds_after_training(detector, tune, calibration, train_images)
        seconds = budget - (time.monotonic() - begin) - min(after, _MOST_RESERVED * budget)
    record = train(
        detector,
        detector.stages(),
        train_images,
        seed=seed,
        epochs=epochs,
        seconds=seconds,
        device=chosen,
        precision=detector.config.precision,
        checkpoint=checkpoint,
        resume=resume,
        progress=tell,
    )
    detector.eval()
    with torch.inference_mode():
        detector.adapt(train_images, tune, lambda done, total: tell("adapt", done, total))
    standardise(detector, tune)
    calibrate(detector, calibration, tell)
    _account(detector, record, begin, seed, chosen, parts, skipped, epochs, max_minutes)


def _check_length(epochs: int | None, max_minutes: float | None) -> None:
    if epochs is not None and max_minutes is not None:
        raise UsageError("epochs and max_minutes exclude each other: give one of them")
    if epochs is not None and epochs < 1:
        raise UsageError(f"epochs is {epochs}; it must be at least 1")
    if max_minutes is not None and not 0 < max_minutes < float("inf"):
        raise UsageError(f"max_minutes is {max_minutes}; it must be above 0")


def _initialise(detector: Detector, seed: int) -> None:
    """Start from weights and statistics that the seed alone decides, also on a second fit."""
    torch.manual_seed(seed)
    fresh = type(detector)(**detector.config.model_dump())
    detector.load_state_dict(fresh.state_dict())


def _seconds_after_training(
    detector: Detector, tune: ImageCache, calibration: ImageCache, train_images: ImageCache
) -> float:
    """Estimate what adapting, standardising and calibrating will take, from a few images.

    An untrained network finds everything suspicious, so that this errs on the long side.
    """
    sample = calibration.batch(range(min(4, len(calibration)))).to(detector.device)
    detector.raw_cues(sample)
    start = time.monotonic()
    detector.raw_cues(sample)
    each = (time.monotonic() - start) / len(sample)
    return each * (3 * len(tune) + len(calibration) + min(200, len(train_images)))


def standardise(detector: Detector, tune: ImageCache) -> None:
    """Fit the standardisation of cues and maps on held-out images, of which it is to be the only use."""
    scores: dict[str, list[np.ndarray[Any, Any]]] = {}
    sums: dict[str, np.ndarray[Any, Any]] = {}
    pixels = 0
    for images in detector.batches(tune):
        cues = detector.raw_cues(images)
        for name, values in cues.scores.items():
            scores.setdefault(name, []).append(values.numpy())
        for name, maps in cues.maps.items():
            each = maps.double()
            sums[name] = sums.get(name, np.zeros(2)) + [
                float(each.sum()),
                float(each.square().sum()),
            ]
        pixels += sum(maps.numel() for maps in list(cues.maps.values())[:1])
    detector.standardiser = Standardiser.fit(
        {name: np.concatenate(values) for name, values in scores.items()}
    )
    detector.map_standardiser = _pixel_standardiser(sums, pixels)


def _pixel_standardiser(sums: dict[str, np.ndarray[Any, Any]], pixels: int) -> Standardiser | None:
    """Mean and deviation of each cue's map over all pixels of the tuning images."""
    if not sums:
        return None
    mean = {name: float(total[0] / pixels) for name, total in sums.items()}
    variance = {name: float(sums[name][1] / pixels - mean[name] ** 2) for name in sums}
    return Standardiser(mean, {name: max(v, 0.0) ** 0.5 or 1.0 for name, v in variance.items()})


def calibrate(
    detector: Detector, images: ImageCache, tell: Callable[[str, int, int], None]
) -> None:
    scores: list[np.ndarray[Any, Any]] = []
    peaks: list[np.ndarray[Any, Any]] = []
    done = 0
    for batch in detector.batches(images):
        scored = detector.scored(batch)
        scores.append(scored.scores)
        if scored.maps is not None:
            peaks.append(scored.maps.reshape(len(scored.maps), -1).max(axis=1))
        done += len(batch)
        tell("calibrate", done, len(images))
    detector.calibration = Calibration(
        np.concatenate(scores), np.concatenate(peaks) if peaks else None
    )


def _account(
    detector: Detector,
    record: TrainingRecord,
    begin: float,
    seed: int,
    device: torch.device,
    parts: tuple[list[int], list[int], list[int]],
    skipped: list[Skipped],
    epochs: int | None,
    max_minutes: float | None,
) -> None:
    train_part, tune, calibration = (len(part) for part in parts)
    detector.fit_report = {
        "steps": record.steps,
        "seconds": round(time.monotonic() - begin, 1),
        "images": train_part + tune + calibration,
        "trained_on": train_part,
        "tuned_on": tune,
        "calibrated_on": calibration,
        "skipped": len(skipped),
        "final_loss": record.stages[-1]["final_loss"] if record.stages else None,
    }
    detector.provenance = {
        "oddlens": oddlens.__version__,
        "method": detector.method,
        "seed": seed,
        "epochs": epochs,
        "max_minutes": max_minutes,
        "precision": record.precision,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": sum(p.numel() for p in detector.parameters()),
        "fit": detector.fit_report,
        "stages": record.stages,
        "hardware": {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "machine": platform.machine(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }
