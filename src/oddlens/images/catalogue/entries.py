"""The catalogue: each named data set, how to obtain it, and its reader."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from oddlens.errors import DataError, UsageError
from oddlens.images.catalogue import cifar, readers, tables
from oddlens.images.catalogue.attacks import BONA_FIDE
from oddlens.images.catalogue.cifar100 import FOLDER as CIFAR100_FOLDER
from oddlens.images.catalogue.cifar100 import SUPERCLASSES
from oddlens.images.catalogue.download import Download, fetch
from oddlens.images.catalogue.entry import Entry
from oddlens.images.catalogue.labelled import ClassData

_CLOTHES = (
    *("t-shirt", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle-boot"),
)
_DIGITS = tuple(map(str, range(10)))
_CIFAR = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


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


def open_data(name: str, root: str | Path | None = None, *, download: bool = False) -> ClassData:
    """Read a named data set.

    Args:
        name: as in ``CATALOGUE``.
        root: where it lies; None for what is embedded.
        download: fetch it into ``root`` where it is not there yet.

    Raises:
        UsageError: there is no such name, it needs a root folder, or it is to be fetched and
            nothing is known of where from.
        DataError: it is not there, incomplete or damaged; names the expected layout and where the
            data set comes from.
    """
    entry = find_entry(name)
    if entry.embedded:
        return entry.read(entry, Path())
    if root is None:
        raise UsageError(f"{entry.name} needs a root folder with {entry.layout}: give --root")
    if download and not entry.downloads:
        raise UsageError(f"{entry.name} cannot be fetched by --download: obtain it {entry.obtain}")
    try:
        return _fetched(entry, Path(root)) if download else entry.read(entry, Path(root))
    except DataError as error:
        reason = str(error).rstrip(".")
        raise DataError(
            f"{reason}; {entry.name} is expected as {entry.layout} ({entry.obtain})"
        ) from error


def _fetched(entry: Entry, root: Path) -> ClassData:
    """What lies in the folder, or where that cannot be used what is fetched into it."""
    try:
        return entry.read(entry, root)
    except DataError:
        fetch(entry.downloads, root)
        return entry.read(entry, root)


def _idx(address: str, *md5s: str) -> tuple[Download, ...]:
    """The four files of MNIST and its likes."""
    names = [
        f"{part}-{what}-ubyte.gz"
        for part in ("train", "t10k")
        for what in ("images-idx3", "labels-idx1")
    ]
    return tuple(Download(address + name, md5) for name, md5 in zip(names, md5s, strict=True))


_IDX = (
    "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and "
    "t10k-labels-idx1-ubyte.gz, packed or not"
)
_TORONTO = "https://www.cs.toronto.edu/~kriz/"
_TREE = "train/<class>/ and test/<class>/, or <class>/ alone"
_CATEGORIES = (
    "train/good, test/good, test/<defect> and ground_truth/<defect>, below a folder for each "
    "category or in the root itself"
)
_ATTACKS = f"train/{BONA_FIDE}/, test/{BONA_FIDE}/ and test/<kind of attack>/"
_ENTRIES = (
    Entry(
        *("fashion-mnist", "Fashion-MNIST", _CLOTHES, False, 28, "clothes", "MIT", _IDX),
        "from https://github.com/zalandoresearch/fashion-mnist or Debian's package "
        "dataset-fashion-mnist",
        readers.mnist,
        downloads=_idx(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            *("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe"),
            *("bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310"),
        ),
    ),
    Entry(
        *("mnist", "MNIST", _DIGITS, False, 28, "characters", "CC BY-SA 3.0", _IDX),
        "from http://yann.lecun.com/exdb/mnist or a mirror of it",
        readers.mnist,
        downloads=_idx(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            *("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432"),
            *("9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
    ),
    Entry(
        *("cifar10", "CIFAR-10", _CIFAR, True, 32, "objects"),
        "no licence is stated; cite Krizhevsky 2009",
        f"{readers.CIFAR_ARCHIVE} or a tree of train/<class>/*.jpg and test/<class>/*.jpg, or the "
        f"binary version's {cifar.FOLDER}/*.bin",
        "binary version from https://www.cs.toronto.edu/~kriz/cifar.html",
        readers.cifar10,
        downloads=(
            Download(f"{_TORONTO}cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
        ),
    ),
    Entry(
        *("cifar100", "CIFAR-100 by superclass", tuple(SUPERCLASSES), True, 32, "objects"),
        "no licence is stated; cite Krizhevsky 2009",
        f"the binary version's {CIFAR100_FOLDER}/train.bin and test.bin",
        "binary version from https://www.cs.toronto.edu/~kriz/cifar.html",
        readers.by_superclass,
        downloads=(
            Download(f"{_TORONTO}cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8"),
        ),
    ),
    Entry(
        *("svhn", "Street View House Numbers, cropped digits", _DIGITS, True, 32, "characters"),
        "for research, not for commerce; cite Netzer et al. 2011",
        " and ".join(tables.SVHN_FILES),
        "from http://ufldl.stanford.edu/housenumbers",
        readers.svhn,
        downloads=(
            Download(
                "http://ufldl.stanford.edu/housenumbers/train_32x32.mat",
                "e26dedcc434d2e4c54c9b2d4a06d8373",
            ),
            Download(
                "http://ufldl.stanford.edu/housenumbers/test_32x32.mat",
                "eb5a983be6a315427106f1b164d9cef3",
            ),
        ),
    ),
    Entry(
        *("digits", "digits of scikit-learn", _DIGITS, False, 8, "characters"),
        "BSD 3-clause, as scikit-learn; cite Alpaydin and Kaynak 1998",
        "nothing",
        "it comes with scikit-learn",
        readers.digits,
        embedded=True,
    ),
    Entry(
        *("textures", "tiles of scikit-image's photographs", readers.TEXTURES, False, 32),
        *("unknown", "CC0", "nothing", "it comes with scikit-image"),
        readers.textures,
        embedded=True,
    ),
    Entry(
        *("mvtec", "MVTec AD", (), True, 0, "unknown", "CC BY-NC-SA 4.0", _CATEGORIES),
        "from https://www.mvtec.com/company/research/datasets/mvtec-ad, after a form",
        readers.categories,
    ),
    Entry(
        *("magnetic-tile", "Magnetic Tile", (), False, 0, "unknown"),
        *("none is stated; cite Huang et al. 2018", _CATEGORIES),
        "from https://github.com/abin24/Magnetic-tile-defect-datasets., whose folders of kinds are "
        "to be arranged so, with no tile on both sides",
        readers.categories,
    ),
    Entry(
        *("elpv", "ELPV, cells of solar modules", tables.ELPV_CLASSES, False, 300, "unknown"),
        *("CC BY-NC-SA 4.0", f"{tables.ELPV_TABLE} and the images/*.png that it names"),
        "from https://github.com/zae-bayern/elpv-dataset",
        readers.elpv,
    ),
    Entry(
        *("retinal-oct", "OCT2017", ("CNV", "DME", "DRUSEN", "NORMAL"), False, 0, "unknown"),
        *("CC BY 4.0; cite Kermany et al. 2018", "train/ and test/ with CNV, DME, DRUSEN, NORMAL"),
        "from https://data.mendeley.com/datasets/rscbjbr9sj, as OCT2017",
        readers.retinal_oct,
    ),
    Entry(
        *("cub200", "CUB-200-2011", (), True, 0, "objects", "for research only"),
        f"{tables.CUB_FOLDER} with its tables and images/, or a tree of {_TREE}",
        "from https://www.vision.caltech.edu/datasets/cub_200_2011",
        readers.cub,
        downloads=(
            Download(
                "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
                "97eceeb196236b17998738112f37df78",
            ),
        ),
    ),
    Entry(
        *("foundertype", "FounderType", (), False, 0, "style", "of each font's maker", _TREE),
        "from its makers on request; `oddlens fonts` draws the like from open fonts",
        readers.class_tree,
    ),
    Entry(
        *("wmca", "WMCA", (), True, 0, "faces", "signed with Idiap", _ATTACKS),
        "from https://www.idiap.ch/en/dataset/wmca, against a signed licence, frames cut to faces",
        readers.attacks,
    ),
    Entry(
        *("siw-m", "SiW-M", (), True, 0, "faces", "signed with its makers", _ATTACKS),
        "from Michigan State University's computer vision lab, against a signed licence, frames "
        "cut to faces",
        readers.attacks,
    ),
    Entry(
        *("attacks", "any folder of presentation attacks", (), True, 0, "faces", "its own"),
        *(_ATTACKS, "your own images"),
        readers.attacks,
    ),
    Entry(
        *("folder", "any folder of classes", (), True, 0, "unknown", "its own", _TREE),
        "your own images",
        readers.folder,
    ),
)
CATALOGUE = {entry.name: entry for entry in _ENTRIES}
"""Every entry by its name."""
