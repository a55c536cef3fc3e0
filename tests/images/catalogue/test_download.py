"""Fetching data sets, from a server on this machine."""

from __future__ import annotations

import functools
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from oddlens.errors import DataError, UsageError
from oddlens.images.catalogue import CATALOGUE, open_data
from oddlens.images.catalogue.download import Download
from tests.images.catalogue.test_catalogue import write_binary, write_idx


class _Quiet(SimpleHTTPRequestHandler):
    asked: list[str]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        self.asked.append(self.path)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """A folder, its address, and what was asked for."""
    folder = tmp_path / "served"
    folder.mkdir()
    asked: list[str] = []
    handler = type("Handler", (_Quiet,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()
    server.server_close()
    thread.join()


def offer(
    monkeypatch: pytest.MonkeyPatch, name: str, folder: Path, address: str, md5: str = ""
) -> None:
    """Let the catalogue know the files of a folder, with their hashes or a wrong one."""
    downloads = tuple(
        Download(address + path.name, md5 or hashlib.md5(path.read_bytes()).hexdigest())
        for path in sorted(folder.iterdir())
    )
    monkeypatch.setitem(CATALOGUE, name, replace(CATALOGUE[name], downloads=downloads))


def test_mnist_is_fetched_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    served: tuple[Path, str, list[str]],
) -> None:
    folder, address, asked = served
    write_idx(folder, "train", [3, 0, 3], packed=True, dotted=False)
    write_idx(folder, "t10k", [1], packed=True, dotted=False)
    offer(monkeypatch, "mnist", folder, address)
    with pytest.raises(DataError, match="no such folder"):
        open_data("mnist", tmp_path / "root")
    assert open_data("mnist", tmp_path / "root", download=True).train.labels.tolist() == [3, 0, 3]
    assert len(asked) == 4
    assert open_data("mnist", tmp_path / "root", download=True).sha256
    assert len(asked) == 4
    (tmp_path / "root" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"cut")
    assert open_data("mnist", tmp_path / "root", download=True).test.labels.tolist() == [1]
    assert len(asked) == 5  # only the damaged one


def test_an_archive_is_unpacked(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    served: tuple[Path, str, list[str]],
) -> None:
    folder, address, _ = served
    write_binary(tmp_path / "cifar-10-batches-bin")
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "cifar-10-batches-bin", "cifar-10-batches-bin")
    offer(monkeypatch, "cifar10", folder, address)
    data = open_data("cifar10", tmp_path / "root", download=True)
    assert len(data.train) == 50
    assert [path.name for path in (tmp_path / "root").iterdir()] == ["cifar-10-batches-bin"]


def test_another_hash_is_refused_and_nothing_is_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    served: tuple[Path, str, list[str]],
) -> None:
    folder, address, _ = served
    (folder / "train_32x32.mat").write_bytes(b"other")
    offer(monkeypatch, "svhn", folder, address, md5="0" * 32)
    with pytest.raises(DataError, match="has another hash than 0000"):
        open_data("svhn", tmp_path / "root", download=True)
    assert not [*(tmp_path / "root").glob("*.mat")]


def test_an_archive_cannot_write_outside(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    served: tuple[Path, str, list[str]],
) -> None:
    folder, address, _ = served
    with tarfile.open(folder / "x.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("../outside.txt")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"no"))
    offer(monkeypatch, "cifar100", folder, address)
    with pytest.raises(DataError, match="cannot be fetched"):
        open_data("cifar100", tmp_path / "root", download=True)
    assert not (tmp_path / "outside.txt").exists()


def test_a_silent_address_and_an_unknown_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    served: tuple[Path, str, list[str]],
) -> None:
    _, address, _ = served
    gone = replace(CATALOGUE["svhn"], downloads=(Download(f"{address}gone.mat", "0" * 32),))
    monkeypatch.setitem(CATALOGUE, "svhn", gone)
    with pytest.raises(DataError, match=r"gone\.mat: cannot be fetched into"):
        open_data("svhn", tmp_path / "root", download=True)
    with pytest.raises(UsageError, match=r"mvtec cannot be fetched by --download: obtain it from"):
        open_data("mvtec", tmp_path, download=True)


def test_every_address_has_a_whole_hash_and_a_name_that_is_read() -> None:
    for entry in CATALOGUE.values():
        for each in entry.downloads:
            assert len(bytes.fromhex(each.md5)) == 16
            assert each.name.endswith((".gz", ".mat"))
    known = {name for name, entry in CATALOGUE.items() if entry.downloads}
    assert known == {"fashion-mnist", "mnist", "cifar10", "cifar100", "svhn"}
