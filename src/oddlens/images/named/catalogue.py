"""The catalogue: which data sets have a name, how they are read, and where they come from."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from oddlens.errors import DataError, UsageError
from oddlens.images.files import list_images, natural_key
from oddlens.images.named.labelled import Labelled, NamedData, Subset
from oddlens.images.named.readers import ZipSource, read_cifar, read_idx
from oddlens.images.sources import ArraySource, ImageSource, PathSource

Flips = Literal["none", "horizontal"]

_CLOTHES = (
    *("t-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
_DIGITS = tuple("0123456789")
_CIFAR10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_SEED = 0
_TEST_SHARE = 0.3
JPEG_COPY = "JPEG copy"
_BINARY = "test_batch.bin"


@dataclass(frozen=True)
class Entry:
    """What the catalogue knows of a data set.

    Attributes:
        title: how tables name it.
        read: opens it below a root folder.
        content: what decides about mirroring, see ``flips_for``.
        obtain: where it comes from and what must lie below the root; "" where nothing is needed.
        licence: of the data.
    """

    title: str
    read: Callable[[Path], NamedData]
    content: Literal["objects", "characters"]
    obtain: str
    licence: str


def flips_for(content: Literal["objects", "characters"]) -> Flips:
    """Which mirroring fits what the images show.

    The rule, written down before anything was measured with it: photographs of objects, animals and
    clothes are mirrored left to right, because a mirrored one could have been taken just as well.
    Digits and characters are not, because a mirrored one is another sign or none. Nothing is ever
    mirrored upside down, since gravity and habit give all of them an upper side.
    """
    return "horizontal" if content == "objects" else "none"


def open_named(name: str, root: Path | None = None) -> NamedData:
    """Open a data set of the catalogue, or any tree with a folder for each class.

    Args:
        name: of the catalogue, or ``"folder"``.
        root: where its files lie; not needed for those that come with a dependency.

    Raises:
        UsageError: no such name, or no root where one is needed.
        DataError: its files are not there, or damaged; says what must lie where.
    """
    if name not in CATALOGUE:
        raise UsageError(f"there is no data set {name!r}: there are {', '.join(CATALOGUE)}")
    entry = CATALOGUE[name]
    if root is None:
        if entry.obtain:
            raise UsageError(f"--data {name}: say with --root where it is. {entry.obtain}")
        root = Path()
    elif not root.is_dir():
        raise DataError(f"{root}: there is no such folder")
    return entry.read(root)


def _find(root: Path, *names: str) -> Path | None:
    return next((root / name for name in names if (root / name).is_file()), None)


def _idx(name: str, classes: tuple[str, ...]) -> Callable[[Path], NamedData]:
    def read(root: Path) -> NamedData:
        parts = []
        for part in ("train", "t10k"):
            arrays = []
            for kind in ("images-idx3", "labels-idx1"):
                stem = f"{part}-{kind}-ubyte"
                path = _find(root, f"{stem}.gz", stem, stem.replace("-idx", ".idx"))
                if path is None:
                    raise DataError(f"{root}: there is no {stem}.gz. {CATALOGUE[name].obtain}")
                arrays.append(read_idx(path))
            images, labels = arrays
            if len(images) != len(labels) or images.ndim != 3 or labels.max() >= len(classes):
                raise DataError(f"{root}: images and labels of {part} do not belong together")
            # To 32 x 32, as GeoTrans and MHRot do: a side that halves well, and room at the border.
            padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))
            parts.append(Labelled(ArraySource(padded), labels.astype(np.int64)))
        train, test = parts
        return NamedData(name, classes, train, test)

    return read


def _cifar10(root: Path) -> NamedData:
    archive = _find(root, "cifar10_jpeg.zip", "cifar10.zip")
    if archive is not None:
        return _zipped("cifar10", archive)
    unpacked = root / "cifar-10-batches-bin"
    folder = unpacked if (unpacked / _BINARY).is_file() else root
    if (folder / _BINARY).is_file():
        batches = sorted(folder.glob("data_batch_*.bin"))
        images, labels = read_cifar(batches)
        tested, answers = read_cifar([folder / _BINARY])
        train, test = Labelled(ArraySource(images), labels), Labelled(ArraySource(tested), answers)
        return NamedData("cifar10", _CIFAR10, train, test)
    if (root / "train" / _CIFAR10[0]).is_dir():
        return _folder(root)
    raise DataError(f"{root}: CIFAR-10 is not there. {CATALOGUE['cifar10'].obtain}")


def _zipped(name: str, archive: Path) -> NamedData:
    """``train/<class>/*`` and ``test/<class>/*`` in a zip archive."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [m for m in opened.namelist() if not m.endswith("/")]
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{archive}: is no zip archive, or damaged ({error})") from error
    found: dict[str, list[tuple[str, str]]] = {"train": [], "test": []}
    for member in members:
        parts = member.split("/")
        if len(parts) >= 3 and parts[-3] in found:
            found[parts[-3]].append((parts[-2], member))
    classes = tuple(sorted({label for label, _ in found["train"]}))
    if not classes or not found["test"]:
        raise DataError(f"{archive}: holds no train/<class>/ and test/<class>/ folders")
    train, test = (_labelled_members(archive, each, classes) for each in found.values())
    jpeg = any(member.lower().endswith((".jpg", ".jpeg")) for member in members)
    return NamedData(name, classes, train, test, note=JPEG_COPY if jpeg else "")


def _labelled_members(
    archive: Path, found: list[tuple[str, str]], classes: tuple[str, ...]
) -> Labelled:
    source: ImageSource = ZipSource(archive, [member for _, member in found])
    return Labelled(source, np.array([classes.index(label) for label, _ in found]))


def _digits(root: Path) -> NamedData:
    from sklearn.datasets import load_digits

    found = load_digits()
    images = np.round(found.images * (255 / 16)).astype(np.uint8)
    whole = Labelled(ArraySource(images), found.target.astype(np.int64))
    return _split(NamedData("digits", _DIGITS, whole, whole))


def _folder(root: Path) -> NamedData:
    """``train/<class>/`` and ``test/<class>/``, or ``<class>/`` with a split by the seed."""
    apart = (root / "train").is_dir() and (root / "test").is_dir()
    top = root / "train" if apart else root
    classes = tuple(f.name for f in sorted(filter(Path.is_dir, top.iterdir()), key=natural_key))
    if len(classes) < 2:
        raise DataError(
            f"{top}: there must be a folder for each of at least two classes; there are "
            f"{len(classes)}"
        )
    train = _labelled_files(top, classes)
    if not apart:
        return _split(NamedData(root.name, classes, train, train))
    return NamedData(root.name, classes, train, _labelled_files(root / "test", classes))


def _labelled_files(top: Path, classes: tuple[str, ...]) -> Labelled:
    paths, labels = [], []
    for label, name in enumerate(classes):
        mine = list_images(top / name) if (top / name).is_dir() else []
        if not mine:
            raise DataError(f"{top / name}: there is no image of class {name}")
        paths += mine
        labels += [label] * len(mine)
    return Labelled(PathSource(paths), np.array(labels))


def _split(whole: NamedData) -> NamedData:
    """Divide at random by a fixed seed, within each class, 70 % to train on."""
    rng = np.random.default_rng(_SEED)
    labels = whole.train.labels
    tested = np.zeros(len(labels), dtype=bool)
    for label in range(len(whole.classes)):
        mine = rng.permutation(np.flatnonzero(labels == label))
        tested[mine[: max(1, round(_TEST_SHARE * len(mine)))]] = True
    train, test = (
        Labelled(Subset(whole.train.images, np.flatnonzero(which).tolist()), labels[which])
        for which in (~tested, tested)
    )
    return NamedData(whole.name, whole.classes, train, test, note=whole.note)


_IDX_FILES = "below --root must lie train-images-idx3-ubyte.gz and the three files of its kind"
CATALOGUE: dict[str, Entry] = {
    "fashion-mnist": Entry(
        "Fashion-MNIST",
        _idx("fashion-mnist", _CLOTHES),
        "objects",
        f"Fashion-MNIST is on its authors' page (zalandoresearch/fashion-mnist); {_IDX_FILES}.",
        "MIT",
    ),
    "mnist": Entry(
        "MNIST",
        _idx("mnist", _DIGITS),
        "characters",
        f"MNIST is on many mirrors; {_IDX_FILES}.",
        "CC BY-SA 3.0",
    ),
    "cifar10": Entry(
        "CIFAR-10",
        _cifar10,
        "objects",
        "CIFAR-10 is on its author's page (binary version); below --root must lie "
        "data_batch_1.bin to data_batch_5.bin and test_batch.bin, or train/<class>/ and "
        "test/<class>/ with image files, or a cifar10.zip of those folders.",
        "none stated by its author",
    ),
    "digits": Entry(
        "digits (scikit-learn)", _digits, "characters", "", "CC BY 4.0 (UCI), with scikit-learn"
    ),
    "folder": Entry(
        "a folder",
        _folder,
        "objects",
        "Below --root must lie a folder for each class, or train/ and test/ with such folders.",
        "its owner's",
    ),
}
"""The data sets, by the name that ``--data`` takes."""
