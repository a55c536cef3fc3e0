"""Readers of the formats in which public data sets come."""

from __future__ import annotations

import gzip
import io
import threading
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oddlens.errors import DataError, ImageError
from oddlens.images.decode import picture_to_rgb
from oddlens.images.pixels import Pixels

_IDX_BYTES = 8
_CIFAR_SIDE = 32


def read_idx(path: Path) -> NDArray[np.uint8]:
    """One idx file of bytes (the format of MNIST), plain or gzipped.

    Raises:
        DataError: it is no such file, or is cut short.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch it again") from error
    if data[:3] != bytes([0, 0, _IDX_BYTES]) or len(data) < 4 + 4 * data[3]:
        raise DataError(f"{path}: is no idx file of bytes; fetch it again")
    shape = np.frombuffer(data, ">u4", data[3], 4).astype(int)
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * data[3])
    if values.size != shape.prod():
        raise DataError(
            f"{path}: holds {values.size:,} values where its header says {shape.prod():,}; "
            "fetch it again"
        )
    return values.reshape(shape)


def read_cifar(paths: Sequence[Path], label_bytes: int = 1) -> tuple[Pixels, NDArray[np.int64]]:
    """CIFAR's binary version: for each image its labels, then 3 x 32 x 32 bytes.

    Args:
        paths: files such as data_batch_1.bin.
        label_bytes: 1 for CIFAR-10, 2 for CIFAR-100 (the last one, the fine class, is taken).

    Returns:
        uint8 (N, 32, 32, 3), and int64 (N,).

    Raises:
        DataError: a file whose length does not fit.
    """
    size = label_bytes + 3 * _CIFAR_SIDE**2
    rows = []
    for path in paths:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        if not data.size or data.size % size:
            raise DataError(f"{path}: is no file of CIFAR's binary version; fetch it again")
        rows.append(data.reshape(-1, size))
    every = np.concatenate(rows)
    images = every[:, label_bytes:].reshape(-1, 3, _CIFAR_SIDE, _CIFAR_SIDE)
    return images.transpose(0, 2, 3, 1), every[:, label_bytes - 1].astype(np.int64)


class ZipSource:
    """Image files inside a zip archive, decoded when read.

    Args:
        path: the archive.
        members: names in it.
    """

    def __init__(self, path: Path, members: Sequence[str]) -> None:
        self._path = path
        self._members = list(members)
        self._archive = zipfile.ZipFile(path)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._members)

    def name(self, index: int) -> str:
        """The archive and the member."""
        return f"{self._path}/{self._members[index]}"

    def read(self, index: int) -> Pixels:
        """Read one image, uint8 (H, W, 3).

        Raises:
            ImageError: the member is no image, or damaged.
        """
        with self._lock:
            data = self._archive.read(self._members[index])
        try:
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as picture:
                picture.load()
                return picture_to_rgb(picture, self.name(index))
        except (OSError, SyntaxError, ValueError) as error:
            raise ImageError(self.name(index), "is damaged, or no PNG or JPEG image") from error
