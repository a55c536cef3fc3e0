"""``Ensemble.fit`` and ``Ensemble.calibrate`` step by step."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import oddlens
from oddlens.detector import Detector, OnBad, Progress
from oddlens.ensemble.budget import Budget
from oddlens.ensemble.division import Division, divide
from oddlens.ensemble.ensemble import Ensemble
from oddlens.errors import DataError, UsageError
from oddlens.fitting import hardware, warn_if_over_budget, warn_of_skipped
from oddlens.held_out import calibrate_on, fit_scales
from oddlens.images import (
    ImagesLike,
    ImageSource,
    KnownImages,
    SizeWatch,
    Skipped,
    digests_of,
)


def fit(
    ensemble: Ensemble,
    source: ImageSource,
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
    """See ``Ensemble.fit``."""
    begin = time.monotonic()
    members = ensemble.named_members
    if anomalies is not None and not any(each.learns_from_anomalies for each in members.values()):
        raise UsageError(
            f"no member learns from anomalies ({', '.join(members)}): leave --anomalies out"
        )
    _forget(ensemble)
    budget = Budget(max_minutes, len(members), checkpoint, resume=resume)
    # What one that trains no network leaves is for the others.
    for name, member in sorted(members.items(), key=lambda item: item[1].config.trains_a_network):
        resumed, start = budget.knows(name), time.monotonic()
        member.fit(
            source,
            anomalies=anomalies if member.learns_from_anomalies else None,
            epochs=epochs,
            max_minutes=budget.share(name),
            seed=seed,
            device=device,
            holdout=holdout,
            on_bad=on_bad,
            checkpoint=None if checkpoint is None else checkpoint / name,
            resume=resume,
            progress=None if progress is None else _of_member(name, progress),
        )
        budget.done(name, (time.monotonic() - start) / 60, resumed=resumed)
    skipped: list[Skipped] = []
    parts = _calibrate(ensemble, source, seed, on_bad, skipped, progress)
    for name, member in members.items():
        if len(parts.trained) < member.fit_report["trained_on"]:
            _forget(ensemble)
            raise DataError(
                f"{name} was trained on {member.fit_report['trained_on']:,} images, and only "
                f"{len(parts.trained):,} are the same when read again: give images that do not "
                "change from one reading to the next, so that what calibrates can be told apart"
            )
    seconds = time.monotonic() - begin
    _account(ensemble, parts, len(skipped), seconds)
    if max_minutes is not None:
        ensemble.fit_report |= warn_if_over_budget(seconds, 60 * max_minutes)
    ensemble.provenance |= {"seed": seed, "epochs": epochs, "max_minutes": max_minutes}


def calibrate(
    ensemble: Ensemble,
    source: ImageSource,
    *,
    seed: int,
    on_bad: OnBad,
    progress: Progress | None,
) -> None:
    """See ``Ensemble.calibrate``."""
    begin = time.monotonic()
    skipped: list[Skipped] = []
    watched = SizeWatch(source, ensemble.config.image_size)
    parts = _calibrate(ensemble, watched, seed, on_bad, skipped, progress)
    watched.warn()
    if skipped:
        warn_of_skipped(skipped, len(source))
    _account(ensemble, parts, len(skipped), time.monotonic() - begin)
    ensemble.provenance |= {"seed": seed}


def _forget(ensemble: Ensemble) -> None:
    ensemble.calibration = ensemble.standardiser = ensemble.map_standardiser = None
    ensemble.fit_report, ensemble.provenance = {}, {}


def _of_member(name: str, progress: Progress) -> Progress:
    return lambda phase, done, total: progress(f"{name}: {phase}", done, total)


def _calibrate(
    ensemble: Ensemble,
    source: ImageSource,
    seed: int,
    on_bad: OnBad,
    skipped: list[Skipped],
    progress: Progress | None,
) -> Division:
    """Divide the images, scale on some, calibrate on others."""
    tell = progress or (lambda phase, done, total: None)
    known = _known(ensemble.named_members)
    digests = digests_of(
        source,
        on_bad=on_bad,
        skipped=skipped,
        progress=lambda done, total: tell("compare", done, total),
    )
    parts = divide(digests, known, seed)
    _forget(ensemble)
    late: list[Skipped] = []
    found = ensemble.cues_stream(
        source, maps=True, on_bad="raise", skipped=late, indices=parts.scale
    )
    with closing(found):
        fit_scales(
            ensemble, (cues for _, cues in found), len(parts.scale), tell, with_reference=True
        )
    found = ensemble.cues_stream(
        source, maps=True, on_bad="raise", skipped=late, indices=parts.calibration
    )
    with closing(found):
        scored = (ensemble.fused(cues) for _, cues in found)
        calibrate_on(ensemble, scored, len(parts.calibration), tell)
    return parts


def _known(members: Mapping[str, Detector]) -> list[KnownImages]:
    known = []
    for name, member in members.items():
        if not member.is_fitted:
            raise UsageError(
                f"member {name} is not fitted: fit it first, or call fit(images) of the ensemble"
            )
        if member.known_images is None:
            raise UsageError(
                f"member {name} has not noted which images it was trained on, so that none can be "
                "known to be held out: fit it again with this version of oddlens"
            )
        known.append(member.known_images)
    return known


def _account(ensemble: Ensemble, parts: Division, skipped: int, seconds: float) -> None:
    members = ensemble.named_members
    report: dict[str, Any] = {
        "steps": sum(each.fit_report.get("steps", 0) for each in members.values()),
        "seconds": round(seconds, 1),
        "images": len({*parts.trained, *parts.scale, *parts.calibration}),
        "trained_on": len(parts.trained),
        "tuned_on": len(parts.scale),
        "calibrated_on": len(parts.calibration),
        "labelled_anomalies": max(
            each.fit_report.get("labelled_anomalies", 0) for each in members.values()
        ),
        "skipped": skipped,
        "lowest_false_alarm_rate": 1 / (len(parts.calibration) + 1),
    }
    precisions = {each.provenance.get("precision") for each in members.values()} - {None}
    if precisions:  # the arithmetic of those that had the most of a budget of minutes
        report["precision"] = "bf16" if "bf16" in precisions else "32"
    ensemble.fit_report = report
    ensemble.provenance = {
        "oddlens": oddlens.__version__,
        "method": ensemble.method,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "parameters": sum(each.numel() for each in ensemble.parameters()),
        "fit": report,
        "hardware": hardware(ensemble.device),
        "members": {name: each.provenance for name, each in members.items()},
    }
