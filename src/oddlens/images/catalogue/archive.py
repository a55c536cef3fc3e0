"""Image files inside a zip archive, read without unpacking it."""

from __future__ import annotations

import io
import threading
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from oddlens.errors import DataError, ImageError
from oddlens.images.decode import picture_to_rgb
from oddlens.images.pixels import Pixels

_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
_MOST_BYTES = 2**28
"""Of one image file: more is no photograph, but a trap for the memory."""


class ArchiveSource:
    """Some of the images in a zip archive; an ``ImageSource``.

    Args:
        path: the archive, for messages.
        archive: open for reading; members are read one at a time, under ``lock``.
        members: names of the image files in it.
        lock: shared by all sources of one archive, whose file handle they share.
    """

    def __init__(
        self, path: Path, archive: zipfile.ZipFile, members: Sequence[str], lock: threading.Lock
    ) -> None:
        self.path = path
        self.members = tuple(members)
        self._archive = archive
        self._lock = lock

    @classmethod
    def open(cls, path: Path) -> ArchiveSource:
        """Open an archive with all its files.

        Raises:
            DataError: it is missing, unreadable or no zip archive.
        """
        try:
            archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: cannot be read as a zip archive ({error})") from error
        members = [info.filename for info in archive.infolist() if not info.is_dir()]
        return cls(path, archive, members, threading.Lock())

    def __len__(self) -> int:
        return len(self.members)

    def take(self, indices: Sequence[int]) -> ArchiveSource:
        """Some of these images, in the given order."""
        members = [self.members[index] for index in indices]
        return ArchiveSource(self.path, self._archive, members, self._lock)

    def name(self, index: int) -> str:
        """Give the file's name below the archive's."""
        return f"{self.path}/{self.members[index]}"

    def content(self, index: int) -> bytes:
        """Give one file's bytes.

        Raises:
            ImageError: it is damaged, or unpacks to more than 256 MiB.
        """
        member = self.members[index]
        if self._archive.getinfo(member).file_size > _MOST_BYTES:
            raise ImageError(self.name(index), "unpacks to more than 256 MiB")
        try:
            with self._lock:
                return self._archive.read(member)
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as bad:
            raise ImageError(self.name(index), f"cannot be unpacked ({bad})") from bad

    def read(self, index: int) -> Pixels:
        """Decode one image to uint8 (H, W, 3)."""
        content, name = self.content(index), self.name(index)
        try:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
                picture.load()
                return picture_to_rgb(picture, name)
        except ImageError:
            raise
        except Exception as error:  # on hostile bytes Pillow's decoders raise nearly anything
            raise ImageError(name, f"cannot be decoded ({error})") from error
