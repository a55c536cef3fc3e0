"""A fitted detector on disk: a folder of safetensors, JSON and a model card. Never a pickle.

The format, version 1:

* ``model.safetensors``: the weights.
* ``calibration.json``: what the held-out normal images said.
* ``README.md``: the model card.
* ``config.json``: the method and its options, the provenance, the SHA-256 of the three files
  above, and under ``digest`` its own: the SHA-256 of ``config.json`` as it is on disk, with 64
  zeros in the place of the digest.

So one changed byte in any of the four is found. That protects against damage and mix-ups; it is
no signature: who can write the folder can also write new digests.

JSON has no NaN or infinity; they are written as ``{"$float": "nan"}``, ``"inf"`` and ``"-inf"``.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import safetensors.torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from torch import Tensor

from oddlens.errors import ArtifactError

FORMAT_VERSION = 1

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CALIBRATION = "calibration.json"
CARD = "README.md"
FILES = (CONFIG, WEIGHTS, CALIBRATION, CARD)

_FORMAT = "oddlens artifact"
_NO_DIGEST = "0" * 64
_NOT_FINITE = ("nan", "inf", "-inf")


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
    """

    method: str
    config: dict[str, Any]
    weights: dict[str, Tensor]
    calibration: dict[str, Any]
    card: str
    provenance: dict[str, Any] = field(default_factory=dict)


class _Config(BaseModel):
    """``config.json``. In the file the digest comes first, so that its place is plain."""

    model_config = ConfigDict(extra="forbid", strict=True)

    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    format: str
    format_version: int
    method: str
    config: dict[str, Any]
    provenance: dict[str, Any]
    sha256: dict[str, str]


def write_artifact(artifact: Artifact, path: str | Path) -> None:
    """Save a detector, replacing an artifact that is there.

    The files are written beside ``path`` first, and flushed to the disk; then the old artifact is
    renamed to ``<path>.old-while-saving``, the new one to ``path``, and the old one is removed. So
    a complete artifact is on disk at every moment: killed between the two renames, the old one is
    in ``<path>.old-while-saving``, and ``read_artifact`` says so.

    Args:
        artifact: what to save.
        path: the folder; its parents are made where they are missing. A link is followed.

    Raises:
        ArtifactError: ``path`` is there and is something else than an artifact or an empty folder,
            or holds other files too; a value that JSON or safetensors cannot hold; a full disk or
            another fault in writing. In all cases what was there before is intact.
    """
    contents = _contents(artifact)
    target = Path(os.path.realpath(path))
    previous = _previous(target)
    staging = target.parent / f".{target.name}.{uuid4().hex}.partial"
    try:
        _check_replaceable(target)
        _check_leftover(previous)
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        for name, content in contents.items():
            _write_durably(staging / name, content)
        _sync_folder(staging)
        _swap(staging, target, previous)
    except OSError as error:
        raise ArtifactError(
            f"cannot write the artifact {path}: {error.strerror or error}; "
            f"{_what_is_left(target, previous)}"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def read_artifact(path: str | Path) -> Artifact:
    """Read a saved detector, after checking that it is whole and unchanged.

    Only the four files of the format are read, whatever ``config.json`` names.

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
    for name, content in contents.items():
        if _sha256(content) != config.sha256.get(name):
            raise _damaged(root / name)
    try:
        return Artifact(
            method=config.method,
            config=config.config,
            # Sorted: safetensors gives another order in every process.
            weights=dict(sorted(safetensors.torch.load(contents[WEIGHTS]).items())),
            calibration=_parse(contents[CALIBRATION]),
            card=contents[CARD].decode("utf-8", "surrogateescape"),
            provenance=config.provenance,
        )
    except (ValueError, SafetensorError) as error:
        raise ArtifactError(f"{root} cannot be read: {error}; fit the detector again") from error


# --- writing ---------------------------------------------------------------------------------


def _contents(artifact: Artifact) -> dict[str, bytes]:
    """The bytes of the four files. All that can be wrong with the values shows here."""
    try:
        # A copy of each tensor: safetensors refuses tensors that share memory (tied weights).
        weights = {
            name: tensor.detach().cpu().contiguous().clone()
            for name, tensor in artifact.weights.items()
        }
        files = {
            WEIGHTS: safetensors.torch.save(weights),
            CALIBRATION: _render(_plain(artifact.calibration, "calibration")),
            CARD: artifact.card.encode("utf-8", "surrogateescape"),
        }
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        # KeyError: safetensors' answer to a dtype that it does not know.
        raise ArtifactError(f"the detector cannot be saved: {error}") from error
    config = {
        "digest": _NO_DIGEST,
        "format": _FORMAT,
        "format_version": FORMAT_VERSION,
        "method": artifact.method,
        "config": _plain(artifact.config, "config"),
        "provenance": _plain(artifact.provenance, "provenance"),
        "sha256": {name: _sha256(content) for name, content in files.items()},
    }
    blank = _render(config)
    return files | {CONFIG: blank.replace(_NO_DIGEST.encode(), _sha256(blank).encode(), 1)}


def _plain(value: Any, where: str) -> Any:
    """The same in strict JSON's terms; an error names the place of what has none."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(float(value))}
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str) or key == "$float":
                raise ArtifactError(f"the detector cannot be saved: {where} has the key {key!r}")
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    raise ArtifactError(
        f"the detector cannot be saved: {where} is a {type(value).__name__}, which JSON cannot hold"
    )


def _render(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode("ascii")


def _check_replaceable(target: Path) -> None:
    if not os.path.lexists(target):
        return
    names = {entry.name for entry in target.iterdir()} if target.is_dir() else None
    if names == set():
        return
    if names is None or not _claims_to_be_artifact(target):
        raise ArtifactError(f"{target} is there and is no oddlens artifact: choose another path")
    strangers = sorted(names - set(FILES))
    if strangers:
        raise ArtifactError(
            f"{target} also holds {strangers[0]}, which would be lost: move it, "
            "or choose another path"
        )


def _check_leftover(previous: Path) -> None:
    """What a killed save left may be incomplete, but is never more than an artifact's files."""
    if os.path.lexists(previous) and not (
        previous.is_dir() and {entry.name for entry in previous.iterdir()} <= set(FILES)
    ):
        raise ArtifactError(f"{previous} is in the way of saving: move it")


def _claims_to_be_artifact(folder: Path) -> bool:
    """Whether it was one, damaged or not: a damaged artifact may be replaced."""
    try:
        data = _parse((folder / CONFIG).read_bytes())
    except (OSError, ValueError):
        return False
    return data.get("format") == _FORMAT


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # Windows cannot open a folder, and needs no such call.
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swap(staging: Path, target: Path, previous: Path) -> None:
    if target.exists():
        if previous.exists():  # Left by a save that was killed; the target is complete again.
            shutil.rmtree(previous)
        try:
            target.rename(previous)
            staging.rename(target)
        except BaseException:
            if previous.exists() and not target.exists():
                previous.rename(target)
            raise
    else:
        staging.rename(target)
    with suppress(OSError):  # The new artifact is in place: no reason to report a failure.
        _sync_folder(target.parent)
    shutil.rmtree(previous, ignore_errors=True)


def _what_is_left(target: Path, previous: Path) -> str:
    if target.exists():
        return "what was there before is intact"
    if previous.exists():
        return f"what was there before is intact in {previous}"
    return "nothing was overwritten"


# --- reading ---------------------------------------------------------------------------------


def _read_config(root: Path) -> _Config:
    _check_folder(root)
    content = _read(root, CONFIG)
    try:
        data = _parse(content)
    except ValueError as error:
        raise _damaged(root / CONFIG) from error
    if data.get("format") != _FORMAT:
        raise _not_an_artifact(root)
    # Before anything else is looked at: another version may have other fields and other digests.
    version = data.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ArtifactError(
            f"{root} has the artifact format {version} and this version of oddlens reads formats "
            f"up to {FORMAT_VERSION}: upgrade oddlens"
        )
    try:
        config = _Config.model_validate(data)
    except ValidationError as error:
        raise _damaged(root / CONFIG) from error
    blank = content.replace(config.digest.encode(), _NO_DIGEST.encode(), 1)
    if _sha256(blank) != config.digest:
        raise _damaged(root / CONFIG)
    return config


def _check_folder(root: Path) -> None:
    # Not Path.exists, which fails for a name that is too long where this says False.
    if not os.path.exists(root):  # noqa: PTH110
        previous = _previous(root)
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


def _parse(content: bytes) -> dict[str, Any]:
    """A JSON object; ValueError for anything else."""
    try:
        data = json.loads(content, object_hook=_restore, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(data, dict):
        raise ValueError("not a JSON object")
    return data


def _restore(item: dict[str, Any]) -> Any:
    if item.keys() == {"$float"} and item["$float"] in _NOT_FINITE:
        return float(item["$float"])
    return item


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _previous(target: Path) -> Path:
    return Path(f"{target}.old-while-saving")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _damaged(file: Path) -> ArtifactError:
    return ArtifactError(
        f"{file} is not what was saved (its SHA-256 differs): it was changed or damaged; "
        "copy the artifact again, or fit the detector again"
    )


def _not_an_artifact(root: Path) -> ArtifactError:
    return ArtifactError(
        f"{root} is no oddlens artifact: give a folder that `oddlens fit --out` wrote"
    )
