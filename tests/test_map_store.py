"""Maps on disk: exact, shared by views, gone with the last of them, clear when the disk fills."""

from __future__ import annotations

import errno
import gc
import os
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from oddlens.errors import OddlensError, UsageError
from oddlens.map_store import MapStore


def some_maps(count: int, height: int = 5, width: int = 7, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, height, width)).astype(np.float32)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_maps_come_back_bit_for_bit() -> None:
    maps, larger = some_maps(4), some_maps(2, 8, 9, seed=1)
    maps[0, 0] = [np.finfo(np.float32).max, 1e-45, -0.0, 0.1, 1, 2, 3]
    store = MapStore()
    store.extend(maps[:3])
    store.extend(maps[:0])
    store.extend(maps[3:])
    store.extend(larger)
    assert len(store) == 6
    assert [one.tobytes() for one in store] == [one.tobytes() for one in (*maps, *larger)]
    assert store[-1].shape == (8, 9)
    assert store[-1].dtype == np.float32
    with pytest.raises(IndexError):
        store[6]


def test_views_share_the_file_and_order_is_theirs() -> None:
    maps = some_maps(5)
    store = MapStore()
    store.extend(maps)
    view = store.take([4, 0, 4])[1:]
    del store
    gc.collect()
    assert [one.tolist() for one in view] == [maps[0].tolist(), maps[4].tolist()]


def test_the_repr_tells_the_disk_that_it_takes() -> None:
    store = MapStore()
    store.extend(np.zeros((4, 500, 500)))
    assert repr(store) == "MapStore(4 maps, 4.0 MB on disk)"


def test_what_is_read_is_a_copy() -> None:
    store = MapStore()
    store.extend(some_maps(1))
    store[0][:] = 0
    assert store[0].tolist() == some_maps(1)[0].tolist()


def test_maps_that_are_not_contiguous_or_not_float32() -> None:
    maps = some_maps(3).transpose(0, 2, 1).astype(np.float64)
    store = MapStore()
    store.extend(maps)
    assert [one.tolist() for one in store] == maps.tolist()
    with pytest.raises(UsageError, match=r"got shape \(5, 7\)"):
        store.extend(maps[0].T)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files through /proc")
def test_the_file_has_no_name_and_goes_with_the_last_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gc.collect()
    before = open_files()
    store = MapStore()
    store.extend(some_maps(2))
    view = store[:1]
    assert list(tmp_path.iterdir()) == []
    del store
    gc.collect()
    assert open_files() == before + 1
    assert view[0].shape == (5, 7)
    del view
    gc.collect()
    assert open_files() == before


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from /proc")
def test_memory_does_not_grow_with_the_maps() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    batch = some_maps(8, 256, 256)
    store = MapStore()
    store.extend(batch)
    before = resident()
    for _ in range(48):  # 100 MB.
        store.extend(batch)
    total = sum(float(one[0, 0]) for one in store)
    assert total == pytest.approx(49 * float(batch[:, 0, 0].sum(dtype=np.float64)))
    assert resident() - before < 20e6


def test_threads_read_the_right_maps() -> None:
    maps = some_maps(64, 32, 32)
    store = MapStore()
    store.extend(maps)
    wrong: list[int] = []

    def read(start: int) -> None:
        for step in range(200):
            index = (start + 7 * step) % 64
            if store[index].tobytes() != maps[index].tobytes():
                wrong.append(index)

    threads = [threading.Thread(target=read, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


class SmallDisk:
    """A file on a disk with room for ``room`` bytes, which writes in short pieces as disks may."""

    def __init__(self, file: object, room: int) -> None:
        self._file = file
        self.room = room

    def write(self, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = min(len(data), self.room, 50)
        self.room -= count
        return int(self._file.write(data[:count]))  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def test_a_full_disk_is_one_sentence_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = some_maps(4)
    store = MapStore()
    disk = SmallDisk(store._file._file, room=3 * 140 + 60)
    monkeypatch.setattr(store._file, "_file", disk)
    store.extend(maps[:2])
    with pytest.raises(OddlensError, match=r"disk full\): free .* TMPDIR .*score without maps$"):
        store.extend(maps[2:])
    assert len(store) == 2
    assert store[1].tobytes() == maps[1].tobytes()
    disk.room = 10_000  # Somebody made room: it goes on where it stopped.
    store.extend(maps[2:])
    assert [one.tobytes() for one in store] == [one.tobytes() for one in maps]


def test_no_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(OddlensError, match=r"cannot be created in .*missing .*set TMPDIR"):
        MapStore()


def test_a_file_that_lost_its_end_is_noticed() -> None:
    store = MapStore()
    store.extend(some_maps(1))
    store._file._file.truncate(10)
    with pytest.raises(OddlensError, match=r"cannot be read from .* shorter than it was"):
        store[0]
