from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oddlens.errors import DataError, ImageError
from oddlens.images import decode, read_layout, read_mask

BOTTLE = Path(__file__).parents[3] / "shared" / "data" / "mvtec_ad" / "bottle"
TILE = BOTTLE.parents[1] / "magnetic_tile"


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    touch(tmp_path, "train/good/2.png", "train/good/10.png", "test/good/0.png")
    touch(tmp_path, "test/crack/0.png", "test/crack/1.jpg", "test/crack/2.png", "test/blot/0.png")
    touch(tmp_path, "ground_truth/crack/0_mask.png", "ground_truth/crack/1.png")
    touch(tmp_path, "ground_truth/crack/1.bmp", "test/.git/0.png", "readme.txt")
    return tmp_path


def test_the_files_of_a_small_set(small: Path) -> None:
    layout = read_layout(str(small))
    assert layout.root == small
    assert [path.name for path in layout.train] == ["2.png", "10.png"]
    found = [
        (image.defect, image.path.name, image.is_anomaly, image.mask and image.mask.name)
        for image in layout.test
    ]
    assert found == [
        ("good", "0.png", False, None),
        ("blot", "0.png", True, None),
        ("crack", "0.png", True, "0_mask.png"),
        ("crack", "1.jpg", True, "1.png"),
        ("crack", "2.png", True, None),
    ]


def test_masks_of_subfolders_are_not_mixed_up(small: Path) -> None:
    touch(small, "test/blot/a/7.png", "test/blot/b/7.png", "ground_truth/blot/b/7_mask.png")
    masks = {image.path: image.mask for image in read_layout(small).test}
    assert masks[small / "test/blot/a/7.png"] is None
    assert masks[small / "test/blot/b/7.png"] == small / "ground_truth/blot/b/7_mask.png"


def test_training_images_may_be_missing(small: Path) -> None:
    (small / "train").rename(small / "spare")
    assert read_layout(small).train == []


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("test", "no folder test; expected test/good"),
        ("test/good", "test/good: no such folder"),
        ("train/good", "train/good: no such folder"),
    ],
)
def test_a_missing_folder_is_named(small: Path, missing: str, words: str) -> None:
    (small / missing).rename(small / "elsewhere")
    with pytest.raises(DataError, match=words):
        read_layout(small)


def test_a_set_without_defects_or_with_an_empty_folder_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "test/good/0.png")
    with pytest.raises(DataError, match="no folder test/<defect>"):
        read_layout(tmp_path)
    (tmp_path / "test" / "crack").mkdir()
    with pytest.raises(DataError, match="no images in .*crack: looked for"):
        read_layout(tmp_path)
    with pytest.raises(DataError, match="none: no such folder"):
        read_layout(tmp_path / "none")


MASK = np.array([[0, 0, 1, 0], [0, 1, 1, 0]], dtype=bool)


@pytest.mark.parametrize(
    "stored",
    [
        Image.fromarray(MASK),
        Image.fromarray(MASK.astype(np.uint8)),
        Image.fromarray(MASK.astype(np.uint8) * 255),
        Image.fromarray(MASK.astype(np.uint16)),
        Image.fromarray(np.stack([MASK, MASK * 0, MASK * 0], axis=2).astype(np.uint8) * 200),
        Image.fromarray(
            np.dstack([MASK.astype(np.uint8) * 255] * 3 + [MASK * 0 + 255]).astype("u1")
        ),
    ],
    ids=["1 bit", "0/1", "0/255", "16-bit 0/1", "red", "RGBA"],
)
def test_every_kind_of_mask_marks_the_same_pixels(tmp_path: Path, stored: Image.Image) -> None:
    stored.save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png", (2, 4))
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, MASK)


def test_a_mask_of_another_size_is_refused_with_both_sizes(tmp_path: Path) -> None:
    Image.fromarray(MASK).save(tmp_path / "m.png")
    with pytest.raises(DataError, match=r"m\.png: the mask is 4 x 2 pixels, .* is 2 x 4"):
        read_mask(tmp_path / "m.png", (4, 2))
    assert read_mask(tmp_path / "m.png", None).shape == (2, 4)


def test_an_unreadable_mask_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.png").touch()
    with pytest.raises(ImageError, match=r"m\.png: is empty"):
        read_mask(tmp_path / "m.png", None)


@pytest.mark.real_data
@pytest.mark.skipif(not BOTTLE.is_dir(), reason="MVTec AD bottle is not beside the repository")
def test_the_bottle_is_all_there() -> None:
    layout = read_layout(BOTTLE)
    assert len(layout.train) == 209
    assert [path.stem for path in layout.train] == [f"{index:03}" for index in range(209)]
    by_defect = {image.defect: 0 for image in layout.test}
    for image in layout.test:
        by_defect[image.defect] += 1
        assert image.is_anomaly == (image.mask is not None) == (image.defect != "good")
    assert list(by_defect) == ["good", "broken_large", "broken_small", "contamination"]
    assert list(by_defect.values()) == [20, 20, 22, 21]
    broken = layout.test[25]
    assert broken.mask is not None
    assert broken.mask.stem == f"{broken.path.stem}_mask"
    height, width, _ = decode(broken.path).shape
    share = read_mask(broken.mask, (height, width)).mean()
    assert 0.001 < share < 0.5


@pytest.mark.real_data
@pytest.mark.skipif(not TILE.is_dir(), reason="magnetic_tile is not beside the repository")
def test_every_mask_of_the_tiles_fits_its_image() -> None:
    anomalous = [image for image in read_layout(TILE).test if image.is_anomaly]
    assert all(image.mask is not None for image in anomalous)
    for image in anomalous[::20]:
        assert image.mask is not None
        height, width, _ = decode(image.path).shape
        assert read_mask(image.mask, (height, width)).any()
