"""Options of detectors: validated, documented, listed for the command line."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from oddlens.errors import UsageError
from oddlens.scoring import Fusion

Preset = Literal["compact", "paper"]


class OptionInfo(NamedTuple):
    """What the command line says of one option."""

    type: str
    default: Any
    help: str


class DetectorOptions(BaseModel):
    """Options that every method has. A method adds its own in a subclass."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    preset: Preset = Field(
        "compact", description="compact: trains in minutes on 2 CPU cores; paper: as published"
    )
    image_size: int = Field(128, ge=16, le=1024, description="side of the images, in pixels")
    # On a command line 32 reads as a number.
    precision: Annotated[Literal["auto", "32", "bf16"], BeforeValidator(str)] = Field(
        "auto", description="arithmetic of training; scoring is always float32"
    )
    fusion: Fusion = Field("mean", description="how standardised cues become the score")

    @classmethod
    def preset_defaults(cls, preset: Preset) -> dict[str, Any]:
        """The defaults that differ from the class's own under a preset."""
        return {}

    @classmethod
    def make(cls, given: dict[str, Any]) -> Self:
        """Validate what a caller gave, over the preset's defaults.

        Raises:
            UsageError: an unknown option, or a value out of range; names it and the way out.
        """
        for name in given:
            if name not in cls.model_fields:
                close = get_close_matches(name, cls.model_fields, n=1)
                hint = (
                    f"did you mean {close[0]}?"
                    if close
                    else f"there are {', '.join(cls.model_fields)}"
                )
                raise UsageError(f"there is no option {name!r}: {hint}")
        preset = given.get("preset", "compact")
        defaults = cls.preset_defaults(preset) if preset in ("compact", "paper") else {}
        try:
            return cls(**{**defaults, **given})
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "options"
            reason = first["msg"].removeprefix("Value error, ")
            raise UsageError(f"option {place}: {reason} (given: {first['input']!r})") from error

    @classmethod
    def describe(cls) -> dict[str, OptionInfo]:
        """Name to type, default of the compact preset, and help, for every option."""
        defaults = cls(**cls.preset_defaults("compact"))
        return {
            name: OptionInfo(
                str(field.annotation).replace("typing.", ""),
                getattr(defaults, name),
                field.description or "",
            )
            for name, field in cls.model_fields.items()
        }
