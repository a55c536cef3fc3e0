"""Anomaly maps on disk, so that memory does not grow with the number of images scored."""

from __future__ import annotations

import errno
import tempfile
import threading
import weakref
from collections.abc import Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from oddlens.errors import OddlensError, UsageError

Map = npt.NDArray[np.float32]


class MapStore(Sequence[Map]):
    """A sequence of anomaly maps that live in an anonymous temporary file.

    Each map is read when it is asked for, into a new array. Maps are float32, exactly as the
    detector made them: half precision would move pixels across the pixel threshold. A map takes
    4 H W bytes of disk: 64 KiB at 128 x 128, so 1.3 GB for 20,000 images. The file is in the
    system's folder for temporary files (choose another with the environment variable ``TMPDIR``;
    where that folder is kept in memory, so are the maps). It has no name and goes when the last
    store that reads from it goes, or with the process, however that ends.

    Slices and ``take`` give views of the same file. Reading is safe from several threads.
    """

    def __init__(self) -> None:
        self._file = _AnonymousFile()
        self._places: list[tuple[int, tuple[int, int]]] = []  # (offset in bytes, (H, W)) of each.

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Map: ...

    @overload
    def __getitem__(self, index: slice) -> MapStore: ...

    def __getitem__(self, index: int | slice) -> Map | MapStore:
        """One map, (H, W) float32, read from disk; or a view of several.

        Raises:
            OddlensError: the file cannot be read.
        """
        if isinstance(index, slice):
            return self.take(range(len(self))[index])
        offset, (height, width) = self._places[index]
        return self._file.read(offset, height * width).reshape(height, width)

    def take(self, indices: Sequence[int] | npt.NDArray[np.intp]) -> MapStore:
        """A view of the maps at ``indices``, in that order; no map is read or copied."""
        view = MapStore.__new__(MapStore)
        view._file = self._file
        view._places = [self._places[i] for i in indices]
        return view

    def extend(self, maps: npt.ArrayLike) -> None:
        """Add maps at the end; all of them or, when an error is raised, none.

        Args:
            maps: (N, H, W); H and W may differ from call to call.

        Raises:
            UsageError: not (N, H, W).
            OddlensError: the disk of the temporary folder is full.
        """
        array = np.ascontiguousarray(maps, dtype=np.float32)
        if array.ndim != 3 or 0 in array.shape[1:]:
            raise UsageError(f"maps must be (images, height, width), got shape {array.shape}")
        if not len(array):
            return
        count, height, width = array.shape
        offset = self._file.append(array)
        size = 4 * height * width
        self._places += [(offset + i * size, (height, width)) for i in range(count)]

    def __repr__(self) -> str:
        size = sum(4 * height * width for _, (height, width) in self._places)
        return f"MapStore({len(self):,} maps, {size / 1e6:,.1f} MB on disk)"


class _AnonymousFile:
    """A temporary file without a name that closes itself when nobody refers to it."""

    def __init__(self) -> None:
        try:
            # Unbuffered: a full disk must show when writing, not when the file is closed.
            self._file = tempfile.TemporaryFile(prefix="oddlens-maps-", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise _failed("be created in", error) from error
        self._end = 0
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)

    def append(self, array: Map) -> int:
        """Write at the end; return the offset in bytes. On an error the end stays where it was."""
        rest = array.reshape(-1).data.cast("B")
        with self._lock:
            start = self._end
            try:
                self._file.seek(start)
                while rest:
                    rest = rest[self._file.write(rest) :]
            except OSError as error:
                raise _failed("be written to", error) from error
            self._end = self._file.tell()
        return start

    def read(self, offset: int, count: int) -> Map:
        """Read ``count`` float32 values."""
        array = np.empty(count, dtype=np.float32)
        rest = array.data.cast("B")
        with self._lock:
            try:
                self._file.seek(offset)
                while rest:
                    got = self._file.readinto(rest)
                    if not got:
                        raise OSError(errno.EIO, "the file is shorter than it was")
                    rest = rest[got:]
            except OSError as error:
                raise _failed("be read from", error) from error
        return array


def _failed(what: str, error: OSError) -> OddlensError:
    folder = tempfile.gettempdir()
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OddlensError(
            f"the anomaly maps do not fit into the temporary folder {folder} (disk full): free "
            "space there, set TMPDIR to a folder on a larger disk, or score without maps"
        )
    return OddlensError(
        f"the anomaly maps cannot {what} the temporary folder {folder} "
        f"({error.strerror or error}): set TMPDIR to a folder that works, or score without maps"
    )
