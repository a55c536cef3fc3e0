"""A folder of made data that appears whole or not at all, and is known again by its README."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

from oddlens.errors import DataError

README = "README.txt"


def never(out: Path) -> bool:
    """No folder is outdated."""
    return False


def made_whole(
    out: Path,
    marker: str,
    write: Callable[[Path], None],
    outdated: Callable[[Path], bool] = never,
) -> bool:
    """Make a folder, unless it is there already.

    Args:
        out: the folder.
        marker: the first line of the README that ``write`` writes; tells the arguments of the data
            set, so that it is known again.
        write: fills an empty folder, ``README.txt`` included.
        outdated: of a folder that holds something else, whether it may be replaced. It goes, with
            a ``UserWarning``, when the new one is whole.

    Returns:
        Whether it was made now.

    Raises:
        DataError: the folder holds something else, or cannot be written.
    """
    replaces = not _is_free(out)
    if replaces and marker_of(out) == marker:
        return False
    if replaces and not outdated(out):
        raise DataError(
            f"{out}: there is something else already; choose another folder for the demo data, "
            "or delete this one"
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        made.chmod(0o755)
        try:
            write(made)
            _put(made, out)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    except OSError as error:
        raise DataError(
            f"{out}: the demo data cannot be written ({error.strerror or error}); "
            "choose another folder or make room"
        ) from error
    if replaces:
        warnings.warn(
            f"{out}: the data that an earlier version had made there were replaced",
            UserWarning,
            stacklevel=1,
        )
    return True


def marker_of(out: Path) -> str:
    """The first line of a folder's README; "" without one."""
    readme = out / README
    if not readme.is_file():
        return ""
    return readme.read_text(encoding="utf-8", errors="replace").partition("\n")[0]


def _is_free(out: Path) -> bool:
    return not out.exists() or (out.is_dir() and not any(out.iterdir()))


def _put(made: Path, out: Path) -> None:
    """Move a folder to its place; what lies there goes last, and comes back if the move fails."""
    if _is_free(out):
        made.replace(out)
        return
    before = made.with_name(f"{made.name}.before")
    try:
        out.replace(before)
        made.replace(out)
    except BaseException:
        if before.exists() and not out.exists():
            before.replace(out)
        raise
    shutil.rmtree(before, ignore_errors=True)
