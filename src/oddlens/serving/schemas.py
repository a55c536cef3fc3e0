"""What the service answers, as JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Maps = Literal["none", "png", "float16"]


class _Answer(BaseModel):
    """An answer is written, not read: all fields are there in every one."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class Fault(_Answer):
    """Why something was not done."""

    code: str = Field(description="one word, for programs", examples=["not_an_image"])
    message: str = Field(
        description="one sentence, for people",
        examples=["is not a PNG, JPEG, BMP, TIFF or WebP image, or its header is damaged"],
    )


class ErrorAnswer(_Answer):
    """What comes with every status of 400 and more."""

    error: Fault


class ModelName(_Answer):
    """Which model it was, to the byte."""

    name: str = Field(description="the file's name without its ending", examples=["bottle"])
    method: str = Field(examples=["ssm"])
    version: str = Field(description="of the oddlens that made it", examples=["0.2.0"])
    sha256: str = Field(
        description="of the .onnx file, or of an artifact's config.json (which holds those of its "
        "other files)",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )


class ModelInfo(ModelName):
    """One served model."""

    kind: Literal["onnx", "artifact"]
    image_sizes: list[int] = Field(
        description="sides of the squares, in pixels, that images are resized to", examples=[[128]]
    )
    cues: list[str] = Field(examples=[["structure", "intensity"]])
    localizes: bool = Field(description="whether there are maps")
    held_out: int = Field(
        description="normal images that p-values and thresholds rest on", examples=[120]
    )
    false_alarm_rate: float = Field(description="the default", examples=[0.01])
    threshold: float = Field(description="at the default rate", examples=[2.31])
    guaranteed_rate: float = Field(
        description="what holds at that threshold; see /v1/score", examples=[0.00826]
    )
    loaded_at: str = Field(description="UTC, ISO 8601", examples=["2026-11-25T15:29:03+00:00"])

    ranks: list[int] = Field(
        description="false-alarm rates to choose from: each is k / (held_out + 1) for a k that "
        "stands here. All small ones, then ever fewer up to a half",
        examples=[[1, 2, 3]],
    )
    pixel_thresholds: list[float] | None = Field(
        description="the pixel threshold at each of these rates: that share of normal images at "
        "most has any pixel of its map above it; null without maps",
        examples=[[5.8, 5.1, 4.9]],
    )


class Limits(_Answer):
    """How much a request may hold."""

    max_files: int = Field(examples=[64])
    max_body_bytes: int = Field(examples=[67108864])
    max_image_bytes: int = Field(examples=[33554432])
    max_pixels: int = Field(examples=[89478485])
    max_map_pixels: int = Field(description="of all maps of an answer together", examples=[8388608])


class ModelsAnswer(_Answer):
    """All served models."""

    default: str = Field(
        description="which one is asked where `model` is not given", examples=["bottle"]
    )
    models: list[ModelInfo]
    limits: Limits


class MapValues(_Answer):
    """A map by its values, for programs that draw it themselves."""

    width: int = Field(description="columns", examples=[2])
    height: int = Field(description="rows", examples=[1])
    data: str = Field(
        description="base64 of the values, row by row, each a little-endian 16-bit float; higher = "
        "more anomalous, 0 = the mean of held-out normals, and in the unit of pixel_threshold. "
        "Rounded down, by less than a 1000th: what is above a threshold here is so indeed",
        examples=["ADwAQA=="],
    )


class Result(_Answer):
    """What was found for one image; with ``error``, all that a score would give is null."""

    index: int = Field(description="the place of the image in the request, from 0", examples=[0])
    file_name: str = Field(
        description="the last part of the name that was sent", examples=["017.png"]
    )
    sha256: str = Field(
        description="of the bytes that were received, so that an answer can be checked against "
        "the image that was sent",
        examples=["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    )
    width: int | None = Field(None, description="in pixels, upright", examples=[900])
    height: int | None = Field(None, description="in pixels, upright", examples=[900])
    score: float | None = Field(
        None, description="higher = more anomalous; raw, any range", examples=[3.72]
    )
    p_value: float | None = Field(
        None,
        description="share of normal images expected to score as high, in (0, 1]; at least "
        "1 / (held_out + 1)",
        examples=[0.00826],
    )
    anomalous: bool | None = Field(
        None, description="score > threshold, which is p_value <= guaranteed_rate"
    )
    cues: dict[str, float] | None = Field(
        None,
        description="the raw evidence that was fused, each in its own unit",
        examples=[{"structure": 0.113, "intensity": 0.02}],
    )
    standings: dict[str, float] | None = Field(
        None,
        description="the cues in one unit, to see which objects: standard deviations above the "
        "mean of held-out normals; for ensembles -log10 p. Null where the model file does not say",
        examples=[{"structure": 4.1, "intensity": 0.3}],
    )
    strongest_cue: str | None = Field(
        None, description="the cue of the highest standing", examples=["structure"]
    )
    map: str | None = Field(
        None,
        description="with maps=png, where the model localizes: a PNG to lay over the image, "
        "stretched to its size. Transparent where it looks usual; from red upwards what is above "
        "pixel_threshold. One scale for all images of a model and a false-alarm rate",
        examples=["data:image/png;base64,iVBORw0KGgo="],
    )
    map_values: MapValues | None = Field(
        None,
        description="with maps=float16, where the model localizes",
        examples=[None],
    )
    error: Fault | None = Field(None, examples=[None])


class ScoreAnswer(_Answer):
    """The scores of the images of one request, in their order."""

    model: ModelName
    false_alarm_rate: float = Field(description="as wanted", examples=[0.01])
    guaranteed_rate: float = Field(
        description="share of normal images that is flagged at most: false_alarm_rate or a little "
        "less, or 1 / (held_out + 1) where the hold-out is too small for it",
        examples=[0.00826],
    )
    held_out: int = Field(description="normal images that it rests on", examples=[120])
    threshold: float = Field(description="scores above are anomalous", examples=[2.31])
    pixel_threshold: float | None = Field(
        description="a normal image has any pixel of its map above it at the guaranteed rate at "
        "most; null without maps",
        examples=[5.8],
    )
    message: str | None = Field(
        description="a caveat: the wanted rate cannot be guaranteed", examples=[None]
    )
    results: list[Result]


class Health(_Answer):
    """Whether it lives, or is ready."""

    status: str = Field(examples=["ok"])
