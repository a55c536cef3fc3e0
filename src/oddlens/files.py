"""Writing a file in one piece: it appears under its name only when it is complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from oddlens.errors import OddlensError


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file of bytes as ``open_to_write`` writes text: whole, or not at all.

    Raises:
        OddlensError: the file cannot be written; what was there before is untouched.
    """
    with _beside(Path(path)) as place:
        place.write_bytes(content)


@contextmanager
def open_to_write(path: str | Path) -> Iterator[TextIO]:
    """A UTF-8 text file to write to; its folder is made where it is missing.

    Until the end it is written beside, as ``.<name>.partial``. File names that are not valid UTF-8
    may be written to it: they come out as the bytes that they are on disk. A path that is no
    regular file, such as ``/dev/stdout``, is written to directly.

    Args:
        path: the file, which is replaced when it is there.

    Raises:
        OddlensError: the file cannot be written; what was there before is untouched.
    """
    with (
        _beside(Path(path)) as place,
        place.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        yield file


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Where to write: beside the target, which it replaces at the end, or the target itself."""
    direct = target.exists() and not target.is_file()
    partial = target if direct else target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        if not direct:
            partial.replace(target)
    except OSError as error:
        raise OddlensError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        if not direct:
            with suppress(OSError):  # It may never have come to be.
                partial.unlink()
