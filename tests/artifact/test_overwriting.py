"""Saving over what is there: at every step a complete artifact is on disk."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from oddlens.artifact import read_artifact, write_artifact
from oddlens.errors import ArtifactError
from tests.artifact.made import listing, make, same


def test_an_artifact_is_replaced_even_a_damaged_one(tmp_path: Path) -> None:
    path = tmp_path / "m"
    write_artifact(make("first"), path)
    write_artifact(make("second"), path)
    assert same(read_artifact(path), make("second"))
    (path / "README.md").unlink()
    write_artifact(make("third"), path)
    assert same(read_artifact(path), make("third"))
    assert listing(tmp_path) == ["m"]


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    write_artifact(make(), tmp_path / "m")
    assert same(read_artifact(tmp_path / "m"), make())
    assert listing(tmp_path) == ["m"]


def test_what_is_no_artifact_is_never_replaced(tmp_path: Path) -> None:
    file, folder, similar, mixed = (tmp_path / name for name in ("file", "d", "similar", "mixed"))
    file.write_text("precious")
    folder.mkdir()
    (folder / "photo.png").write_text("precious")
    similar.mkdir()
    (similar / "config.json").write_text('{"precious": 1}')
    write_artifact(make(), mixed)
    (mixed / "notes.txt").write_text("precious")
    for path in (file, folder, similar):
        with pytest.raises(ArtifactError, match="is there and is no oddlens artifact: choose"):
            write_artifact(make("second"), path)
    with pytest.raises(ArtifactError, match=r"mixed also holds notes\.txt, which would be lost"):
        write_artifact(make("second"), mixed)
    with pytest.raises(ArtifactError, match="is no oddlens artifact"):
        write_artifact(make(), Path(file.anchor))
    assert file.read_text() == "precious"
    assert listing(folder) == ["photo.png"]
    assert listing(similar) == ["config.json"]
    assert same(read_artifact(mixed), make())
    assert listing(tmp_path) == ["d", "file", "mixed", "similar"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    write_artifact(make("first"), tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_artifact(make("second"), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert same(read_artifact(tmp_path / "real"), make("second"))


def disk_full(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", range(1, 6))
@pytest.mark.parametrize("there_before", [True, False])
def test_a_full_disk_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int, there_before: bool
) -> None:
    """The disk fills up at each of the flushes: the four files' and the folder's."""
    if there_before:
        write_artifact(make("first"), tmp_path / "m")
    left = listing(tmp_path)
    calls = iter(range(1, 100))
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: disk_full() if next(calls) == call else fsync(fd))
    state = "what was there before is intact" if there_before else "nothing was overwritten"
    with pytest.raises(ArtifactError, match=f"m: No space left on device; {state}$"):
        write_artifact(make("second"), tmp_path / "m")
    assert listing(tmp_path) == left
    if there_before:
        assert same(read_artifact(tmp_path / "m"), make("first"))


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", [1, 2])
def test_a_failure_between_the_renames_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, call: int
) -> None:
    write_artifact(make("first"), tmp_path / "m")
    calls = iter(range(1, 100))
    rename = os.rename

    def fail(source: Path, target: Path) -> None:
        if next(calls) == call:
            raise error
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises((ArtifactError, KeyboardInterrupt)):
        write_artifact(make("second"), tmp_path / "m")
    assert same(read_artifact(tmp_path / "m"), make("first"))
    assert listing(tmp_path) == ["m"]


def test_when_even_undoing_fails_the_message_tells_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_artifact(make("first"), tmp_path / "m")
    calls = iter(range(1, 100))
    rename = os.rename

    def fail_after_first(source: Path, target: Path) -> None:
        if next(calls) > 1:
            disk_full()
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail_after_first)
    with pytest.raises(ArtifactError, match=r"is intact in .*m\.old-while-saving$"):
        write_artifact(make("second"), tmp_path / "m")
    assert same(read_artifact(tmp_path / "m.old-while-saving"), make("first"))


def test_at_every_step_a_complete_artifact_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Look at the disk before every change to it, as a kill at that moment would leave it."""
    path = tmp_path / "m"
    write_artifact(make("first"), path)
    seen: list[str] = []

    def look(*_: object) -> None:
        places = [one for one in tmp_path.iterdir() if not one.name.startswith(".")]
        notes = []
        for place in places:
            try:
                notes.append(read_artifact(place).config["note"])
            except ArtifactError:
                continue
        assert notes, f"nothing to go on with among {places}"
        seen.append("+".join(sorted(notes)))

    for name in ("rename", "unlink", "rmdir", "mkdir", "fsync", "open"):
        original = getattr(os, name)
        monkeypatch.setattr(os, name, watched(original, look))
    write_artifact(make("second"), path)
    look()
    assert "first" in seen
    assert "first+second" in seen  # Between the second rename and the clean-up.
    assert seen[-1] == "second"


def watched(original: Any, look: Any) -> Any:
    busy: list[bool] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        if not busy:
            busy.append(True)
            try:
                look()
            finally:
                busy.clear()
        return original(*args, **kwargs)

    return call


def test_a_kill_between_the_renames_is_explained_and_mended(tmp_path: Path) -> None:
    path, kept = tmp_path / "m", tmp_path / "m.old-while-saving"
    write_artifact(make("first"), path)
    path.rename(kept)
    with pytest.raises(
        ArtifactError, match=r"interrupted; .* in .*m\.old-while-saving: rename it to m"
    ):
        read_artifact(path)
    assert same(read_artifact(kept), make("first"))
    write_artifact(make("second"), path)
    assert same(read_artifact(path), make("second"))
    assert listing(tmp_path) == ["m"]


def test_a_kill_while_the_old_one_is_removed_is_mended(tmp_path: Path) -> None:
    path, kept = tmp_path / "m", tmp_path / "m.old-while-saving"
    write_artifact(make("second"), path)
    kept.mkdir()
    (kept / "README.md").write_text("half removed")
    write_artifact(make("third"), path)
    assert same(read_artifact(path), make("third"))
    assert listing(tmp_path) == ["m"]
    kept.mkdir()
    (kept / "thesis.txt").write_text("precious")
    with pytest.raises(ArtifactError, match="old-while-saving is in the way of saving: move it"):
        write_artifact(make("fourth"), path)
    assert listing(kept) == ["thesis.txt"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        ArtifactError, match=r"cannot write the artifact .*; nothing was overwritten"
    ):
        write_artifact(make(), tmp_path / "file" / "m")
