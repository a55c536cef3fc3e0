"""Style data from open fonts: the same glyphs at the same places, and no image on both sides."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oddlens.demo.fonts import (
    FontData,
    _places,
    find_fonts,
    make_font_dataset,
    matplotlib_fonts,
)
from oddlens.errors import DataError, UsageError
from oddlens.images.catalogue import open_data


def some(*names: str) -> list[Path]:
    return [path for path in matplotlib_fonts() if path.stem in names]


def small(out: Path, **options: object) -> FontData:
    call = {"glyphs": "AIlO0g", "n_train": 6, "n_test": 4, **options}
    fonts = some("DejaVuSans", "DejaVuSerif", "cmtt10")
    return make_font_dataset(out, fonts, **call)  # type: ignore[arg-type]


def pictures(root: Path) -> dict[str, np.ndarray]:
    return {
        path.relative_to(root).as_posix(): np.asarray(Image.open(path))
        for path in sorted(root.rglob("*.png"))
    }


def test_matplotlib_brings_enough_fonts_that_all_can_take_part(tmp_path: Path) -> None:
    made = make_font_dataset(tmp_path / "all", n_train=1, n_test=1, glyphs="ABCabc123")
    assert not made.left_out
    assert len(made.fonts) == len(matplotlib_fonts()) >= 12
    assert not [name for name in made.fonts if "Display" in name or "NonUni" in name]


def test_every_font_shows_the_same_glyphs_as_often(tmp_path: Path) -> None:
    made = small(tmp_path / "fonts")
    assert made.fonts == ("DejaVuSans", "DejaVuSerif", "cmtt10")
    names = {
        (part, font): sorted(path.name for path in (made.root / part / font).iterdir())
        for part in ("train", "test")
        for font in made.fonts
    }
    for part, count in (("train", 36), ("test", 24)):
        first, *others = (names[part, font] for font in made.fonts)
        assert len(first) == count
        assert all(each == first for each in others)


def test_no_image_is_on_both_sides_and_none_touches_the_border(tmp_path: Path) -> None:
    everything = pictures(small(tmp_path / "fonts", n_train=51, n_test=24).root)
    parts = {
        part: {each.tobytes() for name, each in everything.items() if name.startswith(part)}
        for part in ("train", "test")
    }
    assert not parts["train"] & parts["test"]
    for name, picture in everything.items():
        assert picture.shape == (32, 32), name
        assert picture.max() > 200, name
        edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert not edge.any(), name


def test_offsets_of_the_test_are_none_of_the_training() -> None:
    seen: dict[str, set[tuple[int, int]]] = {"train": set(), "test": set()}
    for part, _, _, (right, down, _) in _places("AB", 51, 24, seed=3):
        seen[part].add((right, down))
    assert len(seen["train"]) == 17
    assert len(seen["test"]) == 8
    assert not seen["train"] & seen["test"]


def test_the_same_call_does_nothing_and_another_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "fonts"
    first = pictures(small(out).root)
    readme = (out / "README.txt").stat().st_mtime_ns
    small(out)
    assert (out / "README.txt").stat().st_mtime_ns == readme
    with pytest.raises(DataError, match="there is something else already"):
        small(out, seed=1)
    again, other = (pictures(small(tmp_path / str(s), seed=s).root) for s in (0, 1))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)


def test_it_is_read_as_a_folder_of_classes(tmp_path: Path) -> None:
    data = open_data("folder", small(tmp_path / "fonts").root)
    assert data.classes == ("cmtt10", "DejaVuSans", "DejaVuSerif")  # in natural order
    assert (len(data.train), len(data.test)) == (108, 72)


def test_fonts_that_cannot_take_part_are_left_out_with_the_reason(tmp_path: Path) -> None:
    (sans,) = some("DejaVuSans")
    copy = shutil.copy(sans, tmp_path / "My Copy.ttf")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    symbols = sans.with_name("STIXSizOneSymReg.ttf")
    placeholder = sans.with_name("LastResortHE-Regular.ttf")
    given = [sans, *some("DejaVuSerif"), Path(copy), tmp_path / "broken.ttf", symbols]
    made = make_font_dataset(
        tmp_path / "out", [*given, placeholder, sans], glyphs="ABC", n_train=1, n_test=1
    )
    assert made.fonts == ("DejaVuSans", "DejaVuSerif")
    assert made.left_out["My-Copy"] == "draws what DejaVuSans draws"
    assert "cannot be read as a font" in made.left_out["broken"]
    assert made.left_out["STIXSizOneSymReg"].startswith("has no A B C")
    assert "alike" in made.left_out["LastResortHE-Regular"]
    assert made.left_out[str(sans)] == "another font is called DejaVuSans"
    with pytest.raises(DataError, match=r"needs two fonts, but 0 .*broken: cannot be read"):
        make_font_dataset(tmp_path / "x", [tmp_path / "broken.ttf"])
    assert not (tmp_path / "x").exists()


def test_fonts_are_found_below_folders(tmp_path: Path) -> None:
    (sans,) = some("DejaVuSans")
    assert sans in find_fonts([sans.parent])
    assert find_fonts([sans, sans]) == [sans]
    with pytest.raises(DataError, match="nowhere: no such file"):
        find_fonts([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="holds no fonts"):
        find_fonts([tmp_path])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 8}, "size is 8"),
        ({"size": 16, "glyphs": "W@"}, "use larger images or fewer fonts"),
        ({"glyphs": "A"}, "at least two"),
        ({"glyphs": "A B"}, "none of them a space"),
        ({"n_train": 52}, "n_train is 52; it must be from 1 to 51"),
        ({"n_test": 25}, "from 1 to 24"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_what_is_out_of_range_is_refused(
    tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        small(tmp_path / "fonts", **options)
    assert not (tmp_path / "fonts").exists()
