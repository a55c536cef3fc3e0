"""The options of ``SSM``, with their defaults under both presets."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from oddlens.options import DetectorOptions, Preset

RELEASED_CUES = ("structure", "intensity")
"""The two terms of the released code's image score."""

SURFACE: dict[str, Any] = {
    "cells": (4, 8, 16, 32),
    "scoring_cells": (8, 16, 32),
    "sigmas": (1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
    "equalise": 4.0,
    "flips": "horizontal",
}
"""What ``subject="surface"`` changes. Larger cells, because a grain is continued across small ones
for any defect that is made of it; larger smoothings, because such a defect is a region and not a
spot; equalised, because normal surfaces differ in the strength of their grain (our choice, found on
magnetic tile)."""

CueName = Literal["structure", "intensity", "darker", "brighter"]


class SSMOptions(DetectorOptions):
    """Options of ``SSM``."""

    variant: Literal["loop", "official"] = Field(
        "loop", description="loop: the paper's refinement loop; official: the released code"
    )
    subject: Literal["object", "surface"] = Field(
        "object",
        description="what the images show; surface sets other defaults of cells, scoring_cells, "
        "sigmas, equalise and flips, for an irregular texture that fills the image",
    )
    cells: tuple[int, ...] = Field(
        (2, 4, 8, 16), min_length=1, description="cell sizes of the training masks, in pixels"
    )
    scoring_cells: tuple[int, ...] = Field(
        (4, 8), min_length=1, description="cell sizes used for scoring, in pixels"
    )
    widths: tuple[PositiveInt, ...] = Field(
        (96, 128, 192), min_length=2, description="channels of the network's levels"
    )
    stem: Literal[1, 2, 4] = Field(4, description="side of the pixel blocks folded into channels")
    mask_attention: bool = Field(True, description="tell the decoder the mask (off: RIAD)")
    parts: int = Field(3, ge=2, le=8, description="official: masks of a partition")
    hidden: tuple[float, float] = Field(
        (0.1, 0.5), description="loop: lowest and highest share of hidden cells in training"
    )
    start: Literal["checkerboard", "partition"] = Field(
        "checkerboard", description="loop: the masks of the first pass"
    )
    rounds: int = Field(1, ge=0, le=10, description="refinement rounds; 0 scores the first pass")
    quantiles: tuple[float, float] = Field(
        (0.995, 0.995), description="loop: cell-error quantiles of normals above which cells stay"
    )
    persistence: float = Field(
        0.5, ge=0, le=1, description="loop: weight w of the refined error against the first pass"
    )
    outside: Literal["last", "zero"] = Field(
        "last",
        description="loop: the refined error outside H: that of the last in-painting, or zero "
        "(the released code's, which ties most pixels)",
    )
    intensity_weight: float = Field(
        10.0, ge=0, description="loop: weight of the intensity error in the refinement"
    )
    sigmas: tuple[NonNegativeFloat, ...] = Field(
        (1.0, 2.0, 4.0, 8.0),
        min_length=1,
        description="loop: smoothings of the structure and intensity maps, in pixels at 128 "
        "pixels; the map takes the largest standardised value over them",
    )
    residual_sigma: float = Field(
        1.0, ge=0, description="loop: smoothing of the darker and brighter cues, likewise"
    )
    equalise: NonNegativeFloat = Field(
        0.0,
        description="loop: judge structure, darker and brighter relative to the strength of an "
        "image's own texture, finer than this many pixels at 128 pixels; 0 for not",
    )
    normalise: Literal["pixel", "scale", "none"] = Field(
        "pixel", description="loop: statistics of normals by pixel, by cell size, or none"
    )
    spread_images: int = Field(
        200, ge=0, description="training images that join the statistics of normals by pixel"
    )
    cues: tuple[CueName, ...] = Field(
        ("structure", "darker", "brighter"),
        min_length=1,
        description="the evidence used: structure, intensity, darker, brighter "
        "(official: structure, intensity)",
    )
    rows_only: bool = Field(True, description="official: smooth along rows only, as released")
    equal_weights: bool = Field(False, description="official: weigh cell sizes alike")
    mse_weight: float = Field(1.0, ge=0, description="loss: mean squared error")
    msgms_weight: float = Field(1.0, ge=0, description="loss: gradient-magnitude similarity")
    ssim_weight: float = Field(1.0, ge=0, description="loss: structural similarity")
    mask_weight: float = Field(1.0, ge=0, description="loss: the mask head")
    flips: Literal["none", "horizontal", "both"] = Field(
        "none", description="random mirroring in training; none is the released code's"
    )
    learning_rate: float = Field(2e-3, gt=0, description="base learning rate of Adam")
    weight_decay: float = Field(1e-5, ge=0, description="weight decay of Adam")
    batch_size: int = Field(16, ge=1, description="images a training step")
    schedule: Literal["cosine", "mvtec", "oct"] = Field(
        "cosine",
        description="course of the learning rate; mvtec: a tenth from 5/6 of the length on; oct: "
        "the released code's, a tenth from each of 30, 60 and 90 % on",
    )
    epochs: int = Field(
        150, ge=1, description="passes over the images, unless epochs or minutes are asked for"
    )
    most_steps: PositiveInt | None = Field(
        2500, description="a bound on that length, some ten minutes on 2 cores; null for none"
    )

    @classmethod
    def preset_defaults(cls, preset: Preset) -> dict[str, Any]:
        """``paper`` is the released network and schedule at 256 pixels (SSM-U5)."""
        if preset == "compact":
            return {}
        return {
            "image_size": 256,
            "widths": (64, 128, 256, 512, 512),
            "stem": 1,
            "cells": (2, 4, 8, 16),
            "scoring_cells": (2, 4, 8, 16),
            "learning_rate": 1e-4,
            "batch_size": 8,
            "schedule": "mvtec",
            "epochs": 300,
            "most_steps": None,
            "rounds": 5,
            "quantiles": (0.8, 0.95),
            "persistence": 0.7,
        }

    @model_validator(mode="before")
    @classmethod
    def _follow_subject_and_variant(cls, given: Any) -> Any:
        """A surface and ``official`` have defaults of their own, unless others are asked for."""
        if not isinstance(given, dict):
            return given
        released = {"cues": RELEASED_CUES, "scoring_cells": (2, 4, 8)}
        return {
            **(SURFACE if given.get("subject") == "surface" else {}),
            **(released if given.get("variant") == "official" else {}),
            **given,
        }

    @model_validator(mode="after")
    def _fits(self) -> Self:
        multiple = self.stem * 2 ** (len(self.widths) - 1)
        if self.image_size % multiple:
            nearest = max(multiple, round(self.image_size / multiple) * multiple)
            raise ValueError(
                f"image_size {self.image_size} must be a multiple of {multiple} for this network, "
                f"such as {nearest}"
            )
        for name, cells in (("cells", self.cells), ("scoring_cells", self.scoring_cells)):
            self._check_cells(name, cells)
        if not 0 < self.hidden[0] <= self.hidden[1] < 1:
            raise ValueError("hidden must be two shares, 0 < lowest <= highest < 1")
        if not all(0 < q < 1 for q in self.quantiles):
            raise ValueError("quantiles must lie between 0 and 1")
        if self.variant == "official" and not set(self.cues) <= set(RELEASED_CUES):
            raise ValueError(
                f"cues: the official variant has {' and '.join(RELEASED_CUES)} alone; "
                "darker and brighter belong to variant loop"
            )
        return self

    def _check_cells(self, name: str, cells: tuple[int, ...]) -> None:
        for cell in cells:
            if not 1 <= cell <= self.image_size // 2:
                raise ValueError(
                    f"{name}: cell size {cell} must lie between 1 and half the image size, "
                    f"{self.image_size // 2}"
                )
        if len(set(cells)) < len(cells):
            raise ValueError(f"{name}: a cell size is given twice")
