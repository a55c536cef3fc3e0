"""MNIST's own file format, idx: big-endian sizes, then the bytes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oddlens.errors import DataError
from oddlens.images.catalogue.labelled import LabelledImages

PADDING = 2
"""Zeros on each side of a 28-pixel image, to 32 pixels, as GeoTrans has it."""


def read_idx_pair(root: Path, part: str, classes: int) -> LabelledImages:
    """Read the images and labels of one part.

    Args:
        root: folder of ``<part>-images-idx3-ubyte`` and ``<part>-labels-idx1-ubyte``, as they are
            or with ``.gz``; a point in place of the last hyphen (``images.idx3``) is known as well.
        part: ``"train"`` or ``"t10k"``.
        classes: how many there are; a label must lie below.

    Returns:
        uint8 (N, 32, 32): zero-padded from 28 x 28; and the labels.

    Raises:
        DataError: a file is missing or damaged, or the two do not belong together.
    """
    images_at = find_idx(root, part, "images-idx3")
    labels_at = find_idx(root, part, "labels-idx1")
    images, labels = read_idx(images_at, 3), read_idx(labels_at, 1)
    if len(images) != len(labels):
        raise DataError(
            f"{labels_at}: has {len(labels):,} labels, but {images_at.name} has "
            f"{len(images):,} images; they belong to different sets"
        )
    if len(labels) and labels.max() >= classes:
        raise DataError(f"{labels_at}: has the label {labels.max()}, but there are {classes}")
    sides = ((0, 0), (PADDING, PADDING), (PADDING, PADDING))
    return LabelledImages(np.pad(images, sides), labels.astype(np.int64))


def idx_names(part: str, what: str) -> Sequence[str]:
    """The names under which a file may lie in the folder."""
    bases = (f"{part}-{what}-ubyte", f"{part}-{what.replace('-idx', '.idx')}-ubyte")
    return [f"{base}{ending}" for base in bases for ending in (".gz", "")]


def find_idx(root: Path, part: str, what: str) -> Path:
    """Find one of the files.

    Raises:
        DataError: it is under none of its names.
    """
    for name in idx_names(part, what):
        if (root / name).is_file():
            return root / name
    raise DataError(f"{root}: there is no {part}-{what}-ubyte.gz")


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read one idx file of bytes, packed or not.

    Args:
        path: the file.
        dimensions: how many it must have.

    Raises:
        DataError: it is damaged, cut short, or of another kind.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch it again") from error
    head = 4 + 4 * dimensions
    if len(content) < head or content[:4] != bytes((0, 0, 8, dimensions)):
        raise DataError(f"{path}: is no idx file of bytes with {dimensions} dimensions")
    shape = tuple(int(side) for side in np.frombuffer(content, ">u4", dimensions, 4))
    if len(content) - head != int(np.prod(shape)):
        raise DataError(
            f"{path}: holds {len(content) - head:,} bytes where its head says "
            f"{int(np.prod(shape)):,}; fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)
