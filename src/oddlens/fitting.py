"""``Detector.fit`` step by step: read, split, train, adapt, standardise, calibrate, account."""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch

import oddlens
from oddlens.detector import Detector, OnBad, Progress
from oddlens.errors import Interrupted, UsageError
from oddlens.held_out import TO_SCALE, calibrate, standardise
from oddlens.images import (
    DigestWatch,
    ImageCache,
    ImagesLike,
    KnownImages,
    SizeWatch,
    Skipped,
    holdout_split,
    open_source,
)
from oddlens.training import TrainingRecord, train
from oddlens.training.checkpoint import CHECKPOINT

_MOST_RESERVED = 0.25
"""Share of a budget that may be set aside for what comes after training."""
_MOST_PROBED = 0.02
"""Share of a budget that a look at the pace of scoring may well take."""
_NAMED = 5


class Parts(NamedTuple):
    """The normal images, divided.

    ``scale`` is what cues are standardised on: ``tune``, and where that is too few some of the
    training images as well. Those are fitted better, so that a spread may come out small; without
    them there would be none, and cues of different units would be fused as they are (our choice).
    """

    train: ImageCache
    tune: ImageCache
    calibration: ImageCache
    scale: ImageCache
    known: KnownImages = KnownImages(frozenset(), frozenset())


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
    holdout: float | None,
    on_bad: OnBad,
    checkpoint: Path | None,
    resume: bool,
    progress: Progress | None,
) -> None:
    """See ``Detector.fit``."""
    begin = time.monotonic()
    _check_call(detector, anomalies, epochs, max_minutes, checkpoint, resume)
    chosen = choose_device(device)
    budget = None if max_minutes is None else 60 * max_minutes
    tell = progress or (lambda phase, done, total: None)

    skipped: list[Skipped] = []
    with _interruptible("reading the images", checkpoint):
        parts = _read(detector, images, holdout, seed, on_bad, skipped, tell)
        odd = None if anomalies is None else _cached(detector, anomalies, on_bad, skipped, tell)
    with torch.random.fork_rng([chosen] if chosen.type == "cuda" else []):
        with _interruptible("preparing", checkpoint):
            _start_afresh(detector, seed)
            detector.to(chosen).eval()
            with torch.no_grad():
                detector.anomalies = odd
                detector.prepare(parts.train)
            deadline = None
            if budget is not None:
                after = _seconds_after_training(detector, parts, _MOST_PROBED * budget)
                deadline = begin + budget - min(after, _MOST_RESERVED * budget)
        with _interruptible("preparing to train", checkpoint):
            record = train(
                detector,
                detector.stages(),
                parts.train,
                tune=parts.tune,
                anomalies=odd,
                seed=seed,
                epochs=epochs,
                deadline=deadline,
                device=chosen,
                precision=detector.config.precision,
                options=detector.config.model_dump(mode="json"),
                defaults=_usual(detector),
                checkpoint=checkpoint,
                resume=resume,
                progress=tell,
            )
        monitored = {
            each["name"]: each["monitored"] for each in record.stages if "monitored" in each
        }
        if monitored:
            detector.diagnostics["while training, on held-out normals"] = monitored
        with _interruptible("adapting to normal images", checkpoint):
            detector.eval()
            # Not in inference mode, whose tensors could never be trained or loaded into again.
            with torch.no_grad():
                detector.adapt(parts.train, parts.tune, lambda *count: tell("adapt", *count))
        with _interruptible("standardising the cues", checkpoint):
            standardise(detector, parts.scale, tell)
        with _interruptible("calibrating", checkpoint):
            calibrate(detector, parts.calibration, tell)
    detector.known_images = parts.known
    anomalous = 0 if odd is None else len(odd)
    detector.anomalies = None
    _account(detector, record, parts, skipped, time.monotonic() - begin, budget)
    detector.fit_report["labelled_anomalies"] = anomalous
    detector.provenance |= {"seed": seed, "epochs": epochs, "max_minutes": max_minutes}


def _check_call(
    detector: Detector,
    anomalies: ImagesLike | None,
    epochs: int | None,
    max_minutes: float | None,
    checkpoint: Path | None,
    resume: bool,
) -> None:
    if epochs is not None and max_minutes is not None:
        raise UsageError("epochs and max_minutes exclude each other: give one of them")
    if epochs is not None and epochs < 1:
        raise UsageError(f"epochs is {epochs}; it must be at least 1")
    if max_minutes is not None and not 0 < max_minutes < float("inf"):
        raise UsageError(f"max_minutes is {max_minutes}; it must be above 0")
    if resume and checkpoint is None:
        raise UsageError("resume: give the checkpoint folder to go on from")
    if anomalies is not None and not detector.learns_from_anomalies:
        raise UsageError(
            f"{detector.method} learns from normal images alone and cannot use anomalies; "
            "leave --anomalies out"
        )


@contextmanager
def _interruptible(doing: str, checkpoint: Path | None) -> Iterator[None]:
    """On Ctrl-C, say what is kept."""
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        if checkpoint is not None and (checkpoint / CHECKPOINT).exists():
            kept = f"the training so far is kept in {checkpoint}: go on with --resume"
        elif checkpoint is not None:
            kept = "nothing was kept, since training had not begun"
        else:
            kept = "nothing was kept, since no checkpoint folder was given"
        raise Interrupted(f"stopped while {doing}; {kept}") from None


def _read(
    detector: Detector,
    images: ImagesLike,
    holdout: float | None,
    seed: int,
    on_bad: OnBad,
    skipped: list[Skipped],
    tell: Progress,
) -> Parts:
    """Read and divide the images; refuse first what needs no reading to be refused."""
    source = DigestWatch(open_source(images))
    holdout_split(len(source), holdout, seed)
    cache = _cached(detector, source, on_bad, skipped, tell)
    if skipped:
        warn_of_skipped(skipped, len(source))
    train, tune, calibration = holdout_split(len(cache), holdout, seed)
    missing = max(0, TO_SCALE - len(tune))
    step = max(1, len(train) // missing) if missing else 1
    scale = sorted([*tune, *train[::step][:missing]])
    known = KnownImages(*(source.of(cache.subset(part).source_indices) for part in (train, tune)))
    return Parts(
        train=cache.subset(train),
        tune=cache.subset(tune),
        calibration=cache.subset(calibration),
        scale=cache.subset(scale),
        known=known,
    )


def warn_of_skipped(skipped: Sequence[Skipped], total: int) -> None:
    """Say with a ``UserWarning`` which files were left out, the first few by name."""
    named = "; ".join(f"{bad.name} {bad.reason}" for bad in skipped[:_NAMED])
    more = f"; and {len(skipped) - _NAMED:,} more" if len(skipped) > _NAMED else ""
    warnings.warn(
        f"{len(skipped):,} of {total:,} files were skipped: {named}{more}",
        UserWarning,
        stacklevel=1,
    )


def _cached(
    detector: Detector,
    images: ImagesLike,
    on_bad: OnBad,
    skipped: list[Skipped],
    tell: Progress,
) -> ImageCache:
    """Read images at the model's size; what cannot be read is skipped or refused."""
    size = detector.config.image_size
    source = SizeWatch(open_source(images), size)
    cache = ImageCache.load(
        source,
        size,
        on_bad=on_bad,
        skipped=skipped,
        progress=lambda done, total: tell("read", done, total),
    )
    source.warn()
    return cache


def _start_afresh(detector: Detector, seed: int) -> None:
    """Start from weights and statistics that the seed alone decides, also on a second fit."""
    detector.calibration = detector.standardiser = detector.map_standardiser = None
    detector.fit_report, detector.provenance, detector.diagnostics = {}, {}, {}
    detector.known_images = None
    torch.manual_seed(seed)
    fresh = type(detector)(**detector.config.model_dump())
    detector.load_state_dict(fresh.state_dict())


def _seconds_after_training(detector: Detector, parts: Parts, patience: float) -> float:
    """Estimate what adapting, standardising and calibrating will take, from a few images.

    The untrained network may look harder at an image than the trained one will (SSM refines
    whatever restores badly), so that the estimate rather errs on the long side.

    Args:
        detector: initialised, untrained, on its device.
        parts: the images.
        patience: seconds that a look at the pace may well take. The first look is at one image and
            cold; the second at four, at one where the first took longer than this, and at none
            where it took four times as long.
    """
    seconds = _seconds_an_image(detector, parts.calibration, 1)
    if seconds < 4 * patience:
        count = 4 if seconds < patience else 1
        seconds = _seconds_an_image(detector, parts.calibration, count)
    adapted = detector.images_to_adapt(len(parts.train), len(parts.tune))
    return seconds * (adapted + len(parts.scale) + len(parts.calibration))


def _seconds_an_image(detector: Detector, images: ImageCache, count: int) -> float:
    sample = images.batch(range(min(count, len(images))))
    start = time.monotonic()
    detector.raw_cues(sample)
    return (time.monotonic() - start) / len(sample)


def _account(
    detector: Detector,
    record: TrainingRecord,
    parts: Parts,
    skipped: Sequence[Skipped],
    seconds: float,
    budget: float | None,
) -> None:
    """Write down what was done, the model card's facts among them."""
    detector.fit_report = {
        "steps": record.steps,
        "seconds": round(seconds, 1),
        "images": len(parts.train) + len(parts.tune) + len(parts.calibration),
        "trained_on": len(parts.train),
        "tuned_on": len(parts.tune),
        "calibrated_on": len(parts.calibration),
        "skipped": len(skipped),
        "lowest_false_alarm_rate": 1 / (len(parts.calibration) + 1),
        "final_loss": record.stages[-1]["final_loss"] if record.stages else None,
        "precision": record.precision,
    }
    if detector.diagnostics:
        detector.fit_report["diagnostics"] = detector.diagnostics
    if budget is not None:
        detector.fit_report |= warn_if_over_budget(seconds, budget)
    detector.provenance = {
        "oddlens": oddlens.__version__,
        "method": detector.method,
        "precision": record.precision,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": sum(p.numel() for p in detector.parameters()),
        "fit": detector.fit_report,
        "stages": record.stages,
        "options_changed_on_resume": record.changed,
        "hardware": hardware(detector.device),
    }


def _usual(detector: Detector) -> dict[str, Any]:
    """The defaults of a detector's options under its preset, in what JSON knows."""
    usual = type(detector).Options.make({"preset": detector.config.preset})
    return usual.model_dump(mode="json")


def warn_if_over_budget(seconds: float, budget: float) -> dict[str, float]:
    """What the fit report says of a budget, in seconds; a ``UserWarning`` where it was exceeded."""
    over = max(0.0, seconds - budget)
    if over > 0.05 * budget:
        warnings.warn(
            f"fitting took {seconds:.0f} seconds of the {budget:.0f} that it had: reading, "
            "adapting and calibrating took more than the quarter set aside for them",
            UserWarning,
            stacklevel=1,
        )
    return {"budget_seconds": budget, "over_budget_seconds": round(over, 1)}


def hardware(device: torch.device) -> dict[str, str | int]:
    """Where a detector was fitted, for its provenance."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
