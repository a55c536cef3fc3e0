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
from oddlens.images.catalogue.download import ARCHIVES, Download
from tests.images.catalogue.test_catalogue import REAL, write_binary, write_idx
from tests.images.catalogue.test_more_data import write_cub

# When the parts of Fashion-MNIST were packed, by gzip's header of the published files.
PACKED = {"train": 1504176606, "t10k": 1504176627}


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


def test_the_birds_are_unpacked_with_what_lies_beside_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    served: tuple[Path, str, list[str]],
) -> None:
    folder, address, _ = served
    write_cub(tmp_path / "CUB_200_2011")
    (tmp_path / "attributes.txt").write_text("1 has_bill_shape::curved\n")
    with tarfile.open(folder / "CUB_200_2011.tgz", "w:gz") as archive:
        for name in ("attributes.txt", "CUB_200_2011"):
            archive.add(tmp_path / name, name)
    assert [each.name for each in CATALOGUE["cub200"].downloads] == ["CUB_200_2011.tgz"]
    offer(monkeypatch, "cub200", folder, address)
    root = tmp_path / "root"
    data = open_data("cub200", root, download=True)
    assert data.classes == ("001.Auk", "002.Jay")
    assert (len(data.train), len(data.test)) == (2, 2)
    assert sorted(path.name for path in root.iterdir()) == ["CUB_200_2011", "attributes.txt"]


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
            assert each.name.endswith((".gz", ".mat", *ARCHIVES))
    known = {name for name, entry in CATALOGUE.items() if entry.downloads}
    assert known == {"fashion-mnist", "mnist", "cifar10", "cifar100", "svhn", "cub200"}


@pytest.mark.real_data
@pytest.mark.parametrize(
    "download", CATALOGUE["fashion-mnist"].downloads, ids=lambda each: each.name
)
def test_the_hashes_of_fashion_mnist_are_those_of_its_files(download: Download) -> None:
    """Debian's copy has lost the name and the time in gzip's header, and else not a byte."""
    path = REAL / "fashion_mnist" / download.name
    if not path.exists():
        pytest.skip(f"needs ../shared/data/fashion_mnist/{download.name}")
    packed = path.read_bytes()
    if not packed[3] & 8:  # the flag of a name
        time = PACKED[download.name.partition("-")[0]].to_bytes(4, "little")
        head = packed[:3] + b"\x08" + time + packed[8:10]
        packed = head + path.stem.encode() + b"\0" + packed[10:]
    assert hashlib.md5(packed).hexdigest() == download.md5
