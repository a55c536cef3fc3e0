"""Data sets whose labels stand in a table beside the images: CUB-200, ELPV; and SVHN's arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oddlens.errors import DataError
from oddlens.images.catalogue.folders import Parts, split_by_class
from oddlens.images.catalogue.labelled import LabelledImages

CUB_FOLDER = "CUB_200_2011"
ELPV_TABLE = "labels.csv"
ELPV_CLASSES = ("functional", "rather_functional", "rather_defective", "defective")
"""By the experts' probability of a defect: 0, 1/3, 2/3, 1."""
SVHN_FILES = ("train_32x32.mat", "test_32x32.mat")


def find_cub(root: Path) -> Path | None:
    """The folder with CUB-200-2011's own tables: ``root`` or one below it; None for none."""
    for folder in (root, root / CUB_FOLDER):
        if (folder / "images.txt").is_file():
            return folder
    return None


def read_cub(folder: Path) -> Parts:
    """Read CUB-200-2011 by its own tables, which tell its own division.

    Raises:
        DataError: a table is missing or damaged, or a class is on one side only.
    """
    tables = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")
    images, labels, learned, names = (_pairs(folder / name) for name in tables)
    if not images.keys() == labels.keys() == learned.keys():
        raise DataError(f"{folder}: its tables are not of the same images; fetch it again")
    classes = list(names)
    if not {*labels.values()} <= {*classes}:
        raise DataError(f"{folder / tables[1]}: names a class that classes.txt does not")

    def part(which: str) -> LabelledImages:
        chosen = [each for each in images if learned[each] == which]
        if {labels[each] for each in chosen} != {*classes}:
            raise DataError(f"{folder}: a class is in only one of training and test")
        places = np.array([classes.index(labels[each]) for each in chosen], np.int64)
        return LabelledImages([folder / "images" / images[each] for each in chosen], places)

    return tuple(names.values()), part("1"), part("0")


def read_elpv(root: Path) -> Parts:
    """Read ELPV: ``labels.csv`` with an image, the probability of a defect and a type a line.

    A seeded 30 % of the functional cells are the test's, with all others: what is learned from is
    functional.

    Raises:
        DataError: the table is missing or damaged.
    """
    table = root / ELPV_TABLE
    found: dict[Path, int] = {}
    for number, line in enumerate(_lines(table), start=1):
        try:
            name, probability, _ = line.split()
            place = float(probability) * (len(ELPV_CLASSES) - 1)
        except ValueError as error:
            raise DataError(
                f"{table}: line {number} is not an image, a probability and a type"
            ) from error
        if not 0 <= place <= len(ELPV_CLASSES) - 1:
            raise DataError(f"{table}: line {number} has the probability {probability}")
        found[root / name] = round(place)
    paths, labels = list(found), np.array(list(found.values()), np.int64)
    functional = np.flatnonzero(labels == 0)
    train, test = split_by_class([0] * len(functional), ELPV_CLASSES[:1], root)
    others = sorted([*functional[test], *np.flatnonzero(labels > 0)])
    whole = LabelledImages(paths, labels)
    return ELPV_CLASSES, whole.take(functional[train]), whole.take(np.array(others, np.intp))


def read_svhn(path: Path) -> LabelledImages:
    """Read one file of SVHN's cropped digits: MATLAB's format, of plain arrays.

    Returns:
        uint8 (N, 32, 32, 3) and the labels; SVHN's 10 is the digit 0.

    Raises:
        DataError: the file is missing, damaged or of another kind.
    """
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=["X", "y"])
        images, labels = content["X"], content["y"].ravel().astype(np.int64)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except Exception as error:  # on damaged bytes scipy's reader raises nearly anything
        raise DataError(f"{path}: cannot be read ({error}); fetch it again") from error
    if images.ndim != 4 or images.shape[:3] != (32, 32, 3) or images.dtype != np.uint8:
        raise DataError(f"{path}: has images of shape {images.shape}, so it is not SVHN's")
    if images.shape[3] != len(labels) or not ((labels >= 1) & (labels <= 10)).all():
        raise DataError(f"{path}: its labels are not one from 1 to 10 for each image")
    return LabelledImages(np.ascontiguousarray(images.transpose(3, 0, 1, 2)), labels % 10)


def _pairs(table: Path) -> dict[str, str]:
    """A table of a number and a word a line, in order."""
    pairs = [line.split(maxsplit=1) for line in _lines(table)]
    if any(len(pair) != 2 for pair in pairs):
        raise DataError(f"{table}: a line is not a number and a word; fetch it again")
    return {number: word.strip() for number, word in pairs}


def _lines(table: Path) -> list[str]:
    try:
        text = table.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table}: cannot be read ({error})") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{table}: is empty")
    return lines
