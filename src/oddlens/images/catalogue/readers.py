"""Readers of the catalogue: from an entry and a root folder to a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oddlens.errors import DataError
from oddlens.images.catalogue import cifar, cifar100, tables
from oddlens.images.catalogue.attacks import read_attacks
from oddlens.images.catalogue.categories import read_categories
from oddlens.images.catalogue.entry import Entry
from oddlens.images.catalogue.folders import read_archive, read_tree, split_by_class
from oddlens.images.catalogue.idx import read_idx_pair
from oddlens.images.catalogue.labelled import ClassData, LabelledImages

CIFAR_ARCHIVE = "cifar10_jpeg.zip"
_JPEG = "JPEG copy"
TEXTURES = ("brick", "grass", "gravel")
"""Photographs that lie inside the scikit-image wheel, CC0."""
_TILE = 32
_TRAIN_SHARE = 0.6
"""Of a photograph's columns of tiles, from the left (our choice)."""


def mnist(entry: Entry, root: Path) -> ClassData:
    """Four idx files."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    train, test = (read_idx_pair(root, part, len(entry.classes)) for part in ("train", "t10k"))
    return ClassData(entry.name, entry.classes, entry.content, train, test, root=root)


def cifar10(entry: Entry, root: Path) -> ClassData:
    """The binary version, an archive or a tree."""
    binary = cifar.find_binary(root)
    if binary is not None:
        train, test = (cifar.read_binary(binary, part) for part in (cifar.TRAIN, cifar.TEST))
        return ClassData(entry.name, entry.classes, entry.content, train, test, root=binary)
    archive = root if root.suffix == ".zip" and root.is_file() else root / CIFAR_ARCHIVE
    if archive.is_file():
        return _images_of_cifar10(entry, archive, *read_archive(archive))
    if root.is_dir() and not (root / "train").is_dir() and cifar.holds_pickles(root):
        raise DataError(
            f"{root}: holds the Python version, which is made of pickles and not read, because "
            "unpickling can run any code: fetch the binary version"
        )
    if not (root / "train").is_dir():
        raise DataError(
            f"{root}: there is no {CIFAR_ARCHIVE}, no train/<class> and no test_batch.bin"
        )
    return _images_of_cifar10(entry, root, *read_tree(root))


def _images_of_cifar10(
    entry: Entry,
    root: Path,
    classes: tuple[str, ...],
    train: LabelledImages,
    test: LabelledImages,
) -> ClassData:
    if classes != entry.classes:
        raise DataError(f"{root}: its classes are {', '.join(classes)}")
    note = _JPEG if root.suffix == ".zip" or _has_jpeg(train) else ""
    return ClassData(entry.name, classes, entry.content, train, test, note, root)


def _has_jpeg(images: LabelledImages) -> bool:
    first = images.images[0] if isinstance(images.images, list) else None
    return first is not None and first.suffix.lower() in (".jpg", ".jpeg")


def digits(entry: Entry, root: Path) -> ClassData:
    """Of scikit-learn."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    # 0..16 to 0..255, so that white is white.
    images = np.rint(loaded.images * (255 / 16)).astype(np.uint8)
    whole = LabelledImages(images, loaded.target.astype(np.int64))
    train, test = split_by_class(whole.labels.tolist(), entry.classes, Path(entry.name))
    return ClassData(entry.name, entry.classes, entry.content, whole.take(train), whole.take(test))


def folder(entry: Entry, root: Path) -> ClassData:
    """Any tree of classes."""
    classes, train, test = read_tree(root)
    name = f"{entry.name}:{root.resolve().name}"
    return ClassData(name, classes, entry.content, train, test, root=root)


def class_tree(entry: Entry, root: Path) -> ClassData:
    """A tree of classes of a known data set, whatever they are called."""
    return _known(entry, root, *read_tree(root))


def by_superclass(entry: Entry, root: Path) -> ClassData:
    """CIFAR-100's binary version."""
    folder = cifar100.find_binary(root)
    if folder is None:
        raise DataError(f"{root}: there is no {cifar100.TRAIN}")
    parts = (cifar100.read_binary(folder, name) for name in (cifar100.TRAIN, cifar100.TEST))
    return _known(entry, folder, entry.classes, *parts)


def svhn(entry: Entry, root: Path) -> ClassData:
    """Two files of MATLAB."""
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    train, test = (tables.read_svhn(root / name) for name in tables.SVHN_FILES)
    return _known(entry, root, entry.classes, train, test)


def cub(entry: Entry, root: Path) -> ClassData:
    """CUB-200 by its own tables, or as a tree of classes."""
    folder = tables.find_cub(root)
    if folder is None:
        return class_tree(entry, root)
    return _known(entry, folder, *tables.read_cub(folder))


def elpv(entry: Entry, root: Path) -> ClassData:
    """Cells and their table."""
    return _known(entry, root, *tables.read_elpv(root))


def retinal_oct(entry: Entry, root: Path) -> ClassData:
    """A tree of the four diagnoses; what stands after an underscore in a name is left out."""
    classes, train, test = read_tree(root)
    named = tuple(name.partition("_")[0].upper() for name in classes)
    if named != entry.classes:
        raise DataError(f"{root}: its classes are {', '.join(classes)}")
    return _known(entry, root, named, train, test)


def categories(entry: Entry, root: Path) -> ClassData:
    """MVTec's layout, of one category or of several."""
    above, parts = read_categories(root)
    return _known(entry, above, *parts)


def attacks(entry: Entry, root: Path) -> ClassData:
    """Bona fide presentations and attacks."""
    data = _known(entry, root, *read_attacks(root))
    if entry.name != "attacks":
        return data
    name = f"{entry.name}:{root.resolve().name}"
    return ClassData(name, data.classes, data.content, data.train, data.test, root=root)


def textures(entry: Entry, root: Path) -> ClassData:
    """Tiles of three photographs of scikit-image: training tiles left, test tiles right."""
    from skimage import data

    train, test = zip(*(_tiles(getattr(data, name)()) for name in TEXTURES), strict=True)

    def part(tiles: tuple[NDArray[np.uint8], ...]) -> LabelledImages:
        labels = np.repeat(np.arange(len(tiles)), [len(each) for each in tiles])
        return LabelledImages(np.concatenate(tiles), labels.astype(np.int64))

    return ClassData(entry.name, entry.classes, entry.content, part(train), part(test))


def _tiles(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A grey photograph cut into squares side by side; those left and right of a border."""
    rows, columns = (side // _TILE for side in picture.shape)
    cut = picture[: rows * _TILE, : columns * _TILE].reshape(rows, _TILE, columns, _TILE)
    squares = cut.transpose(2, 0, 1, 3)  # (columns, rows, height, width)
    border = round(_TRAIN_SHARE * columns)
    left, right = (
        np.ascontiguousarray(part.reshape(-1, _TILE, _TILE))
        for part in (squares[:border], squares[border:])
    )
    return left, right


def _known(
    entry: Entry,
    root: Path,
    classes: tuple[str, ...],
    train: LabelledImages,
    test: LabelledImages,
) -> ClassData:
    return ClassData(entry.name, classes, entry.content, train, test, root=root)
