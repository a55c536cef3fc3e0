"""Options of MultiCue."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from oddlens.networks.encoders import EncoderName
from oddlens.options import DetectorOptions, Preset
from oddlens.pretext.augmentation import Flips
from oddlens.pretext.pieces import default_margin
from oddlens.pretext.recolorization import default_alpha
from oddlens.scoring import Fusion
from oddlens.training.optimizers import OptimizerName

TaskName = Literal["puzzle", "tint", "recolorization"]
TASKS: tuple[TaskName, ...] = ("puzzle", "tint", "recolorization")


class MultiCueOptions(DetectorOptions):
    """Options of ``MultiCue``. Defaults named MC-Un are our choice; see the method's page."""

    image_size: int = Field(
        36, ge=16, le=1024, description="side of the images, in pixels; a multiple of grid (MC-U5)"
    )
    fusion: Fusion = Field("median", description="how standardised cues become the score")
    tasks: tuple[TaskName, ...] = Field(
        TASKS, min_length=1, description="the pretext tasks: puzzle, tint, recolorization"
    )
    encoder: EncoderName = Field("compact", description="compact: for CPUs; wrn: WRN-16-4 (MC-U1)")
    widths: tuple[PositiveInt, ...] = Field(
        (48, 96), min_length=1, description="compact: channels of the encoder's stages"
    )
    stem: Literal[1, 2, 4] = Field(2, description="compact: stride of the encoder's first layer")
    unet_widths: tuple[PositiveInt, ...] = Field(
        (48, 96), min_length=1, description="channels of the U-Net's levels (MC-U3)"
    )
    unet_stem: Literal[1, 2, 4] = Field(2, description="side of the blocks the U-Net folds")
    grid: int = Field(3, ge=2, le=6, description="pieces a side (MC-U5)")
    angles: int = Field(4, ge=2, le=12, description="tint: rotations of the hue, m (MC-U8)")
    margin: int | None = Field(
        None,
        ge=0,
        description="gap between pieces, in pixels; 0 for none, null for 15 % of a piece, at least "
        "2 (MC-U7)",
    )
    permutations: int = Field(4, ge=1, le=64, description="passes of a test image, R (MC-U6)")
    permutation_seed: int = Field(
        0, ge=0, description="draws permutations and angles of the test (MC-U6)"
    )
    attention: Literal["off", "u", "l", "both"] = Field(
        "both",
        description="where the attention map weighs: nowhere (v1 of the paper), puzzle and tint, "
        "recolorization, or both",
    )
    lambda_t: float = Field(
        10.0, ge=0, description="weight of tint's loss, which is small in size (MC-U11)"
    )
    lambda_d: float = Field(
        2.0,
        description="weight of the density term; above 0 spreads the attention, below 0 gathers it "
        "(MC-U10)",
    )
    weighting: Literal["attention", "plain"] = Field(
        "attention",
        description="the mean of a cue over pieces: by the attention map, or plain; "
        "ood=combined has weights of its own",
    )
    ood: Literal["combined", "softmax_truth", "mahalanobis"] = Field(
        "combined",
        description="what the puzzle is judged by (MC-U19): softmax_truth, literal: the "
        "probability of the true position; mahalanobis: the distance of its logits from those of "
        "normal images; combined: the first, weighed by how well normal images are solved there, "
        "and the distance of the pieces' features",
    )
    tint_ood: Literal["expected_error", "softmax_truth", "mahalanobis"] = Field(
        "expected_error", description="what tint's answers are judged by (MC-U19)"
    )
    statistics_images: int = Field(
        1000, ge=1, description="training images that statistics of normal ones come from, at most"
    )
    places: bool = Field(
        True,
        description="maps: deviations from what is normal at each place, rather than raw values",
    )
    components: int = Field(
        3, ge=1, le=16, description="recolorization: Gaussians of the mixture, K (MC-U13)"
    )
    covariance: Literal["full", "diagonal"] = Field(
        "full", description="recolorization: of each Gaussian"
    )
    border: int | None = Field(
        None,
        ge=1,
        description="recolorization: width of the coloured border in pixels; null for an eighth "
        "of the side (MC-U14)",
    )
    flips: Flips = Field("none", description="random mirroring in training, before the tasks")
    jitter: int = Field(0, ge=0, description="random shifts in training, up to so many pixels")
    optimizer: OptimizerName = Field(
        "sgd", description="of puzzle and tint; sgd: with Nesterov momentum 0.9 (MC-U22)"
    )
    learning_rate: float = Field(0.05, gt=0, description="of puzzle and tint")
    weight_decay: float = Field(5e-4, ge=0, description="of puzzle and tint")
    colour_learning_rate: float = Field(1e-3, gt=0, description="of recolorization, with Adam")
    clip: float = Field(1.0, gt=0, description="recolorization: largest gradient norm (MC-U22)")
    batch_size: int = Field(32, ge=1, description="images a step")
    colour_share: float = Field(
        0.35, gt=0, lt=1, description="share of a budget of time that recolorization gets"
    )
    epochs: int = Field(
        50, ge=1, description="passes over the images, unless epochs or minutes are asked for"
    )

    @classmethod
    def preset_defaults(cls, preset: Preset) -> dict[str, Any]:
        """``paper``: WRN-16-4, a U-Net of 32, 64, 128 channels, the literal score (MC-U1, U3)."""
        if preset == "compact":
            return {}
        return {
            "encoder": "wrn",
            "learning_rate": 0.1,
            "unet_widths": (32, 64, 128),
            "unet_stem": 1,
            "ood": "softmax_truth",
        }

    @property
    def gap(self) -> int:
        """The margin in pixels."""
        return default_margin(self.image_size // self.grid) if self.margin is None else self.margin

    @property
    def alpha(self) -> int:
        """The border in pixels."""
        return default_alpha(self.image_size) if self.border is None else self.border

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("tasks: a task is given twice")
        if self.image_size % self.grid:
            nearest = max(1, round(self.image_size / self.grid)) * self.grid
            raise ValueError(
                f"image_size {self.image_size} must be a multiple of grid {self.grid}, "
                f"such as {nearest}"
            )
        if self.gap >= self.image_size // self.grid:
            raise ValueError(
                f"margin {self.gap} leaves nothing of a piece of {self.image_size // self.grid} "
                "pixels; lower it"
            )
        if self.jitter >= self.image_size:
            raise ValueError(f"jitter {self.jitter} must be less than image_size {self.image_size}")
        if 2 * self.alpha >= self.image_size:
            raise ValueError(f"border {self.alpha} leaves no centre of {self.image_size} pixels")
        return self
