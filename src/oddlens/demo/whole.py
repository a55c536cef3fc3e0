"""A folder of made data that appears whole or not at all, and is known again by its README."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from oddlens.errors import DataError

README = "README.txt"


def made_whole(out: Path, marker: str, write: Callable[[Path], None]) -> bool:
    """Make a folder, unless it is there already.

    Args:
        out: the folder.
        marker: the first line of the README that ``write`` writes; tells the arguments of the data
            set, so that it is known again.
        write: fills an empty folder, ``README.txt`` included.

    Returns:
        Whether it was made now.

    Raises:
        DataError: the folder holds something else, or cannot be written.
    """
    if _is_there(out, marker):
        return False
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        made.chmod(0o755)
        try:
            write(made)
            made.replace(out)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    except OSError as error:
        raise DataError(
            f"{out}: the demo data cannot be written ({error.strerror or error}); "
            "choose another folder or make room"
        ) from error
    return True


def _is_there(out: Path, marker: str) -> bool:
    """Whether ``out`` already holds this very data set; an empty or absent folder is free."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    readme = out / README
    if readme.is_file() and readme.read_text(encoding="utf-8").partition("\n")[0] == marker:
        return True
    raise DataError(
        f"{out}: there is something else already; choose another folder for the demo data, "
        "or delete this one"
    )
