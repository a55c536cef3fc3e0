from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlens.errors import DataError
from oddlens.images.files import find_images, list_images, natural_key, without


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(paths: list[Path], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def test_numbers_sort_as_numbers_folder_by_folder(tmp_path: Path) -> None:
    touch(tmp_path, "b/1.png", "a10.png", "a2.png", "A1.png", "b/10.png", "b/9.png", "b10/0.png")
    assert names(list_images(tmp_path), tmp_path) == [
        *("A1.png", "a2.png", "a10.png", "b/1.png", "b/9.png", "b/10.png", "b10/0.png")
    ]


@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1), unique=True))
def test_natural_order_is_total_and_does_not_depend_on_the_start(parts: list[str]) -> None:
    paths = [Path(part) for part in parts]
    backwards = paths[::-1]
    assert sorted(paths, key=natural_key) == sorted(backwards, key=natural_key)


def test_only_images_and_nothing_hidden(tmp_path: Path) -> None:
    touch(tmp_path, "a.PNG", "b.jpeg", "c.TiF", "d.webp", "e.bmp", "notes.txt", "png", "x.gif")
    touch(tmp_path, ".hidden.png", "._a.png", ".cache/f.png", "sub/.g/h.png")
    assert names(list_images(tmp_path), tmp_path) == ["a.PNG", "b.jpeg", "c.TiF", "d.webp", "e.bmp"]


def test_a_hidden_root_is_no_reason_to_skip(tmp_path: Path) -> None:
    touch(tmp_path, ".data/a.png")
    assert names(list_images(tmp_path / ".data"), tmp_path) == [".data/a.png"]


def test_links_are_followed_without_loops(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.png", "set/b.png")
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "set" / "up").symlink_to(tmp_path / "set")
    assert names(list_images(tmp_path / "set"), tmp_path) == ["set/b.png", "set/linked/a.png"]


def test_a_locked_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "in/a.png")
    scandir = os.scandir

    def locked(path: str) -> object:
        if Path(path).name == "in":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(DataError, match=r"in: cannot be read \(Permission denied\)"):
        list_images(tmp_path)


def test_a_folder_without_images_is_named_with_what_was_looked_for(tmp_path: Path) -> None:
    touch(tmp_path, "a.txt")
    with pytest.raises(DataError, match=r"^no images in .*: looked for \.png, \.jpg") as caught:
        find_images(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_what_does_not_exist_is_named(tmp_path: Path) -> None:
    for missing in (tmp_path / "none", tmp_path / "none.png", [tmp_path / "none"]):
        with pytest.raises(DataError, match=r"none.*: no such file or folder"):
            find_images(missing)
    with pytest.raises(DataError, match="list of paths is empty"):
        find_images([])


def test_a_glob_finds_files_and_the_images_of_folders(tmp_path: Path) -> None:
    touch(
        tmp_path, "p2/good/10.png", "p2/good/9.png", "p1/good/0.png", "p1/good/n.txt", "p1/bad.png"
    )
    found = find_images(f"{tmp_path}/*/good")
    assert names(found, tmp_path) == ["p1/good/0.png", "p2/good/9.png", "p2/good/10.png"]
    assert names(find_images(f"{tmp_path}/**/*"), tmp_path) == [
        *("p1/bad.png", "p1/good/0.png", "p2/good/9.png", "p2/good/10.png")
    ]
    with pytest.raises(DataError, match=r"^no images match .*\*\.tif: looked for"):
        find_images(f"{tmp_path}/*.tif")


def test_a_name_that_looks_like_a_glob_is_taken_literally_first(tmp_path: Path) -> None:
    touch(tmp_path, "run[1]/a.png", "run1/b.png")
    assert names(find_images(tmp_path / "run[1]"), tmp_path) == ["run[1]/a.png"]


def test_a_list_keeps_its_order_and_drops_repeats(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a.png", "in/2.png", "in/1.png", "odd.dat")
    wanted: list[str | Path] = [
        tmp_path / "b.png",
        tmp_path / "in",
        str(tmp_path / "b.png"),
        tmp_path / "odd.dat",
    ]
    assert names(find_images(wanted), tmp_path) == ["b.png", "in/1.png", "in/2.png", "odd.dat"]


def test_a_missing_image_in_a_list_is_left_to_fail_when_it_is_read(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    found = find_images([tmp_path / "a.png", tmp_path / "gone.png"])
    assert names(found, tmp_path) == ["a.png", "gone.png"]


def test_files_and_folders_can_be_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "maps/a.png", "maps2/a.png")
    kept = without(list_images(tmp_path), [tmp_path / "b.png", str(tmp_path / "maps")])
    assert names(kept, tmp_path) == ["a.png", "maps2/a.png"]
