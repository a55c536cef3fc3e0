"""Over data of an earlier version: replaced where the demo wrote all of it, else left alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from oddlens.demo import make_surface_dataset
from oddlens.demo.defects import DEFECTS
from oddlens.errors import DataError

CROPS = "oddlens demo data: surface=brick seed=0 size=128 train=5 good=2 defective=7"
TILES = "oddlens demo data: surface=brick seed=0 size=256 grid=10 train=3 good=4 defective=5"


def small(out: Path, seed: int = 0) -> Path:
    return make_surface_dataset(out, seed=seed, size=64, n_train=4, n_good=3, n_defective=7)


def names(train: int, good: int, defective: int) -> Iterator[str]:
    """As earlier versions named their files."""
    for part, count in (("train", train), ("test", good)):
        yield from (f"{part}/good/{index:03d}.png" for index in range(count))
    for index in range(defective):
        number, kind = divmod(index, len(DEFECTS))
        yield f"test/{DEFECTS[kind]}/{number:03d}.png"
        yield f"ground_truth/{DEFECTS[kind]}/{number:03d}_mask.png"


def old(out: Path, marker: str) -> Path:
    """What an earlier version left: images, and then the README that begins with its marker."""
    counts = dict(each.split("=") for each in marker.split()[3:])
    parts = {part: int(counts[part]) for part in ("train", "good", "defective")}
    for at, name in enumerate([*names(**parts), "README.txt"]):
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{marker}\n\nThe normal images are ...\n")
        os.utime(path, ns=(at, at))
    return out


def listing(root: Path) -> dict[str, bytes]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("marker", [CROPS, TILES])
def test_what_an_earlier_version_made_is_replaced_and_told(tmp_path: Path, marker: str) -> None:
    out = old(tmp_path / "brick", marker)
    with pytest.warns(UserWarning, match="an earlier version had made there were replaced"):
        small(out)
    assert listing(out) == listing(small(tmp_path / "fresh"))
    assert {path.name for path in tmp_path.iterdir()} == {"brick", "fresh"}


def add_a_file(out: Path) -> str:
    (out / "mine.png").write_text("mine")
    return "mine.png"


def add_a_hidden_file(out: Path) -> str:
    (out / "test" / "good" / ".mine").write_text("mine")
    return "test/good/.mine"


def change_an_image(out: Path) -> str:
    (out / "test" / "good" / "000.png").write_text("mine")
    return "test/good/000.png"


def take_an_image_away(out: Path) -> str:
    (out / "test" / "dent" / "000.png").unlink()
    return "test/dent/000.png"


def link_an_image(out: Path) -> str:
    image = out / "train" / "good" / "001.png"
    image.rename(out.parent / "mine.png")
    image.symlink_to(out.parent / "mine.png")
    return "train/good/001.png"


def link_a_folder(out: Path) -> str:
    (out / "mine").symlink_to(out.parent, target_is_directory=True)
    return "mine"


@pytest.mark.parametrize(
    "change",
    [
        add_a_file,
        add_a_hidden_file,
        change_an_image,
        take_an_image_away,
        link_an_image,
        link_a_folder,
    ],
)
def test_with_anything_of_yours_in_it_it_is_left_and_named(tmp_path: Path, change: object) -> None:
    out = old(tmp_path / "brick", TILES)
    name = change(out)  # type: ignore[operator]
    before = listing(out)
    with pytest.raises(DataError, match=f"were changed since .{name}.; keep what is yours"):
        small(out)
    assert listing(out) == before


@pytest.mark.parametrize(
    "marker",
    [
        TILES.replace("seed=0", "seed=1"),
        TILES.replace("brick", "grass"),
        TILES.replace("data: ", "data: edition=9999 "),
        TILES + " and more",
        TILES.replace("oddlens demo", "other demo"),
    ],
)
def test_other_data_are_no_earlier_ones(tmp_path: Path, marker: str) -> None:
    out = old(tmp_path / "brick", TILES)
    (out / "README.txt").write_text(marker + "\n")
    before = listing(out)
    with pytest.raises(DataError, match="something else"):
        small(out)
    assert listing(out) == before


def test_this_edition_with_another_seed_is_refused(tmp_path: Path) -> None:
    out = small(tmp_path / "brick", seed=1)
    with pytest.raises(DataError, match="something else"):
        small(out)


def test_a_link_to_earlier_data_is_refused(tmp_path: Path) -> None:
    real = old(tmp_path / "elsewhere", TILES)
    (tmp_path / "brick").symlink_to(real, target_is_directory=True)
    with pytest.raises(DataError, match="something else"):
        small(tmp_path / "brick")


def test_a_readme_that_is_no_text_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "README.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="something else"):
        small(tmp_path)


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_when_it_cannot_be_made_anew_the_earlier_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise fault

    out = old(tmp_path / "brick", TILES)
    before = listing(out)
    monkeypatch.setattr("oddlens.demo.surfaces._save", fail)
    with pytest.raises((KeyboardInterrupt, DataError)):
        small(out)
    assert listing(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["brick"]


def test_when_the_new_one_cannot_be_moved_the_earlier_one_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = old(tmp_path / "brick", TILES)
    before, replace, moves = listing(out), Path.replace, []

    def second_fails(path: Path, target: Path) -> Path:
        moves.append(target)
        if len(moves) == 2:
            raise PermissionError(13, "Permission denied")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", second_fails)
    with pytest.raises(DataError, match="Permission denied"):
        small(out)
    assert listing(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["brick"]
