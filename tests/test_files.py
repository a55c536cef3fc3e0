"""Files are written in one piece."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oddlens.errors import OddlensError
from oddlens.files import open_to_write, write_bytes


def test_it_replaces_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    for text in ("first\n", "second\r\n"):
        with open_to_write(path) as file:
            file.write(text)
        assert path.read_bytes() == text.encode()
    assert [one.name for one in path.parent.iterdir()] == ["file.txt"]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(error: BaseException) -> None:
        with open_to_write(path) as file:
            file.write("half of the new")
            raise error

    with pytest.raises(OddlensError, match=r"cannot write .*file\.txt: No space left on device"):
        fail(OSError(28, "No space left on device"))
    with pytest.raises(KeyboardInterrupt):
        fail(KeyboardInterrupt())
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["file.txt"]


def test_names_that_are_no_utf8_come_out_as_their_bytes(tmp_path: Path) -> None:
    with open_to_write(tmp_path / "file.txt") as file:
        file.write(os.fsdecode(b"caf\xe9.png"))
    assert (tmp_path / "file.txt").read_bytes() == b"caf\xe9.png"


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(OddlensError, match=r"cannot write .*directory"), open_to_write(tmp_path):
        pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_written_to_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with open_to_write(pipe) as file:
        file.write("through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert pipe.is_fifo()


def test_bytes_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "m.onnx"
    for content in (b"first", b"\x00\xff"):
        write_bytes(path, content)
        assert path.read_bytes() == content
    assert [one.name for one in path.parent.iterdir()] == ["m.onnx"]
    with pytest.raises(OddlensError, match=r"cannot write .*new: "):
        write_bytes(path.parent, b"a folder is there")
