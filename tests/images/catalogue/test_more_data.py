"""CIFAR-100, SVHN, MVTec's layout, attacks, fonts, CUB-200, ELPV, OCT2017, textures, joined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from oddlens.demo.surfaces import photograph
from oddlens.errors import DataError
from oddlens.images import open_source
from oddlens.images.catalogue import CATALOGUE, LabelledImages, open_data
from oddlens.images.catalogue.categories import categories_of
from oddlens.images.catalogue.cifar100 import CLASSES, SUPERCLASSES, coarse_of_fine
from oddlens.images.catalogue.joined import Looks, joined
from tests.images.catalogue.made import (
    FONTS,
    SIW_M,
    attacks,
    category,
    founder_type,
    png,
    siw_m,
    write_tree,
)

REAL = Path(__file__).parents[4] / "shared" / "data"


def names(part: LabelledImages, root: Path) -> list[str]:
    assert isinstance(part.images, list)
    return [path.relative_to(root).as_posix() for path in part.images]


# --- CIFAR-100 --------------------------------------------------------------------------------

# `coarse_labels` beside `fine_labels` in the data files, from fine label 0 to 99.
COARSE = """
 4  1 14  8  0  6  7  7 18  3  3 14  9 18  7 11  3  9  7 11
 6 11  5 10  7  6 13 15  3 15  0 11  1 10 12 14 16  9 11  5
 5 19  8  8 15 13 14 17 18 10 16  4 17  4  2  0 17  4 18 17
10  3  2 12 12 16 12  1  9 19  2 10  0  1 16 12  9 13 15 13
16 19  2  4  6 19  5  5  8 19 18  1  2 15  6  0 17  8 14 13
"""


def test_twenty_superclasses_of_five_as_the_data_files_have_them() -> None:
    assert len(SUPERCLASSES) == 20
    assert all(len(group) == 5 for group in SUPERCLASSES.values())
    assert len(CLASSES) == len(set(CLASSES)) == 100
    assert coarse_of_fine().tolist() == [int(word) for word in COARSE.split()]
    assert list(SUPERCLASSES) == sorted(SUPERCLASSES)
    assert CATALOGUE["cifar100"].classes == tuple(SUPERCLASSES)


@pytest.mark.parametrize(
    ("label", "fine", "superclass"),
    [
        (0, "apple", "fruit_and_vegetables"),
        (1, "aquarium_fish", "fish"),
        (19, "cattle", "large_omnivores_and_herbivores"),
        (39, "keyboard", "household_electrical_devices"),
        (58, "pickup_truck", "vehicles_1"),
        (81, "streetcar", "vehicles_2"),
        (99, "worm", "non-insect_invertebrates"),
    ],
)
def test_some_classes_by_their_labels(label: int, fine: str, superclass: str) -> None:
    assert CLASSES[label] == fine
    assert list(SUPERCLASSES)[coarse_of_fine()[label]] == superclass


def write_cifar100(folder: Path) -> Path:
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, count in (("train.bin", 200), ("test.bin", 100)):
        rows = random.integers(0, 256, (count, 3074), dtype=np.uint8)
        rows[:, 1] = np.arange(count) % 100
        rows[:, 0] = coarse_of_fine()[rows[:, 1]]
        rows.tofile(folder / name)
    return folder


@pytest.mark.parametrize("inside", [False, True])
def test_cifar100(tmp_path: Path, inside: bool) -> None:
    folder = write_cifar100(tmp_path / "cifar-100-binary")
    data = open_data("cifar100", folder if inside else tmp_path)
    assert np.bincount(data.train.labels).tolist() == [10] * 20
    assert len(data.test) == 100
    row = np.fromfile(folder / "test.bin", np.uint8)[3074 * 7 : 3074 * 8]
    assert isinstance(data.test.images, np.ndarray)
    assert data.test.images[7, 0, 5, 0] == row[2 + 5]
    assert data.test.images[7, 2, 5, 1] == row[2 + 1024 + 2 * 32 + 5]
    assert data.classes[data.test.labels[7]] == "insects"  # 7 is the beetle


def test_labels_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    folder = write_cifar100(tmp_path / "b")
    rows = np.fromfile(folder / "train.bin", np.uint8).reshape(-1, 3074)
    rows[3, 0] = 5
    rows.tofile(folder / "train.bin")
    with pytest.raises(DataError, match="not of their superclasses, so it is not CIFAR-100's"):
        open_data("cifar100", folder)


# --- SVHN -------------------------------------------------------------------------------------


def write_svhn(root: Path) -> None:
    for name, labels in (("train_32x32.mat", [1, 10, 9]), ("test_32x32.mat", [10, 2])):
        images = np.zeros((32, 32, 3, len(labels)), np.uint8)
        images[3, 5, 1] = labels
        savemat(root / name, {"X": images, "y": np.array(labels, np.uint8)[:, None]})


def test_svhn_and_its_ten_that_is_zero(tmp_path: Path) -> None:
    write_svhn(tmp_path)
    data = open_data("svhn", tmp_path)
    assert data.train.labels.tolist() == [1, 0, 9]
    assert data.test.labels.tolist() == [0, 2]
    assert isinstance(data.train.images, np.ndarray)
    assert data.train.images.shape == (3, 32, 32, 3)
    assert data.train.images[:, 3, 5, 1].tolist() == [1, 10, 9]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"X": np.zeros((32, 32, 3, 2), "u1"), "y": np.array([1, 11])}, "one from 1 to 10"),
        ({"X": np.zeros((32, 32, 3, 2), "u1"), "y": np.array([1])}, "for each image"),
        ({"X": np.zeros((28, 32, 3, 2), "u1"), "y": np.array([1, 1])}, "not SVHN's"),
        ({"y": np.array([1])}, "fetch it again"),
        (None, "fetch it again"),
    ],
)
def test_other_files_are_not_taken_for_svhn(
    tmp_path: Path, content: dict[str, np.ndarray] | None, message: str
) -> None:
    write_svhn(tmp_path)
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(b"no") if content is None else savemat(path, content)
    with pytest.raises(DataError, match=message) as caught:
        open_data("svhn", tmp_path)
    assert "train_32x32.mat" in str(caught.value)


# --- MVTec's layout ---------------------------------------------------------------------------


def test_several_categories_and_a_single_one(tmp_path: Path) -> None:
    for name in ("screw", "bottle"):
        category(tmp_path / "mvtec" / name)
    (tmp_path / "mvtec" / "license.txt").write_text("x")
    data = open_data("mvtec", tmp_path / "mvtec")
    assert categories_of(data) == ["bottle", "screw"]
    assert data.classes == ("bottle/good", "bottle/hole", "screw/good", "screw/hole")
    assert data.train.labels.tolist() == [0] * 4 + [2] * 4
    assert data.test.labels.tolist() == np.repeat(range(4), 4).tolist()
    single = open_data("magnetic-tile", tmp_path / "mvtec" / "screw")
    assert categories_of(single) == ["screw"]
    assert single.root == tmp_path / "mvtec"


def test_a_category_without_training_images_is_named(tmp_path: Path) -> None:
    root = category(tmp_path / "bottle")
    for path in (root / "train" / "good").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no images in .*train/good"):
        open_data("mvtec", tmp_path)
    with pytest.raises(DataError, match="neither train/good and test nor a category"):
        open_data("mvtec", root / "test")


# --- presentation attacks ---------------------------------------------------------------------


def test_attacks_by_kind_and_only_bona_fide_ones_are_learned_from(tmp_path: Path) -> None:
    root = attacks(tmp_path / "faces")
    data = open_data("attacks", root)
    assert data.name == "attacks:faces"
    assert open_data("wmca", root).name == "wmca"
    assert data.classes == ("bonafide", "mask", "print")
    assert names(data.train, root) == [f"train/bonafide/one/{n}.png" for n in range(3)]
    assert data.test.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3


def test_siw_m_is_read_video_by_video_and_its_attacks_are_never_learned_from(
    tmp_path: Path,
) -> None:
    root = siw_m(tmp_path)
    data = open_data("siw-m", root)
    assert (data.name, data.content, data.classes) == ("siw-m", "faces", SIW_M)
    assert names(data.train, root) == [
        f"train/bonafide/{video}/{frame}.png" for video in ("001", "002") for frame in (0, 1)
    ]
    assert data.train.labels.tolist() == [0] * 4
    assert data.test.labels.tolist() == np.repeat(range(6), 2).tolist()
    folders = [name.split("/")[1] for name in names(data.test, root)]
    assert folders == np.repeat(SIW_M, 2).tolist()
    # By hand: replay is the sixth of the fixture, its test video number 10.
    assert open_source(data.test.of_class(5)).read(1)[0, 0, 0] == 20 * 5 + 5 * 10 + 1


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("train/bonafide", "train/bonafide: there is no such folder"),
        ("test/bonafide", "test/bonafide: there is no such folder"),
        ("test", "there is no folder test"),
    ],
)
def test_what_is_missing_of_attacks_is_named(tmp_path: Path, gone: str, message: str) -> None:
    root = attacks(tmp_path)
    (root / gone).rename(tmp_path / ".gone")
    with pytest.raises(DataError, match=message):
        open_data("siw-m", root)


# --- fonts ------------------------------------------------------------------------------------


def test_founder_type_is_a_tree_of_fonts_under_its_own_name(tmp_path: Path) -> None:
    root = founder_type(tmp_path / "whatever")
    data = open_data("foundertype", root)
    assert (data.name, data.content, data.classes) == ("foundertype", "style", FONTS)
    assert names(data.train, root)[2:4] == ["train/Fang Song/u4E02.png", "train/Kai Ti/u4E00.png"]
    assert names(data.test, root)[0] == "test/Fang Song/u4E03.png"
    assert data.train.labels.tolist() == data.test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    glyph = open_source(data.test.of_class(1)).read(0)
    assert glyph.shape == (8, 8, 3)
    assert (glyph == 103).all()  # grey, and the fourth glyph of the second font
    (root / "test" / FONTS[0]).rename(root / "test" / "Song Ti")
    with pytest.raises(DataError, match="Fang Song is in only one of train and test"):
        open_data("foundertype", root)


# --- tables beside images ---------------------------------------------------------------------


def write_cub(root: Path) -> Path:
    images = {1: "001.Auk/a.jpg", 2: "001.Auk/b.jpg", 3: "002.Jay/c.jpg", 4: "002.Jay/d.jpg"}
    tables = {
        "images.txt": "".join(f"{at} {name}\n" for at, name in images.items()),
        "image_class_labels.txt": "1 1\n2 1\n3 2\n4 2\n",
        "train_test_split.txt": "1 0\n2 1\n3 1\n4 0\n",
        "classes.txt": "1 001.Auk\n2 002.Jay\n",
    }
    return write_tree(root, tables | {f"images/{name}": png(1) for name in images.values()})


def test_cub_is_divided_as_its_tables_say(tmp_path: Path) -> None:
    folder = write_cub(tmp_path / "CUB_200_2011")
    data = open_data("cub200", tmp_path)
    assert data.classes == ("001.Auk", "002.Jay")
    assert names(data.train, folder / "images") == ["001.Auk/b.jpg", "002.Jay/c.jpg"]
    assert names(data.test, folder / "images") == ["001.Auk/a.jpg", "002.Jay/d.jpg"]
    assert len(open_data("cub200", folder / "images").train) == 2  # a tree, without tables
    (folder / "train_test_split.txt").write_text("1 0\n2 1\n3 1\n")
    with pytest.raises(DataError, match="tables are not of the same images"):
        open_data("cub200", tmp_path)


def test_elpv_learns_from_functional_cells_alone(tmp_path: Path) -> None:
    grades = [0.0] * 10 + [0.3333333333333333, 0.6666666666666666, 1.0, 1.0]
    lines = [f"images/cell{at:04d}.png  {grade}  mono\n" for at, grade in enumerate(grades)]
    write_tree(tmp_path, {"labels.csv": "".join(lines)})
    write_tree(tmp_path, {line.split()[0]: png(at) for at, line in enumerate(lines)})
    data = open_data("elpv", tmp_path)
    assert data.train.labels.tolist() == [0] * 7
    assert data.test.labels.tolist() == [0] * 3 + [1, 2, 3, 3]
    assert not {*names(data.train, tmp_path)} & {*names(data.test, tmp_path)}
    (tmp_path / "labels.csv").write_text("images/a.png 0.5\n")
    with pytest.raises(DataError, match=r"labels\.csv: line 1 is not an image"):
        open_data("elpv", tmp_path)


def test_retinal_oct(tmp_path: Path) -> None:
    kinds = ("CNV", "DME", "DRUSEN", "NORMAL")
    parts = [f"{part}/{kind}" for part in ("train", "test") for kind in kinds]
    whole = write_tree(tmp_path / "whole", {f"{part}/a.png": png(1) for part in parts})
    assert open_data("retinal-oct", whole).classes == kinds
    other = {f"{kind}/{n}.png": b"" for kind in ("CNV", "OTHER") for n in "ab"}
    with pytest.raises(DataError, match="its classes are CNV, OTHER"):
        open_data("retinal-oct", write_tree(tmp_path / "other", other))


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "place", "classes", "images"),
    [
        ("mvtec", "mvtec_ad", 4, 292),
        ("magnetic-tile", "magnetic_tile", 6, 1344),
        ("cub200", "cub200_10", 10, 294),
        ("retinal-oct", "retinal_oct_sample", 4, 60),
    ],
)
def test_the_real_ones(name: str, place: str, classes: int, images: int) -> None:
    if not (REAL / place).exists():
        pytest.skip(f"needs ../shared/data/{place}")
    data = open_data(name, REAL / place)
    assert len(data.classes) == classes
    assert len(data.train) + len(data.test) == images


def test_textures_are_cut_apart(tmp_path: Path) -> None:
    data = open_data("textures")
    assert data.classes == ("brick", "grass", "gravel")
    assert isinstance(data.train.images, np.ndarray)
    assert isinstance(data.test.images, np.ndarray)
    assert data.train.images.shape == (480, 32, 32)
    assert data.test.images.shape == (288, 32, 32)
    grass = photograph("grass")
    train, test = data.train.of_class(1), data.test.of_class(1)
    assert isinstance(train, np.ndarray)
    assert isinstance(test, np.ndarray)
    assert (train[0] == grass[:32, :32]).all()
    assert (test[-1] == grass[-32:, -32:]).all()


# --- two sets as one --------------------------------------------------------------------------


def test_odd_images_get_the_size_and_the_grey_of_the_normal_ones(tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, shape in zip(paths, [(20, 40, 3), (64, 64, 3)], strict=True):
        Image.fromarray(np.full(shape, (200, 0, 0), np.uint8)).save(path)
    normal = np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8)
    source = joined(normal, paths, names=("digits", "photos"))
    assert len(source) == 5
    assert [source.read(at).shape for at in range(5)] == [(8, 8, 3)] * 5
    assert (source.read(2)[..., 0] == normal[2]).all()
    assert np.ptp(source.read(3), axis=2).max() == 0
    assert abs(int(source.read(3)[0, 0, 0]) - round(0.299 * 200)) <= 1
    assert source.name(0) == "digits: image 0"
    assert source.name(4) == f"photos: {paths[1]}"
    some = source.take([4, 0])
    assert [some.name(at) for at in range(2)] == [source.name(4), source.name(0)]


def test_where_normal_images_differ_in_size_and_have_colours_nothing_is_changed(
    tmp_path: Path,
) -> None:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, shape in zip(paths, [(20, 40, 3), (64, 64, 3)], strict=True):
        Image.fromarray(np.full(shape, (200, 0, 0), np.uint8)).save(path)
    assert Looks.of(open_source(paths)) == Looks(None, grey=False)
    odd = np.random.default_rng(0).integers(0, 256, (1, 5, 5, 3)).astype(np.uint8)
    assert (joined(paths, odd, names=("a", "b")).read(2) == odd[0]).all()
