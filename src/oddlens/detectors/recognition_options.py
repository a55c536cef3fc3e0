"""Options of the detectors that recognise transforms: MultiTask and GeometricTransforms."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from oddlens.networks.encoders import EncoderName
from oddlens.options import DetectorOptions, Preset
from oddlens.pretext.augmentation import Flips
from oddlens.pretext.classification import Inner
from oddlens.pretext.pieces import default_margin
from oddlens.training.optimizers import OptimizerName

OOD = Literal["combined", "softmax_truth", "mahalanobis"]
TaskName = Literal["vertical", "horizontal", "rotation", "jigsaw"]


class RecognitionOptions(DetectorOptions):
    """What both have in common: network, training, the score of a head."""

    image_size: int = Field(
        30,
        ge=16,
        le=1024,
        description="side of the images, in pixels; a multiple of 3, without a rim, for the jigsaw",
    )
    encoder: EncoderName = Field(
        "compact", description="compact: for CPUs; wrn: WRN-16-4, as published"
    )
    widths: tuple[PositiveInt, ...] = Field(
        (32, 64, 128), min_length=1, description="compact: channels of the encoder's stages"
    )
    stem: Literal[1, 2, 4] = Field(2, description="compact: stride of the encoder's first layer")
    shift: int | None = Field(
        None, ge=1, description="pixels of a translation; null: a quarter of the side (MT-U1)"
    )
    inner: Inner = Field(
        "sum", description="a cue sums or averages over the transforms of its task (MT-U11)"
    )
    ood: OOD = Field(
        "combined",
        description="what a head is judged by: softmax_truth, literal: the probability of the true "
        "transform; mahalanobis: the distance of its logits from those of normal images; combined: "
        "the first, and a share of the distance of the features before the head",
    )
    feature_weight: float = Field(
        0.03, ge=0, description="combined: weight of the squared distance over its dimensions"
    )
    statistics_images: int = Field(
        1000, ge=1, description="distances: training images their statistics come from, at most"
    )
    standardise: bool = Field(
        False, description="scale cues on held-out normals before fusion; literal: they are not"
    )
    flips: Flips = Field("none", description="random mirroring in training, before the transform")
    jitter: int = Field(0, ge=0, description="random shifts in training, up to so many pixels")
    optimizer: OptimizerName = Field("sgd", description="sgd: with Nesterov momentum 0.9")
    learning_rate: float = Field(0.02, gt=0, description="base learning rate")
    weight_decay: float = Field(5e-4, ge=0, description="weight decay")
    batch_size: int = Field(16, ge=1, description="images a step, each under all its transforms")
    epochs: int = Field(
        16, ge=1, description="passes over the images, unless epochs or minutes are asked for"
    )

    @classmethod
    def preset_defaults(cls, preset: Preset) -> dict[str, Any]:
        """``paper`` is WRN-16-4 with MHRot's optimizer (MT-U6) and the literal score.

        MHRot's rate of 0.1 is for a mean over transforms; the loss here is the sum of 13.
        """
        if preset == "compact":
            return {}
        return {"encoder": "wrn", "learning_rate": 0.008, "ood": "softmax_truth", "image_size": 36}

    @property
    def pixels(self) -> int:
        """The shift in pixels."""
        return self.image_size // 4 if self.shift is None else self.shift

    @model_validator(mode="after")
    def _shift_fits(self) -> Self:
        for name, pixels in (("shift", self.pixels), ("jitter", self.jitter)):
            if pixels >= self.image_size:
                raise ValueError(f"{name} {pixels} must be less than image_size {self.image_size}")
        return self

    def _refuse_upside_down(self) -> None:
        if self.flips == "both":
            raise ValueError(
                "flips=both makes upright and upside down alike, which rotation asks about; use "
                "flips=horizontal"
            )


class MultiTaskOptions(RecognitionOptions):
    """Options of ``MultiTask``."""

    tasks: tuple[TaskName, ...] = Field(
        ("vertical", "horizontal", "rotation", "jigsaw"),
        min_length=1,
        description="the pretext tasks; the first three are the paper's G, jigsaw is its J",
    )
    grid: int = Field(3, ge=2, le=6, description="jigsaw: pieces a side")
    permutations: int = Field(3, ge=2, le=1000, description="jigsaw: how many, k")
    permutation_seed: int = Field(0, ge=0, description="jigsaw: draws the permutations (MT-U2)")
    include_identity: bool = Field(False, description="jigsaw: one permutation moves nothing")
    margin: int | None = Field(
        None,
        ge=0,
        description="jigsaw: gap between pieces, in pixels; 0 for none, null for 15 % of a piece, "
        "at least 2 (MT-U3)",
    )
    rim: int = Field(
        0,
        ge=0,
        description="pixels cut off at each side; a shift moves the window that far into them, "
        "instead of mirroring; image_size grows with it unless given; 0: no rim",
    )

    @classmethod
    def make(cls, given: dict[str, Any]) -> Self:
        """As of every method; with a rim images are larger by it, unless their size is given."""
        rim = given.get("rim")
        if isinstance(rim, int) and rim > 0 and "image_size" not in given:
            usual = super().make({name: given[name] for name in given.keys() & {"preset"}})
            given = {**given, "image_size": usual.image_size + 2 * rim}
        return super().make(given)

    @property
    def side(self) -> int:
        """Of what the network sees, in pixels."""
        return self.image_size - 2 * self.rim

    @property
    def gap(self) -> int:
        """The margin in pixels."""
        return default_margin(self.side // self.grid) if self.margin is None else self.margin

    @model_validator(mode="after")
    def _rim_fits(self) -> Self:
        if not self.rim:
            return self
        if self.shift is not None:
            raise ValueError(
                f"shift {self.shift}: images are shifted by rim, {self.rim}; leave one out"
            )
        if self.side < 2 * self.rim:
            raise ValueError(
                f"rim {self.rim} must be at most a quarter of image_size {self.image_size}"
            )
        if not {"vertical", "horizontal"} & set(self.tasks):
            raise ValueError(
                f"rim {self.rim}: no task sees it but vertical and horizontal; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _jigsaw_fits(self) -> Self:
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("tasks: a task is given twice")
        if "rotation" in self.tasks:
            self._refuse_upside_down()
        if "jigsaw" in self.tasks:
            if self.side % self.grid:
                # Up, where a rim is there that must stay a quarter at most.
                pieces = -(-self.side // self.grid) if self.rim else round(self.side / self.grid)
                nearest = pieces * self.grid + 2 * self.rim
                without = " without its rim" if self.rim else ""
                raise ValueError(
                    f"image_size {self.image_size}{without} must be a multiple of grid "
                    f"{self.grid}, such as {nearest}"
                )
            if self.gap >= self.side // self.grid:
                raise ValueError(f"margin {self.gap} leaves nothing of a piece")
        return self


class GeometricOptions(RecognitionOptions):
    """Options of ``GeometricTransforms``."""

    variant: Literal["mhrot", "geotrans"] = Field(
        "mhrot",
        description="mhrot: 36 compositions, a head each for both shifts and the rotation; "
        "geotrans: 72 with mirroring, one head for all",
    )
    batch_size: int = Field(4, ge=1, description="images a step, each under all its transforms")

    epochs: int = Field(
        6, ge=1, description="passes over the images, unless epochs or minutes are asked for"
    )

    inner: Inner = Field("mean", description="a cue averages, or sums, over the compositions")
    ood: OOD = Field("softmax_truth", description="as of MultiTask; literal by default")
    learning_rate: float = Field(0.1, gt=0, description="base learning rate, MHRot's")

    @classmethod
    def preset_defaults(cls, preset: Preset) -> dict[str, Any]:
        """``paper`` is WRN-16-4."""
        return {"encoder": "wrn", "image_size": 36} if preset == "paper" else {}

    @model_validator(mode="after")
    def _classes_differ(self) -> Self:
        self._refuse_upside_down()
        if self.variant == "geotrans" and self.flips != "none":
            raise ValueError(
                f"flips={self.flips} mirrors at random what variant=geotrans asks about; use "
                "flips=none"
            )
        return self
