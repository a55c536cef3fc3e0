"""Options of detectors: validated, documented, listed for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Self, Union, get_args, get_origin

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
    standardise: bool = Field(True, description="scale cues on held-out normals before fusion")
    fusion: Fusion = Field(
        "mean", description="how cues become the score; the last four on conformal p-values"
    )

    @property
    def trains_a_network(self) -> bool:
        """Whether fitting uses what time it is given; else it is soon done."""
        return True

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
                known = ", ".join(cls.model_fields)
                hint = f"did you mean {close[0]}?" if close else f"there are {known}"
                raise UsageError(f"there is no option {name!r}: {hint}")
        preset = given.get("preset", "compact")
        defaults = cls.preset_defaults(preset) if preset in get_args(Preset) else {}
        try:
            return cls(**{**defaults, **given})
        except ValidationError as error:
            raise UsageError("; ".join(map(_sentence, error.errors()))) from error

    @classmethod
    def describe(cls, preset: Preset = "compact") -> dict[str, OptionInfo]:
        """Name to type, default under a preset, and help, for every option."""
        defaults = cls(**{"preset": preset, **cls.preset_defaults(preset)})
        return {
            name: OptionInfo(
                _type_name(field.annotation), getattr(defaults, name), field.description or ""
            )
            for name, field in cls.model_fields.items()
        }


def _sentence(problem: Mapping[str, Any]) -> str:
    """One of pydantic's errors, for people."""
    reason = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:  # a rule over several options, which names them itself
        return str(reason)
    place = ".".join(map(str, problem["loc"]))
    return f"option {place}: {reason[0].lower()}{reason[1:]} (given: {problem['input']!r})"


def _type_name(annotation: Any) -> str:
    """A type as one writes its values: ``int``, ``loop | official``, ``int, int, ...``."""
    inner = get_args(annotation)
    match get_origin(annotation):
        case None:
            return "none" if annotation is NoneType else getattr(annotation, "__name__", "any")
        case origin if origin is Annotated:
            return _type_name(inner[0])
        case origin if origin is Literal:
            return " | ".join(map(str, inner))
        case origin if origin in (Union, UnionType):
            return " | ".join(map(_type_name, inner))
        case origin if origin is tuple:
            return f"[{', '.join('...' if each is ... else _type_name(each) for each in inner)}]"
        case _:
            return str(annotation)
