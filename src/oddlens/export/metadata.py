"""What an exported file says of itself, in ONNX's ``metadata_props``: strings by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from oddlens.errors import ArtifactError
from oddlens.scoring import Calibration

FORMAT_VERSION = 1
DEFAULT_RATE = 0.01
"""The false-alarm rate of the thresholds that are written down (``oddlens score``'s default)."""
PREFIX = "oddlens."
UNSIGNED = "0" * 64
"""Stands in the place of a file's SHA-256 while it is computed."""


CueScales: TypeAlias = dict[str, tuple[float, float]]
"""For each cue, mean and standard deviation over held-out normal images."""


class _Props(BaseModel):
    """The values, each as JSON but for the plain words."""

    model_config = ConfigDict(extra="allow")

    version: str
    method: str
    image_sizes: list[int] = Field(min_length=1)
    cues: list[str] = Field(min_length=1)
    localizes: bool
    calibration: dict[str, Any]
    config: dict[str, Any]
    provenance: dict[str, Any]
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    scales: dict[str, tuple[float, PositiveFloat]] = Field(default_factory=dict)
    quantisation: dict[str, Any] = Field(default_factory=dict)


_WORDS = ("version", "method", "sha256")


@dataclass(frozen=True, eq=False)
class OnnxMetadata:
    """What is to know of an exported detector besides its graph.

    Attributes:
        version: of the oddlens that wrote it.
        method: such as ``"ssm"``.
        image_sizes: S of each input, ascending; several for an ensemble of unlike members.
        cues: the columns of the output ``cues``.
        localizes: whether there is an output ``map``.
        calibration: what p-values and thresholds rest on.
        config: the options of the method.
        provenance: where the detector comes from.
        sha256: of the file, with zeros in the place of this.
        scales: what brings the cues to one unit, see ``OnnxDetector.standings``; earlier files have
            none.
        quantisation: see ``int8.Quantised``; empty where the numbers are those of the detector.
    """

    version: str
    method: str
    image_sizes: tuple[int, ...]
    cues: tuple[str, ...]
    localizes: bool
    calibration: Calibration
    config: dict[str, Any]
    provenance: dict[str, Any]
    sha256: str = UNSIGNED
    scales: CueScales = field(default_factory=dict)
    quantisation: dict[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the graph's inputs: ``images``; of several, ``images_<size>``."""
        if len(self.image_sizes) == 1:
            return ("images",)
        return tuple(f"images_{size}" for size in self.image_sizes)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the graph's outputs."""
        return ("score", "p_value", "cues", *(["map"] if self.localizes else []))

    def to_props(self) -> dict[str, str]:
        """The strings to write; thresholds among them, for programs that compute none.

        A threshold at another rate follows from the calibration: with its n scores, a wanted rate
        r and k = floor(r (n + 1)), at least 1, it is the k-th largest score.
        """
        threshold = self.calibration.threshold(DEFAULT_RATE)
        values: dict[str, Any] = {
            "format": FORMAT_VERSION,
            "version": self.version,
            "method": self.method,
            "image_sizes": list(self.image_sizes),
            "cues": list(self.cues),
            "localizes": self.localizes,
            "false_alarm_rate": DEFAULT_RATE,
            "threshold": threshold.value,
            "guaranteed_rate": threshold.guaranteed,
            "calibration": self.calibration.to_json(),
            "config": self.config,
            "provenance": self.provenance,
            "sha256": self.sha256,
            "scales": self.scales,
        }
        if self.quantisation:
            values["quantisation"] = self.quantisation
        if self.calibration.map_peaks is not None:
            pixel = self.calibration.pixel_threshold(DEFAULT_RATE)
            values["pixel_threshold"] = pixel.value
        return {
            PREFIX + name: value if name in _WORDS else json.dumps(value, allow_nan=False)
            for name, value in values.items()
        }

    @classmethod
    def from_props(cls, props: Mapping[str, str], path: str) -> OnnxMetadata:
        """The inverse of ``to_props``.

        Args:
            props: of the file.
            path: what to call it in errors.

        Raises:
            ArtifactError: another program's file, a newer version's, or a damaged one.
        """
        own = {
            name.removeprefix(PREFIX): value
            for name, value in props.items()
            if name.startswith(PREFIX)
        }
        if "format" not in own:
            raise ArtifactError(
                f"{path}: is an ONNX model, but none that oddlens exported; make one with "
                "`oddlens export MODEL --to onnx`"
            )
        if own["format"] != str(FORMAT_VERSION):
            raise ArtifactError(
                f"{path}: was written in format {own['format']}, and this version of oddlens reads "
                f"format {FORMAT_VERSION}: upgrade oddlens, or export the detector again"
            )
        try:
            read = _Props.model_validate(
                {
                    name: value if name in _WORDS else json.loads(value)
                    for name, value in own.items()
                }
            )
            calibration = Calibration.from_json(read.calibration)
        except (ValidationError, ValueError, ArtifactError) as error:
            reason = " ".join(str(error).split())
            raise ArtifactError(f"{path}: its description is damaged ({reason})") from error
        return cls(
            read.version,
            read.method,
            tuple(read.image_sizes),
            tuple(read.cues),
            read.localizes,
            calibration,
            read.config,
            read.provenance,
            read.sha256,
            read.scales,
            read.quantisation,
        )
