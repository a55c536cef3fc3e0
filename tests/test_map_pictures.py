"""Maps as pictures: exact to the stated step, on one scale, one file an image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oddlens.errors import OddlensError
from oddlens.map_pictures import MAX_NAME_BYTES, unique_names
from oddlens.predictions import Predictions, PredictionWriter
from oddlens.scoring import Calibration

CALIBRATION = Calibration(np.arange(9.0))


def with_maps(names: list[str], maps: np.ndarray, pixel: float | None = None) -> Predictions:
    peaks = Calibration(np.zeros(9), map_peaks=np.full(9, pixel)) if pixel is not None else None
    writer = PredictionWriter(
        CALIBRATION.threshold(0.2),
        pixel_threshold=None if peaks is None else peaks.pixel_threshold(0.2),
    )
    count = len(names)
    writer.add(names, np.zeros(count), np.ones(count), np.zeros(count, bool), {}, maps)
    return writer.finish()


def test_values_come_back_from_the_pictures(tmp_path: Path) -> None:
    maps = np.random.default_rng(1).normal(size=(3, 6, 9)).astype(np.float32)
    maps[1] *= 50
    names = ["test/good/000.png", "test/crack/000.png", "other.jpg"]
    paths = with_maps(names, maps).save_maps(tmp_path / "maps")
    info = json.loads((tmp_path / "maps" / "maps.json").read_text())
    assert (info["low"], info["high"]) == (maps.min(), maps.max())
    assert [entry["path"] for entry in info["maps"]] == names
    assert [tmp_path / "maps" / entry["map"] for entry in info["maps"]] == paths
    step = (info["high"] - info["low"]) / 65535
    for path, values in zip(paths, maps, strict=True):
        grey = np.asarray(Image.open(path))
        assert grey.dtype == np.uint16
        assert np.abs(info["low"] + grey * step - values).max() <= step / 2 * (1 + 1e-9)
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == [
        "crack_000.heat.png",
        "crack_000.map.png",
        "good_000.heat.png",
        "good_000.map.png",
        "maps.json",
        "other.heat.png",
        "other.map.png",
    ]


def test_the_middle_colour_is_the_pixel_threshold(tmp_path: Path) -> None:
    from matplotlib import colormaps

    maps = np.array([[[0.0, 2.0, 4.0, 100.0]], [[1.0, 0.0, 3.0, 2.0]]])
    with_maps(["a.png", "b.png"], maps, pixel=2.0).save_maps(tmp_path)
    colours = np.asarray(Image.open(tmp_path / "a.heat.png"))
    expected = [colormaps["inferno"](level, bytes=True)[:3] for level in (0, 128, 255, 255)]
    assert colours[0].tolist() == [list(colour) for colour in expected]
    same = np.asarray(Image.open(tmp_path / "b.heat.png"))
    assert same[0, 3].tolist() == colours[0, 1].tolist()  # One scale for all images.


@pytest.mark.parametrize("pixel", [None, -5.0, 3.0])
def test_maps_that_are_constant_are_black(tmp_path: Path, pixel: float | None) -> None:
    with_maps(["a.png"], np.full((1, 2, 2), 3.0), pixel).save_maps(tmp_path)
    assert np.asarray(Image.open(tmp_path / "a.map.png")).tolist() == [[0, 0], [0, 0]]
    assert np.asarray(Image.open(tmp_path / "a.heat.png")).max() <= 4


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OddlensError, match=r"cannot write maps to .*file"):
        with_maps(["a.png"], np.zeros((1, 2, 2))).save_maps(tmp_path / "file")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["/x/a.png", "/x/b.png"], ["a", "b"]),
        (["/x/1/a.png", "/x/2/a.png", "/x/2/b.png"], ["1_a", "2_a", "b"]),
        (["/x/1/t/a.png", "/x/2/t/a.png"], ["1_t_a", "2_t_a"]),
        (["a.png", "a.jpg", "a.bmp"], ["a", "a-2", "a-3"]),
        (["a.png", "a-2.png", "a.jpg"], ["a", "a-2", "a-3"]),
        (["A.png", "a.png"], ["A", "a-2"]),
        (["x/b_c.png", "x_b/c.png"], ["b_c", "c"]),
        (["a/b_c.png", "a_b/c.png", "z/c.png", "z/b_c.png"], ["a_b_c", "a_b_c-2", "z_c", "z_b_c"]),
        (["image 0", "image 1"], ["image_0", "image_1"]),
        (
            ["../../etc/passwd", ".hidden.png", "", "/", ".."],
            ["passwd", "hidden", "_", "_-2", "_-3"],
        ),
        (["scan.v1.2.png"], ["scan.v1.2"]),
        ([], []),
    ],
)
def test_names_of_files(names: list[str], expected: list[str]) -> None:
    assert unique_names(names) == expected


@given(st.lists(st.text(alphabet="aA1_-./\\ é\udce9漢", max_size=300), max_size=8))
def test_names_are_always_unique_and_safe(names: list[str]) -> None:
    result = unique_names(names)
    assert len(result) == len(names)
    assert len({name.casefold() for name in result}) == len(names)
    for name in result:
        assert name
        assert not name.startswith(".")
        assert not set(name) & set('/\\: *?"<>|')
        assert len(name.encode()) <= MAX_NAME_BYTES + 4
