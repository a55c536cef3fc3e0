"""The parts of the format: names, the configuration file, digests, strict JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

FORMAT_VERSION = 1

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CALIBRATION = "calibration.json"
CARD = "README.md"
FILES = (CONFIG, WEIGHTS, CALIBRATION, CARD)
MEMBERS = "members"
MEMBER_NAME = "[a-z0-9-]{1,64}"
"""What the folder of a member may be called, as a regular expression."""

FORMAT = "oddlens artifact"
NO_DIGEST = "0" * 64
NOT_FINITE = ("nan", "inf", "-inf")


@dataclass
class Artifact:
    """What is saved of a detector.

    Attributes:
        method: the method's name, such as "ssm".
        config: its options; JSON values (str, int, float, bool, None, lists, dicts with str keys;
            tuples come back as lists).
        weights: the state dict; any shape, and any dtype that safetensors knows (all but
            complex128). They come back contiguous, on the CPU, bit for bit, sorted by name.
        calibration: JSON values.
        card: the model card, Markdown.
        provenance: where it comes from (version, data counts, seed, hardware...); JSON values.
        members: of an ensemble, the members' artifacts by name (``MEMBER_NAME``), in order.
    """

    method: str
    config: dict[str, Any]
    weights: dict[str, Tensor]
    calibration: dict[str, Any]
    card: str
    provenance: dict[str, Any] = field(default_factory=dict)
    members: dict[str, Artifact] = field(default_factory=dict)


class Config(BaseModel):
    """``config.json``. In the file the digest comes first, so that its place is plain."""

    model_config = ConfigDict(extra="forbid", strict=True)

    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    format: str
    format_version: int
    method: str
    config: dict[str, Any]
    provenance: dict[str, Any]
    sha256: dict[str, str]


def leftover_of(target: Path) -> Path:
    """Where the artifact before waits while a new one takes its place."""
    return Path(f"{target}.old-while-saving")


def sha256(content: bytes) -> str:
    """The digest of a file."""
    return hashlib.sha256(content).hexdigest()


def parse(content: bytes) -> dict[str, Any]:
    """A JSON object; ValueError for anything else."""
    try:
        data = json.loads(content, object_hook=_restore, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return data


def _restore(item: dict[str, Any]) -> Any:
    if item.keys() == {"$float"} and item["$float"] in NOT_FINITE:
        return float(item["$float"])
    return item


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def render(value: dict[str, Any]) -> bytes:
    """A JSON object as the bytes of a file."""
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode("ascii")
