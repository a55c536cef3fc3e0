"""Reading named data sets, from small made copies of each layout."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from oddlens.errors import DataError, ImageError, UsageError
from oddlens.images import open_source
from oddlens.images.catalogue import (
    CATALOGUE,
    Content,
    LabelledImages,
    find_entry,
    fitting_flips,
    fitting_jitter,
    open_data,
)
from oddlens.images.catalogue.archive import ArchiveSource
from oddlens.images.catalogue.folders import split_by_class
from oddlens.images.catalogue.idx import idx_names
from tests.images.catalogue.made import png, write_tree

CIFAR = CATALOGUE["cifar10"].classes
REAL = Path(__file__).parents[4] / "shared" / "data"


# --- idx --------------------------------------------------------------------------------------


def idx(array: np.ndarray) -> bytes:
    head = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    return head + array.astype(np.uint8).tobytes()


def write_idx(root: Path, part: str, labels: Sequence[int], *, packed: bool, dotted: bool) -> None:
    root.mkdir(exist_ok=True)
    images = np.full((len(labels), 28, 28), 1 + np.array(labels)[:, None, None])
    for what, array in (("images-idx3", images), ("labels-idx1", np.array(labels))):
        name = f"{part}-{what.replace('-idx', '.idx') if dotted else what}-ubyte"
        content = idx(array)
        path = root / (f"{name}.gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)


@pytest.fixture
def mnist(tmp_path: Path) -> Path:
    write_idx(tmp_path, "train", [3, 0, 3, 9], packed=True, dotted=False)
    write_idx(tmp_path, "t10k", [1, 3], packed=True, dotted=False)
    return tmp_path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
def test_idx_files_under_all_their_names(tmp_path: Path, packed: bool, dotted: bool) -> None:
    write_idx(tmp_path, "train", [3, 0, 3], packed=packed, dotted=dotted)
    write_idx(tmp_path, "t10k", [1], packed=packed, dotted=dotted)
    data = open_data("mnist", tmp_path)
    assert data.train.labels.tolist() == [3, 0, 3]
    assert data.test.labels.tolist() == [1]


def test_grey_images_of_28_pixels_are_padded_with_zeros_to_32(mnist: Path) -> None:
    images = open_data("fashion-mnist", mnist).train.images
    assert isinstance(images, np.ndarray)
    assert images.shape == (4, 32, 32)
    assert images.dtype == np.uint8
    assert (images[0, 2:30, 2:30] == 4).all()
    assert images.sum() == 28 * 28 * (4 + 1 + 4 + 10)


def test_the_images_of_a_class(mnist: Path) -> None:
    threes = open_data("mnist", mnist).train.of_class(3)
    assert isinstance(threes, np.ndarray)
    assert len(threes) == 2
    assert set(threes[:, 2:30, 2:30].ravel().tolist()) == {4}


def test_other_labels_are_another_data_set(mnist: Path) -> None:
    before = open_data("mnist", mnist).sha256
    (mnist / "t10k-labels-idx1-ubyte.gz").write_bytes(idx(np.array([3, 1])))
    assert open_data("mnist", mnist).sha256 != before


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (lambda root: next(root.glob("t10k-labels*")).unlink(), "there is no t10k-labels-idx1"),
        (lambda root: (root / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8bxx"), "again"),
        (
            lambda root: (root / "train-images-idx3-ubyte.gz").write_bytes(
                idx(np.zeros((4, 28, 28)))[:-5]
            ),
            "fetch it again",
        ),
        (
            lambda root: (root / "train-images-idx3-ubyte.gz").write_bytes(idx(np.zeros(4))),
            "no idx file",
        ),
        (
            lambda root: (root / "train-labels-idx1-ubyte.gz").write_bytes(idx(np.zeros(5))),
            "belong to different sets",
        ),
        (
            lambda root: (root / "train-labels-idx1-ubyte.gz").write_bytes(idx(np.full(4, 10))),
            "label 10",
        ),
    ],
)
def test_broken_idx_files_are_named_with_the_way_out(
    mnist: Path, break_: object, message: str
) -> None:
    assert callable(break_)
    break_(mnist)
    with pytest.raises(DataError, match=message) as caught:
        open_data("mnist", mnist)
    assert str(mnist) in str(caught.value)
    assert "mnist is expected as train-images-idx3-ubyte.gz" in str(caught.value)


def test_the_official_names_are_looked_for_first() -> None:
    assert idx_names("train", "images-idx3")[:2] == [
        "train-images-idx3-ubyte.gz",
        "train-images-idx3-ubyte",
    ]


# --- folders and archives ---------------------------------------------------------------------


def files(classes: Iterable[str], parts: Sequence[str] = ("train", "test")) -> dict[str, bytes]:
    """Two images of each class in each part; the value tells class and place."""
    return {
        "/".join(filter(None, (part, name, f"{number}.png"))): png(20 * at + number)
        for part in parts
        for at, name in enumerate(classes)
        for number in (10, 2)
    }


def write_zip(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def values(part: LabelledImages) -> list[int]:
    source = open_source(part.images)
    return [int(source.read(at)[0, 0, 0]) for at in range(len(source))]


def test_a_tree_with_its_own_split(tmp_path: Path) -> None:
    write_tree(tmp_path, files(["cat", "bird"]) | {"train/.hidden/0.png": b"", "readme.md": b""})
    data = open_data("folder", tmp_path)
    assert data.name == f"folder:{tmp_path.name}"
    assert data.classes == ("bird", "cat")
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    assert values(data.train) == values(data.test) == [22, 30, 2, 10]  # natural order


def test_a_tree_without_a_split_is_split_class_by_class_and_always_alike(tmp_path: Path) -> None:
    write_tree(tmp_path, {f"{c}/{n}.png": png(n) for c in "ab" for n in range(10)})
    one, other = open_data("folder", tmp_path), open_data("folder", tmp_path)
    assert [int((one.test.labels == k).sum()) for k in (0, 1)] == [3, 3]
    assert isinstance(one.train.images, list)
    assert isinstance(one.test.images, list)
    assert not {*one.train.images} & {*one.test.images}
    assert len({*one.train.images} | {*one.test.images}) == 20
    assert one.test.images == other.test.images
    assert one.sha256 == other.sha256


def test_a_split_leaves_an_image_on_both_sides() -> None:
    train, test = split_by_class([0, 0, 1, 1, 1], ["a", "b"], Path("x"))
    assert sorted([*train, *test]) == [0, 1, 2, 3, 4]
    assert {0, 1} & {*train}
    assert {0, 1} & {*test}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "at least two, but there are 0"),
        ({"a/0.png": png(0)}, "at least two, but there are 1"),
        ({"a/0.png": png(0), "b/0.txt": b""}, "b: holds no images"),
        ({"a/0.png": png(0), "b/0.png": b"", "b/1.png": b""}, "class a has one image"),
        (files("ab") | {"train/c/0.png": png(0)}, "class c is in only one of train and test"),
    ],
)
def test_trees_that_are_none(tmp_path: Path, content: dict[str, bytes], message: str) -> None:
    write_tree(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        open_data("folder", tmp_path)
    assert "folder is expected as train/<class>/" in str(caught.value)


@pytest.mark.parametrize("below", ["", "cifar/"])
def test_cifar10_in_an_archive(tmp_path: Path, below: str) -> None:
    write_zip(
        tmp_path / "cifar10_jpeg.zip", {f"{below}{name}": c for name, c in files(CIFAR).items()}
    )
    data = open_data("cifar10", tmp_path)
    assert data.classes == CIFAR
    assert data.note == "JPEG copy"
    assert data.train.labels.tolist() == np.repeat(range(10), 2).tolist()
    assert values(data.train)[:4] == [2, 10, 22, 30]
    only = data.train.of_class(1)
    assert isinstance(only, ArchiveSource)
    assert [only.read(at)[0, 0, 0] for at in range(len(only))] == [22, 30]
    assert only.name(0).endswith("cifar10_jpeg.zip/" + below + "train/automobile/2.png")


def test_packed_and_unpacked_copies_have_one_hash_and_others_another(tmp_path: Path) -> None:
    content = files(CIFAR)
    write_zip(tmp_path / "cifar10_jpeg.zip", content)
    tree = write_tree(tmp_path / "tree", content)
    packed, unpacked = open_data("cifar10", tmp_path), open_data("cifar10", tree)
    assert packed.sha256 == unpacked.sha256
    (tree / "test" / "ship" / "2.png").write_bytes(png(1))
    assert open_data("cifar10", tree).sha256 != packed.sha256


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "cifar10_jpeg.zip").write_bytes(b"PK no")
    with pytest.raises(DataError, match="cifar10_jpeg.zip: cannot be read as a zip archive"):
        open_data("cifar10", tmp_path)


def test_a_damaged_image_in_an_archive_is_named(tmp_path: Path) -> None:
    source = ArchiveSource.open(write_zip(tmp_path / "a.zip", {"0.png": b"no", "1.png": png(7)}))
    with pytest.raises(ImageError, match=r"a\.zip/0\.png: cannot be decoded"):
        source.read(0)
    assert source.read(1)[0, 0, 0] == 7


# --- CIFAR-10's binary version ----------------------------------------------------------------


def write_binary(folder: Path) -> None:
    folder.mkdir()
    random = np.random.default_rng(0)
    for name in (*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"):
        rows = random.integers(0, 256, (10, 3073), dtype=np.uint8)
        rows[:, 0] = range(10)
        rows.tofile(folder / name)


@pytest.mark.parametrize("inside", [False, True])
def test_cifar10s_binary_version(tmp_path: Path, inside: bool) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    write_binary(folder)
    data = open_data("cifar10", folder if inside else tmp_path)
    assert data.note == ""
    assert len(data.train) == 50
    images = data.test.images
    assert isinstance(images, np.ndarray)
    assert images.shape == (10, 32, 32, 3)
    # By hand: after the label 1024 red bytes, row by row, then 1024 green ones.
    row = np.fromfile(folder / "test_batch.bin", np.uint8)[3073 : 2 * 3073]
    assert images[1, 0, 5, 0] == row[1 + 5]
    assert images[1, 2, 5, 1] == row[1 + 1024 + 2 * 32 + 5]
    assert data.test.labels[1] == row[0] == 1


def test_a_cut_binary_file_is_named(tmp_path: Path) -> None:
    write_binary(tmp_path / "b")
    path = tmp_path / "b" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"data_batch_3\.bin: is cut short"):
        open_data("cifar10", tmp_path / "b")


def test_pickles_are_never_read(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    # Unpickling this would raise another error, or run it.
    (folder / "data_batch_1").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(DataError, match="unpickling can run any code: fetch the binary version"):
        open_data("cifar10", tmp_path)


# --- digits -----------------------------------------------------------------------------------


def test_digits_need_no_root_and_use_the_whole_scale() -> None:
    data = open_data("digits")
    assert len(data.train) + len(data.test) == 1797
    assert isinstance(data.train.images, np.ndarray)
    assert isinstance(data.test.images, np.ndarray)
    assert data.train.images.shape[1:] == (8, 8)
    assert (data.train.images.max(), data.train.images.min()) == (255, 0)
    shares = np.bincount(data.test.labels) / (
        np.bincount(data.test.labels) + np.bincount(data.train.labels)
    )
    assert np.allclose(shares, 0.3, atol=0.01)
    together = np.concatenate([data.train.images, data.test.images]).reshape(1797, -1)
    assert len(np.unique(together, axis=0)) == 1797  # none is on both sides


# --- the catalogue ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "flips"),
    [
        ("objects", "horizontal"),
        ("clothes", "horizontal"),
        ("faces", "horizontal"),
        ("characters", "none"),
        ("style", "none"),
        ("unknown", "none"),
    ],
)
def test_the_rule_of_flips(content: Content, flips: str) -> None:
    assert fitting_flips(content) == flips


def test_only_photographs_of_objects_are_shifted() -> None:
    shifts = {name: fitting_jitter(entry.content) for name, entry in CATALOGUE.items()}
    assert {name for name in shifts if shifts[name]} == {"cifar10", "cifar100", "cub200"}
    assert {*shifts.values()} == {0, 2}


def test_the_flips_of_each_data_set() -> None:
    mirrored = {
        name for name, entry in CATALOGUE.items() if fitting_flips(entry.content) == "horizontal"
    }
    objects = {"cifar10", "cifar100", "cub200"}
    assert mirrored == {"fashion-mnist", "wmca", "siw-m", "attacks"} | objects


def test_names_are_forgiving_and_wrong_ones_get_a_hint() -> None:
    assert find_entry("Fashion_MNIST").name == "fashion-mnist"
    with pytest.raises(UsageError, match="did you mean cifar10"):
        find_entry("cifar-10")
    with pytest.raises(UsageError, match="there are fashion-mnist, mnist"):
        find_entry("zzz")


@pytest.mark.parametrize("name", [n for n in CATALOGUE if not CATALOGUE[n].embedded])
def test_what_is_absent_is_said_with_folder_layout_and_source(name: str, tmp_path: Path) -> None:
    entry = CATALOGUE[name]
    with pytest.raises(UsageError, match="give --root"):
        open_data(name)
    nowhere = tmp_path / "nowhere"
    with pytest.raises(DataError) as caught:
        open_data(name, nowhere)
    for part in (str(nowhere), entry.layout, entry.obtain):
        assert part in str(caught.value)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "place", "train", "test", "note"),
    [
        ("fashion-mnist", "fashion_mnist", 60_000, 10_000, ""),
        ("cifar10", "cifar10_jpeg.zip", 50_000, 10_000, "JPEG copy"),
    ],
)
def test_the_real_ones(name: str, place: str, train: int, test: int, note: str) -> None:
    if not (REAL / place).exists():
        pytest.skip(f"needs ../shared/data/{place}")
    data = open_data(name, REAL / place)
    assert (len(data.train), len(data.test), data.note) == (train, test, note)
    assert np.bincount(data.train.labels).tolist() == [train // 10] * 10
    assert open_source(data.test.of_class(3)).read(0).shape == (32, 32, 3)
