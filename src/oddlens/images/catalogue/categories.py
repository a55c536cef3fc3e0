"""Data sets in MVTec's layout, with one or several categories."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oddlens.errors import DataError
from oddlens.images.catalogue.folders import Parts
from oddlens.images.catalogue.labelled import ClassData, LabelledImages
from oddlens.images.files import natural_key
from oddlens.images.layout import GOOD, DatasetLayout, read_layout


def categories_of(data: ClassData) -> list[str]:
    """The categories of a data set that ``read_categories`` read, in order; else none."""
    return [name.removesuffix(f"/{GOOD}") for name in data.classes if name.endswith(f"/{GOOD}")]


def read_categories(root: Path) -> tuple[Path, Parts]:
    """Read a folder of categories, or a single one.

    Args:
        root: ``<category>/train/good`` and so on below it, or ``train/good`` and so on itself.

    Returns:
        The folder of the categories, and of what is in it: the classes, ``<category>/good`` and
        ``<category>/<defect>``; the training part, of the good ones alone; the test part.

    Raises:
        DataError: there is no category, or one is incomplete.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    single = (root / "test").is_dir()
    folders = [root.resolve()] if single else sorted(_categories(root), key=natural_key)
    if not folders:
        raise DataError(f"{root}: neither train/good and test nor a category with them")
    layouts = [read_layout(folder) for folder in folders]
    for layout in layouts:
        if not layout.train:
            raise DataError(f"{layout.root}: there is no train/good to learn from")
    names = [name for layout in layouts for name in _names(layout)]
    train = [(path, f"{layout.root.name}/{GOOD}") for layout in layouts for path in layout.train]
    test = [
        (image.path, f"{layout.root.name}/{image.defect}")
        for layout in layouts
        for image in layout.test
    ]
    return folders[0].parent, (tuple(names), _labelled(train, names), _labelled(test, names))


def _categories(root: Path) -> list[Path]:
    return [
        path
        for path in root.iterdir()
        if (path / "test").is_dir() and not path.name.startswith(".")
    ]


def _names(layout: DatasetLayout) -> list[str]:
    kinds = dict.fromkeys([GOOD, *(image.defect for image in layout.test)])
    return [f"{layout.root.name}/{kind}" for kind in kinds]


def _labelled(images: list[tuple[Path, str]], names: list[str]) -> LabelledImages:
    places = {name: at for at, name in enumerate(names)}
    labels = np.array([places[name] for _, name in images], np.int64)
    return LabelledImages([path for path, _ in images], labels)
