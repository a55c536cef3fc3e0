"""Write an artifact: the whole folder or nothing."""

from __future__ import annotations

import math
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import safetensors.torch
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
    leftover_of,
    parse,
    render,
    sha256,
)
from oddlens.errors import ArtifactError


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
    previous = leftover_of(target)
    staging = target.parent / f".{target.name}.{uuid4().hex}.partial"
    try:
        _check_replaceable(target)
        _check_leftover(previous)
        target.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        for name, content in contents.items():
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            _write_durably(staging / name, content)
        for folder in dict.fromkeys((staging / name).parent for name in contents):
            _sync_folder(folder)
        _swap(staging, target, previous)
    except OSError as error:
        raise ArtifactError(
            f"cannot write the artifact {path}: {error.strerror or error}; "
            f"{_what_is_left(target, previous)}"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _contents(artifact: Artifact) -> dict[str, bytes]:
    """The bytes of every file. All that can be wrong with the values shows here."""
    try:
        # A copy of each tensor: safetensors refuses tensors that share memory (tied weights).
        weights = {
            name: tensor.detach().cpu().contiguous().clone()
            for name, tensor in artifact.weights.items()
        }
        files = {
            WEIGHTS: safetensors.torch.save(weights),
            CALIBRATION: render(_plain(artifact.calibration, "calibration")),
            CARD: artifact.card.encode("utf-8", "surrogateescape"),
        }
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        # KeyError: safetensors' answer to a dtype that it does not know.
        raise ArtifactError(f"the detector cannot be saved: {error}") from error
    members: dict[str, bytes] = {}
    for name, member in artifact.members.items():
        if not re.fullmatch(MEMBER_NAME, name):
            raise ArtifactError(f"the ensemble cannot be saved: a member is called {name!r}")
        within = {f"{MEMBERS}/{name}/{file}": each for file, each in _contents(member).items()}
        members |= within
    hashed = files | {
        name: content for name, content in members.items() if name.endswith(f"/{CONFIG}")
    }
    config = {
        "digest": NO_DIGEST,
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "method": artifact.method,
        "config": _plain(artifact.config, "config"),
        "provenance": _plain(artifact.provenance, "provenance"),
        "sha256": {name: sha256(content) for name, content in hashed.items()},
    }
    blank = render(config)
    return files | members | {CONFIG: blank.replace(NO_DIGEST.encode(), sha256(blank).encode(), 1)}


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


def _check_replaceable(target: Path) -> None:
    if not os.path.lexists(target):
        return
    names = {entry.name for entry in target.iterdir()} if target.is_dir() else None
    if names == set():
        return
    if names is None or not _claims_to_be_artifact(target):
        raise ArtifactError(f"{target} is there and is no oddlens artifact: choose another path")
    strangers = _strangers(target)
    if strangers:
        raise ArtifactError(
            f"{target} also holds {strangers[0]}, which would be lost: move it, "
            "or choose another path"
        )


def _check_leftover(previous: Path) -> None:
    """What a killed save left may be incomplete, but is never more than an artifact's files."""
    if os.path.lexists(previous) and not (previous.is_dir() and not _strangers(previous)):
        raise ArtifactError(f"{previous} is in the way of saving: move it")


def _strangers(folder: Path) -> list[str]:
    """What is in an artifact's folder and is no part of the format."""
    file = "|".join(map(re.escape, FILES))
    member = f"{MEMBERS}/{MEMBER_NAME}"
    known = re.compile(f"(?:{member}/)?(?:{file})|{MEMBERS}|{member}")
    inside = sorted(entry.relative_to(folder).as_posix() for entry in folder.rglob("*"))
    return [name for name in inside if not known.fullmatch(name)]


def _claims_to_be_artifact(folder: Path) -> bool:
    """Whether it was one, damaged or not: a damaged artifact may be replaced."""
    try:
        data = parse((folder / CONFIG).read_bytes())
    except (OSError, ValueError):
        return False
    return data.get("format") == FORMAT


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
