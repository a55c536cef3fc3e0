"""What held-out normal images say of a detector: the scales of its cues, its calibration."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from oddlens.detector import Detector, FloatArray, Progress
from oddlens.images import ImageCache
from oddlens.scoring import Calibration, Cues, Scored, Standardiser
from oddlens.scoring.fusion import RANKED

TO_SCALE = 8
"""Images below which the spread of a cue cannot be told."""


def standardise(detector: Detector, tune: ImageCache, tell: Progress | None = None) -> None:
    """Fit the standardisation of cues and maps.

    Args:
        detector: trained and adapted.
        tune: normal images, disjoint from the calibration's; see ``Parts.scale``.
        tell: called with ("standardise", done, total).
    """
    cues = (detector.raw_cues(images) for images in detector.batches(tune))
    fit_scales(detector, cues, len(tune), tell or (lambda phase, done, total: None))


def fit_scales(
    detector: Detector,
    found: Iterable[Cues],
    total: int,
    tell: Progress,
    *,
    with_reference: bool = False,
) -> None:
    """The same from cues in batches, ``total`` images in all.

    ``with_reference`` keeps what ranks need even where the fusion ranks nothing.
    """
    scores: dict[str, list[FloatArray]] = {}
    sums: dict[str, FloatArray] = {}
    pixels = done = 0
    for cues in found:
        for name, values in cues.scores.items():
            scores.setdefault(name, []).append(values.numpy())
        for name, maps in cues.maps.items():
            each = maps.double()
            moments = np.array([float(each.sum()), float(each.square().sum())])
            sums[name] = sums.get(name, np.zeros(2)) + moments
        pixels += next((maps.numel() for maps in cues.maps.values()), 0)
        done += len(cues)
        tell("standardise", done, total)
    raw = {name: np.concatenate(values) for name, values in scores.items()}
    scales = Standardiser.fit(raw) if detector.config.standardise else Standardiser.unit(raw)
    ranked = with_reference or detector.config.fusion in RANKED
    scales = scales.with_reference(raw) if ranked else scales
    weighed = detector.weighed_cue()
    if weighed is not None and len(raw) > 1:
        scales = scales.with_vote(*weighed, raw, detector.config.fusion)
    detector.standardiser = scales
    detector.map_standardiser = _pixel_standardiser(sums, pixels)


def _pixel_standardiser(sums: dict[str, FloatArray], pixels: int) -> Standardiser | None:
    """Mean and deviation of each cue's map over all pixels of the tuning images."""
    if not sums:
        return None
    mean = {name: float(total[0] / pixels) for name, total in sums.items()}
    variance = {name: float(sums[name][1] / pixels - mean[name] ** 2) for name in sums}
    return Standardiser(mean, {name: max(v, 0.0) ** 0.5 or 1.0 for name, v in variance.items()})


def calibrate(detector: Detector, images: ImageCache, tell: Progress) -> None:
    """Score held-out images, to which later ones are compared.

    Args:
        detector: standardised.
        images: held-out images that nothing was chosen on.
        tell: called with ("calibrate", done, total).
    """
    scored = (detector.scored(batch) for batch in detector.batches(images))
    calibrate_on(detector, scored, len(images), tell)


def calibrate_on(detector: Detector, found: Iterable[Scored], total: int, tell: Progress) -> None:
    """The same from what was scored, in batches, ``total`` images in all."""
    scores: list[FloatArray] = []
    peaks: list[FloatArray] = []
    done = 0
    for scored in found:
        scores.append(scored.scores)
        if scored.maps is not None:
            peaks.append(scored.maps.reshape(len(scored.maps), -1).max(axis=1).astype(np.float64))
        done += len(scored.scores)
        tell("calibrate", done, total)
    detector.calibration = Calibration(
        np.concatenate(scores), np.concatenate(peaks) if peaks else None
    )
