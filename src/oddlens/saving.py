"""From a fitted detector to an artifact and back: ``Detector.save`` and ``load`` step by step."""

from __future__ import annotations

from pathlib import Path

from oddlens.artifact import Artifact, read_artifact
from oddlens.detector import Detector
from oddlens.errors import ArtifactError, UsageError
from oddlens.images import KnownImages
from oddlens.model_card import model_card
from oddlens.scoring import Calibration, Standardiser


def to_artifact(detector: Detector, calibration: Calibration) -> Artifact:
    """What is saved of a fitted detector; ``calibration`` is its own."""
    assert detector.standardiser is not None
    maps, known = detector.map_standardiser, detector.known_images
    scales = {
        "calibration": calibration.to_json(),
        "standardiser": detector.standardiser.to_json(),
        "map_standardiser": maps.to_json() if maps else None,
        "known_images": known.to_json() if known else None,
    }
    return Artifact(
        method=detector.method,
        config=detector.config.model_dump(mode="json"),
        weights={name: value.detach().cpu() for name, value in detector.state_dict().items()},
        calibration=scales,
        card=model_card(detector),
        provenance=detector.provenance,
    )


def restore(detector: Detector, artifact: Artifact) -> None:
    """Give a detector what held-out normals said, and where it comes from.

    Raises:
        ArtifactError: the scales are damaged or missing.
    """
    scales = artifact.calibration
    try:
        detector.calibration = Calibration.from_json(scales["calibration"])
        detector.standardiser = Standardiser.from_json(scales["standardiser"])
        maps = scales["map_standardiser"]
    except KeyError as error:
        raise ArtifactError(f"calibration.json has no {error}") from error
    detector.map_standardiser = Standardiser.from_json(maps) if maps else None
    known = scales.get("known_images")  # earlier artifacts have none
    detector.known_images = KnownImages.from_json(known) if known else None
    detector.provenance = artifact.provenance
    detector.fit_report = artifact.provenance.get("fit", {})


def load(path: Path, *, device: str) -> Detector:
    """See ``oddlens.load``."""
    from oddlens.detectors import get_class
    from oddlens.fitting import choose_device

    artifact = read_artifact(path)
    try:
        detector = get_class(artifact.method).from_artifact(artifact)
    except (UsageError, RuntimeError) as error:
        reason = " ".join(str(error).split())  # torch's has several lines
        raise ArtifactError(
            f"{path}: cannot be loaded by this version of oddlens ({reason})"
        ) from error
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from error
    return detector.to(choose_device(device)).eval()
