"""Read an artifact, after checking that it is whole and unchanged."""

from __future__ import annotations

import os
import re
from pathlib import Path

import safetensors.torch
from pydantic import ValidationError
from safetensors import SafetensorError

from oddlens.artifact.format import (
    CALIBRATION,
    CARD,
    CONFIG,
    FILES,
    FORMAT,
    FORMAT_VERSION,
    MEMBER_NAME,
    MEMBERS,
    NO_DIGEST,
    WEIGHTS,
    Artifact,
    Config,
    leftover_of,
    parse,
    sha256,
)
from oddlens.errors import ArtifactError


def read_artifact(path: str | Path) -> Artifact:
    """Read a saved detector, after checking that it is whole and unchanged.

    Only files of the format are read, whatever ``config.json`` names.

    Args:
        path: the folder.

    Returns:
        The artifact.

    Raises:
        ArtifactError: nothing is there, it is no artifact, a file is missing or differs from what
            was saved, or the format is newer than this version of oddlens knows.
    """
    root = Path(path)
    config = _read_config(root)
    contents = {name: _read(root, name) for name in FILES if name != CONFIG}
    members = _member_names(config)
    configs = {f"{MEMBERS}/{name}/{CONFIG}" for name in members}
    for name, content in (contents | {name: _read(root, name) for name in configs}).items():
        if sha256(content) != config.sha256.get(name):
            raise _damaged(root / name)
    try:
        return Artifact(
            method=config.method,
            config=config.config,
            # Sorted: safetensors gives another order in every process.
            weights=dict(sorted(safetensors.torch.load(contents[WEIGHTS]).items())),
            calibration=parse(contents[CALIBRATION]),
            card=contents[CARD].decode("utf-8", "surrogateescape"),
            provenance=config.provenance,
            members={name: read_artifact(root / MEMBERS / name) for name in members},
        )
    except (ValueError, SafetensorError) as error:
        raise ArtifactError(f"{root} cannot be read: {error}; fit the detector again") from error


def _read_config(root: Path) -> Config:
    _check_folder(root)
    content = _read(root, CONFIG)
    try:
        data = parse(content)
    except ValueError as error:
        raise _damaged(root / CONFIG) from error
    if data.get("format") != FORMAT:
        raise _not_an_artifact(root)
    # Before anything else is looked at: another version may have other fields and other digests.
    version = data.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ArtifactError(
            f"{root} has the artifact format {version} and this version of oddlens reads formats "
            f"up to {FORMAT_VERSION}: upgrade oddlens"
        )
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise _damaged(root / CONFIG) from error
    blank = content.replace(config.digest.encode(), NO_DIGEST.encode(), 1)
    if sha256(blank) != config.digest:
        raise _damaged(root / CONFIG)
    return config


def _member_names(config: Config) -> list[str]:
    """The members of an ensemble, in order; none of a single detector."""
    found = (re.fullmatch(f"{MEMBERS}/({MEMBER_NAME})/{CONFIG}", name) for name in config.sha256)
    return [match[1] for match in found if match]


def _check_folder(root: Path) -> None:
    # Not Path.exists, which fails for a name that is too long where this says False.
    if not os.path.exists(root):  # noqa: PTH110
        previous = leftover_of(root)
        if os.path.exists(previous):  # noqa: PTH110
            raise ArtifactError(
                f"{root} is missing because saving it was interrupted; the artifact before it is "
                f"in {previous}: rename it to {root.name}"
            )
        raise ArtifactError(f"there is no artifact {root}: check the path")
    if not (root / CONFIG).exists():
        raise _not_an_artifact(root)


def _read(root: Path, name: str) -> bytes:
    file = root / name
    if not file.is_file():  # Also keeps off pipes and devices, which would block.
        raise ArtifactError(f"{root} is incomplete: {name} is missing; copy the whole folder again")
    try:
        return file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read {file}: {error.strerror or error}") from error


def _damaged(file: Path) -> ArtifactError:
    return ArtifactError(
        f"{file} is not what was saved (its SHA-256 differs): it was changed or damaged; "
        "copy the artifact again, or fit the detector again"
    )


def _not_an_artifact(root: Path) -> ArtifactError:
    if root.suffix.lower() == ".onnx" and root.is_file():
        return ArtifactError(
            f"{root} is an exported file, and the detector itself is needed here: give the folder "
            "that it was exported from (`oddlens.export.load_onnx` loads such a file to score)"
        )
    return ArtifactError(
        f"{root} is no oddlens artifact: give a folder that `oddlens fit --out` wrote"
    )
