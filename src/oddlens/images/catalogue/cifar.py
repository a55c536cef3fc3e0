"""CIFAR-10 as its authors give it out, in the binary version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oddlens.errors import DataError
from oddlens.images.catalogue.labelled import LabelledImages

TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = ("test_batch.bin",)
FOLDER = "cifar-10-batches-bin"
PICKLES = "cifar-10-batches-py"
_SIDE = 32


def find_binary(root: Path) -> Path | None:
    """The folder of the binary version: ``root`` or one below it; None where there is none."""
    for folder in (root, root / FOLDER):
        if (folder / TEST[0]).is_file():
            return folder
    return None


def holds_pickles(root: Path) -> bool:
    """Whether the Python version is there, which is not read: unpickling can run any code."""
    return any((folder / "data_batch_1").is_file() for folder in (root, root / PICKLES))


def read_binary(folder: Path, names: tuple[str, ...]) -> LabelledImages:
    """Read files of the binary version: per image a label byte, then 32 x 32 of each colour.

    Returns:
        uint8 (N, 32, 32, 3) and the labels.

    Raises:
        DataError: a file is missing or cut short, or a label is above 9.
    """
    parts = []
    for name in names:
        labels, images = read_rows(folder / name, labels=1)
        if labels.max() > 9:
            raise DataError(f"{folder / name}: has a label above 9, so it is not CIFAR-10's")
        parts.append((images, labels[:, 0].astype(np.int64)))
    return LabelledImages(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def read_rows(path: Path, labels: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read a file of rows: some bytes of labels, then 32 x 32 of each colour.

    Args:
        path: the file.
        labels: how many bytes of them a row begins with.

    Returns:
        uint8 (N, labels) and (N, 32, 32, 3).

    Raises:
        DataError: the file is missing or cut short.
    """
    width = labels + 3 * _SIDE * _SIDE
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); fetch it again") from error
    if content.size == 0 or content.size % width:
        raise DataError(f"{path}: is cut short ({content.size:,} bytes); fetch it again")
    rows = content.reshape(-1, width)
    images = rows[:, labels:].reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    return rows[:, :labels], np.ascontiguousarray(images)
