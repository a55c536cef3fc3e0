"""Fetching the files of a data set whose public addresses and hashes are known."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oddlens.errors import DataError
from oddlens.images.files import list_files

ARCHIVES = (".tar.gz", ".tgz")
"""What is unpacked, by the end of its name."""


@dataclass(frozen=True)
class Download:
    """One file.

    Attributes:
        url: its address.
        md5: of its bytes, as its authors or the common mirrors publish it. MD5 tells damage, and
            not an attack; what is read of these files is pixels and labels, and never code.
    """

    url: str
    md5: str

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.url.rpartition("/")[2]


def fetch(downloads: Sequence[Download], root: Path) -> None:
    """Fetch files into a folder; archives (``ARCHIVES``) are unpacked there and then deleted.

    A file that is there already with the right hash is not fetched again.

    Raises:
        DataError: an address does not answer, a hash is another, or the folder cannot be written.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")  # who calls this says what is fetched
    for each in downloads:
        try:
            pooch.retrieve(
                each.url,
                known_hash=f"md5:{each.md5}",
                fname=each.name,
                path=root,
                progressbar=False,
            )
            if each.name.endswith(ARCHIVES):
                _unpack(root / each.name, root)
        except ValueError as error:
            raise DataError(
                f"{each.url}: what was fetched has another hash than {each.md5}; try again later, "
                "or obtain the file elsewhere"
            ) from error
        except (OSError, tarfile.TarError) as error:  # of requests' errors too
            raise DataError(f"{each.url}: cannot be fetched into {root} ({error})") from error


def _unpack(archive: Path, root: Path) -> None:
    """Move the files of an archive to their places, each of them whole, and delete the archive."""
    with tempfile.TemporaryDirectory(dir=root) as folder:
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
        for path in list_files(Path(folder)):
            place = root / path.relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            path.replace(place)
    archive.unlink()
