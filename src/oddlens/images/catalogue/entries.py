"""The catalogue: each named data set, how to obtain it, and its reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from oddlens.errors import DataError, UsageError
from oddlens.images.catalogue import cifar
from oddlens.images.catalogue.flips import Content
from oddlens.images.catalogue.folders import read_archive, read_tree, split_by_class
from oddlens.images.catalogue.idx import read_idx_pair
from oddlens.images.catalogue.labelled import ClassData, LabelledImages

_CLOTHES = (
    *("t-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle-boot"),
)
_DIGITS = tuple(map(str, range(10)))
_CIFAR = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_ARCHIVE = "cifar10_jpeg.zip"
_JPEG = "JPEG copy"


@dataclass(frozen=True)
class Entry:
    """A data set that oddlens knows by name.

    Attributes:
        name: on the command line.
        title: for people.
        classes: their names by label; empty where the folder tells them.
        colour: whether its images have colours.
        size: native side in pixels; 0 where images differ.
        content: what they show, which decides on flips.
        licence: under which it may be used.
        layout: what is expected in the root folder.
        obtain: where it comes from.
        read: gives the data set that lies in a root folder.
        embedded: comes with a dependency and needs no root.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    colour: bool
    size: int
    content: Content
    licence: str
    layout: str
    obtain: str
    read: Callable[[Entry, Path], ClassData]
    embedded: bool = False


def find_entry(name: str) -> Entry:
    """The catalogue's entry.

    Raises:
        UsageError: there is none of that name.
    """
    key = name.lower().replace("_", "-")
    if key not in CATALOGUE:
        close = get_close_matches(key, CATALOGUE, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(CATALOGUE)}"
        raise UsageError(f"there is no data set {name!r}: {hint}")
    return CATALOGUE[key]


def open_data(name: str, root: str | Path | None = None) -> ClassData:
    """Read a named data set.

    Args:
        name: as in ``CATALOGUE``.
        root: where it lies; None for what is embedded.

    Raises:
        UsageError: there is no such name, or it needs a root folder.
        DataError: it is not there, incomplete or damaged; names the expected layout and where the
            data set comes from.
    """
    entry = find_entry(name)
    if entry.embedded:
        return entry.read(entry, Path())
    if root is None:
        raise UsageError(f"{entry.name} needs a root folder with {entry.layout}: give --root")
    try:
        return entry.read(entry, Path(root))
    except DataError as error:
        reason = str(error).rstrip(".")
        raise DataError(
            f"{reason}; {entry.name} is expected as {entry.layout} ({entry.obtain})"
        ) from error


def _read_mnist(entry: Entry, root: Path) -> ClassData:
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    train, test = (read_idx_pair(root, part, len(entry.classes)) for part in ("train", "t10k"))
    return ClassData(entry.name, entry.classes, entry.content, train, test, root=root)


def _read_cifar10(entry: Entry, root: Path) -> ClassData:
    binary = cifar.find_binary(root)
    if binary is not None:
        train, test = (cifar.read_binary(binary, part) for part in (cifar.TRAIN, cifar.TEST))
        return ClassData(entry.name, entry.classes, entry.content, train, test, root=binary)
    archive = root if root.suffix == ".zip" and root.is_file() else root / _ARCHIVE
    if archive.is_file():
        return _images_of_cifar10(entry, archive, *read_archive(archive))
    if root.is_dir() and not (root / "train").is_dir() and cifar.holds_pickles(root):
        raise DataError(
            f"{root}: holds the Python version, which is made of pickles and not read, because "
            "unpickling can run any code: fetch the binary version"
        )
    if not (root / "train").is_dir():
        raise DataError(f"{root}: there is no {_ARCHIVE}, no train/<class> and no test_batch.bin")
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


def _read_digits(entry: Entry, root: Path) -> ClassData:
    from sklearn.datasets import load_digits

    loaded = load_digits()
    # 0..16 to 0..255, so that white is white.
    images = np.rint(loaded.images * (255 / 16)).astype(np.uint8)
    whole = LabelledImages(images, loaded.target.astype(np.int64))
    train, test = split_by_class(whole.labels.tolist(), entry.classes, Path(entry.name))
    return ClassData(entry.name, entry.classes, entry.content, whole.take(train), whole.take(test))


def _read_folder(entry: Entry, root: Path) -> ClassData:
    classes, train, test = read_tree(root)
    name = f"{entry.name}:{root.resolve().name}"
    return ClassData(name, classes, entry.content, train, test, root=root)


_IDX = (
    "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and "
    "t10k-labels-idx1-ubyte.gz, packed or not"
)
_ENTRIES = (
    Entry(
        *("fashion-mnist", "Fashion-MNIST", _CLOTHES, False, 28, "clothes", "MIT", _IDX),
        "from https://github.com/zalandoresearch/fashion-mnist or Debian's package "
        "dataset-fashion-mnist",
        _read_mnist,
    ),
    Entry(
        *("mnist", "MNIST", _DIGITS, False, 28, "characters", "CC BY-SA 3.0", _IDX),
        "from http://yann.lecun.com/exdb/mnist or a mirror of it",
        _read_mnist,
    ),
    Entry(
        *("cifar10", "CIFAR-10", _CIFAR, True, 32, "objects"),
        "no licence is stated; cite Krizhevsky 2009",
        f"{_ARCHIVE} or a tree of train/<class>/*.jpg and test/<class>/*.jpg, or the binary "
        f"version's {cifar.FOLDER}/*.bin",
        "binary version from https://www.cs.toronto.edu/~kriz/cifar.html",
        _read_cifar10,
    ),
    Entry(
        *("digits", "digits of scikit-learn", _DIGITS, False, 8, "characters"),
        "BSD 3-clause, as scikit-learn; cite Alpaydin and Kaynak 1998",
        "nothing",
        "it comes with scikit-learn",
        _read_digits,
        embedded=True,
    ),
    Entry(
        *("folder", "any folder of classes", (), True, 0, "unknown", "its own"),
        "train/<class>/ and test/<class>/, or <class>/ alone",
        "your own images",
        _read_folder,
    ),
)
CATALOGUE = {entry.name: entry for entry in _ENTRIES}
"""Every entry by its name."""
