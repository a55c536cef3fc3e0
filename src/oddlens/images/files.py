"""Finding image files: folders, globs and lists, in the order a person expects."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from oddlens.errors import DataError
from oddlens.images.decode import SUFFIXES

LOOKED_FOR = ", ".join(SUFFIXES)


def natural_key(path: Path) -> tuple[object, ...]:
    """Sort key under which ``2.png`` comes before ``10.png``, folder by folder, in any case."""
    # split by a group alternates text and digits, so like is always compared with like
    parts = tuple(
        tuple(int(piece) if at % 2 else piece for at, piece in enumerate(re.split(r"(\d+)", part)))
        for part in (part.casefold() for part in path.parts)
    )
    return (parts, str(path))  # the path itself breaks ties such as 1.png and 01.png


def is_image_name(path: Path) -> bool:
    """Tell whether the name's ending is one of ``SUFFIXES``."""
    return path.suffix.lower() in SUFFIXES


def list_files(folder: Path) -> list[Path]:
    """List a folder's files recursively in natural order, without hidden files and folders.

    Linked folders are followed, each once, so a link that points upwards does not loop.

    Raises:
        DataError: the folder or one below it cannot be read.
    """
    return sorted(_walk(folder), key=natural_key)


def list_images(folder: Path) -> list[Path]:
    """List a folder's image files (by ``SUFFIXES``) recursively in natural order; may be empty.

    Raises:
        DataError: the folder or one below it cannot be read.
    """
    return [path for path in list_files(folder) if is_image_name(path)]


def _walk(folder: Path) -> Iterator[Path]:
    def stop(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error

    seen: set[str] = set()
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=stop):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in files if not name.startswith("."))


def find_images(where: str | Path | Sequence[str | Path]) -> list[Path]:
    """Find the image files that a path, a glob or a list of these names.

    A folder stands for the images below it; a glob for the images it matches and those below the
    folders it matches; a file for itself, whatever its ending. In a list the given order is kept,
    and a file that does not exist is kept too if it is named like an image: reading it fails then
    and is treated like any other bad image.

    Args:
        where: a folder, a file, a glob such as ``"parts/*/good"``, or a list of these.

    Returns:
        The files, each once.

    Raises:
        DataError: something named does not exist, a folder or glob holds no images, or the
            list is empty.
    """
    if isinstance(where, str | Path):
        return list(dict.fromkeys(_expand(where, alone=True)))
    found = list(dict.fromkeys(path for item in where for path in _expand(item, alone=False)))
    if not found:
        raise DataError("no images: the list of paths is empty")
    return found


def _expand(item: str | Path, *, alone: bool) -> list[Path]:
    path = Path(item)
    if path.is_dir():
        return _some(list_images(path), f"no images in {item}: looked for {LOOKED_FOR}")
    if path.exists():
        return [path]
    if glob.has_magic(str(item)):
        # Path.glob takes no absolute patterns and matches hidden files
        matches = [Path(match) for match in glob.glob(str(item), recursive=True)]  # noqa: PTH207
        images = {found for match in matches for found in _images_at(match)}
        message = f"no images match {item}: looked for {LOOKED_FOR}"
        return _some(sorted(images, key=natural_key), message)
    if is_image_name(path) and not alone:
        return [path]
    raise DataError(f"{item}: no such file or folder")


def _images_at(match: Path) -> list[Path]:
    if match.is_dir():
        return list_images(match)
    return [match] if is_image_name(match) else []


def _some(paths: list[Path], message: str) -> list[Path]:
    if not paths:
        raise DataError(message)
    return paths


def without(paths: Iterable[Path], exclude: Sequence[str | Path]) -> list[Path]:
    """Leave out the files that ``exclude`` names, or that lie below a folder it names."""
    hidden = [Path(os.path.realpath(item)) for item in exclude]
    if not hidden:
        return list(paths)
    kept = []
    for path in paths:
        real = Path(os.path.realpath(path))
        if not any(real == item or item in real.parents for item in hidden):
            kept.append(path)
    return kept
