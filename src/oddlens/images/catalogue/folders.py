"""Trees with one folder a class, on disk or in a zip archive."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from oddlens.errors import DataError
from oddlens.images.catalogue.archive import ArchiveSource
from oddlens.images.catalogue.labelled import LabelledImages
from oddlens.images.files import is_image_name, list_images, natural_key

TEST_SHARE = 0.3
"""Of each class, where a tree has no split of its own (our choice)."""
SPLIT_SEED = 0
"""One split for all seeds of training, so that these are compared on the same test images."""

Parts = tuple[tuple[str, ...], LabelledImages, LabelledImages]
"""Classes, training part, test part."""


def read_tree(root: Path) -> Parts:
    """Read a folder of classes.

    ``train/<class>/`` and ``test/<class>/``, or ``<class>/`` alone, of which a seeded 30 % of each
    class becomes the test part. Images may lie deeper.

    Raises:
        DataError: no classes, a class without images or with one image only, or training and test
            classes that differ.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    if (root / "train").is_dir() and (root / "test").is_dir():
        classes = _same_classes(root, _classes(root / "train"), _classes(root / "test"))
        train, test = (_read_part(root / part, classes) for part in ("train", "test"))
        return classes, train, test
    classes = _classes(root)
    whole = _read_part(root, classes)
    train_at, test_at = split_by_class(whole.labels.tolist(), classes, root)
    return classes, whole.take(train_at), whole.take(test_at)


def read_archive(path: Path) -> Parts:
    """Read a zip archive with ``train/<class>/`` and ``test/<class>/``, maybe below one folder.

    Raises:
        DataError: it is no archive, or has another layout.
    """
    everything = ArchiveSource.open(path)
    found: dict[str, dict[str, list[int]]] = {"train": {}, "test": {}}
    for index, member in enumerate(everything.members):
        parts = PurePosixPath(member).parts
        place = next((at for at, name in enumerate(parts[:2]) if name in found), None)
        if place is None or len(parts) < place + 3 or not is_image_name(Path(member)):
            continue
        found[parts[place]].setdefault(parts[place + 1], []).append(index)
    classes = _same_classes(path, *(_in_order(found[part]) for part in ("train", "test")))
    if not classes:
        raise DataError(f"{path}: holds no images below train/<class>/ and test/<class>/")

    def part(name: str) -> LabelledImages:
        return _labelled(
            [
                sorted(found[name][each], key=lambda at: natural_key(Path(everything.members[at])))
                for each in classes
            ],
            everything,
        )

    return classes, part("train"), part("test")


def split_by_class(
    labels: Sequence[int], classes: Sequence[str], root: Path
) -> tuple[list[int], list[int]]:
    """Divide images, class by class, into training and test, at random by a fixed seed.

    Args:
        labels: the class of each image.
        classes: their names, for messages.
        root: what is divided, for messages.

    Returns:
        Indices of the training and of the test part, each sorted.

    Raises:
        DataError: a class has a single image.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    train: list[int] = []
    test: list[int] = []
    for label, name in enumerate(classes):
        own = np.flatnonzero(np.asarray(labels) == label)
        if len(own) < 2:
            raise DataError(f"{root}: class {name} has one image, which cannot be divided")
        own = own[rng.permutation(len(own))]
        count = min(max(round(TEST_SHARE * len(own)), 1), len(own) - 1)
        test += own[:count].tolist()
        train += own[count:].tolist()
    return sorted(train), sorted(test)


def _read_part(folder: Path, classes: Sequence[str]) -> LabelledImages:
    found = [list_images(folder / name) for name in classes]
    for name, paths in zip(classes, found, strict=True):
        if not paths:
            raise DataError(f"{folder / name}: holds no images")
    paths = [path for group in found for path in group]
    labels = np.repeat(np.arange(len(classes)), [len(group) for group in found])
    return LabelledImages(paths, labels.astype(np.int64))


def _labelled(groups: Sequence[Sequence[int]], everything: ArchiveSource) -> LabelledImages:
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    chosen = everything.take([index for group in groups for index in group])
    return LabelledImages(chosen, labels.astype(np.int64))


def _classes(folder: Path) -> tuple[str, ...]:
    found = [
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    ]
    if len(found) < 2:
        raise DataError(
            f"{folder}: expected a folder for each class, at least two, but there are {len(found)}"
        )
    return _in_order(found)


def _in_order(names: Sequence[str] | dict[str, list[int]]) -> tuple[str, ...]:
    return tuple(sorted(names, key=lambda name: natural_key(Path(name))))


def _same_classes(root: Path, train: tuple[str, ...], test: tuple[str, ...]) -> tuple[str, ...]:
    if train != test:
        only = sorted({*train} ^ {*test})
        raise DataError(f"{root}: class {only[0]} is in only one of train and test")
    return train
