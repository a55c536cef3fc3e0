from __future__ import annotations

import signal
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import closing

import numpy as np
import pytest
import torch

from oddlens.errors import ImageError, UsageError
from oddlens.images import (
    ArraySource,
    ImageBatch,
    Skipped,
    prepare,
    stream,
    stream_pixels,
    stream_views,
)
from oddlens.images.lookahead import map_ahead

RGB = np.random.default_rng(0).integers(0, 256, (11, 6, 9, 3), dtype=np.uint8)


class CountedSource:
    """Makes images when asked, counts those that are still held, and spoils some."""

    def __init__(self, count: int, *, side: int = 4, bad: frozenset[int] = frozenset()) -> None:
        self.count = count
        self.side = side
        self.bad = bad
        self.reads = 0
        self.alive = 0
        self.most_alive = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self.count

    def name(self, index: int) -> str:
        return f"image {index}"

    def read(self, index: int) -> np.ndarray:
        with self._lock:
            self.reads += 1
        if index in self.bad:
            raise ImageError(self.name(index), "is spoilt")
        pixels = np.full((self.side, self.side, 3), index % 256, np.uint8)
        with self._lock:
            self.alive += 1
            self.most_alive = max(self.most_alive, self.alive)
        weakref.finalize(pixels, self._gone)
        return pixels

    def _gone(self) -> None:
        self.alive -= 1


def image_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "oddlens-images" in thread.name]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert image_threads() == []


@pytest.mark.parametrize("workers", [None, 1, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 11, 50])
def test_every_image_comes_once_in_order(batch_size: int, workers: int | None) -> None:
    batches = list(stream(ArraySource(RGB), 8, batch_size, on_bad="raise", workers=workers))
    assert [index for batch in batches for index in batch.indices] == list(range(11))
    assert all(len(batch.indices) == batch_size for batch in batches[:-1])
    for batch in batches:
        assert batch.names == tuple(f"image {index}" for index in batch.indices)
        wanted = np.stack([prepare(RGB[index], 8) for index in batch.indices])
        np.testing.assert_array_equal((batch.images * 255).round().numpy(), wanted)


def test_some_images_in_a_given_order() -> None:
    (batch,) = stream(ArraySource(RGB), 8, 8, on_bad="raise", indices=[7, 0, 7])
    assert batch.indices == (7, 0, 7)
    assert list(stream(ArraySource(RGB), 8, 8, on_bad="raise", indices=[])) == []


def test_bad_images_are_left_out_and_reported() -> None:
    source = CountedSource(10, bad=frozenset({0, 4, 9}))
    skipped: list[Skipped] = []
    batches = list(stream(source, 4, 3, on_bad="skip", skipped=skipped))
    assert [batch.indices for batch in batches] == [(1, 2, 3), (5, 6, 7), (8,)]
    assert skipped == [Skipped(f"image {index}", "is spoilt") for index in (0, 4, 9)]


def test_nothing_but_bad_images_gives_no_batch() -> None:
    source = CountedSource(3, bad=frozenset(range(3)))
    assert list(stream(source, 4, 2, on_bad="skip")) == []


def test_the_first_bad_image_can_end_the_stream() -> None:
    batches = stream(CountedSource(10, bad=frozenset({4})), 4, 3, on_bad="raise")
    assert next(batches).indices == (0, 1, 2)
    with pytest.raises(ImageError, match="image 4: is spoilt"):
        next(batches)


@pytest.mark.parametrize("side", [4, 6])  # 4: squashing keeps the very array, so it is counted
def test_20_000_images_need_the_memory_of_few(side: int) -> None:
    source = CountedSource(20_000, side=side)
    seen = 0
    for batch in stream(source, 4, 16, on_bad="raise", workers=2):
        seen += len(batch.indices)
        assert source.reads - seen <= 16 + 16  # handed over, or waiting
    assert seen == source.reads == 20_000
    assert source.most_alive <= 16 + 16 + 2  # a batch, the look-ahead, the workers' own
    assert source.alive == 0


def test_what_was_handed_over_is_the_consumer_s_alone() -> None:
    with closing(stream(CountedSource(100), 4, 8, on_bad="raise")) as batches:
        batch = weakref.ref(next(batches))
        assert batch() is None
    with closing(map_ahead(np.zeros, range(100), ahead=4)) as arrays:
        array = weakref.ref(next(arrays))
        assert array() is None


def test_the_next_batch_is_decoded_while_the_consumer_works() -> None:
    source = CountedSource(100)
    with closing(stream(source, 4, 8, on_bad="raise", workers=2)) as batches:
        next(batches)
        deadline = time.monotonic() + 10
        while source.reads < 16 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert source.reads == 16


def test_nothing_starts_before_the_first_batch_is_wanted() -> None:
    source = CountedSource(100)
    stream(source, 4, 8, on_bad="raise")
    assert source.reads == 0


def test_a_consumer_that_stops_early_stops_the_threads() -> None:
    source = CountedSource(10_000)
    for batch in stream(source, 4, 4, on_bad="raise"):
        assert batch.indices == (0, 1, 2, 3)
        break
    assert image_threads() == []
    read = source.reads
    assert read < 50
    time.sleep(0.02)
    assert source.reads == read


def test_ctrl_c_in_the_consumer_ends_everything() -> None:
    def consume(batches: Iterator[ImageBatch]) -> None:
        for _ in batches:
            raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        closing(stream(CountedSource(10_000), 4, 4, on_bad="raise")) as batches,
    ):
        consume(batches)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_ctrl_c_while_waiting_for_an_image_does_not_hang() -> None:
    main = threading.main_thread().ident
    assert main is not None
    calls: list[int] = []

    def slow(item: int) -> int:
        calls.append(item)
        # By item, since two threads that count together can both miss a number; and late enough for
        # the main thread to be waiting, since Python drops a Ctrl-C that falls into a finaliser.
        if item == 40:
            signal.pthread_kill(main, signal.SIGINT)
        time.sleep(0.02)
        return item

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for _ in map_ahead(slow, range(100_000), ahead=1000, workers=2):
            pass
    assert time.monotonic() - began < 5  # the thousand queued calls alone would take ten
    assert len(calls) < 100


def test_an_error_that_is_not_about_the_image_is_not_swallowed() -> None:
    class Broken(CountedSource):
        def read(self, index: int) -> np.ndarray:
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        list(stream(Broken(3), 4, 2, on_bad="skip"))


@pytest.mark.parametrize(
    ("size", "batch_size", "workers", "on_bad", "words"),
    [
        (0, 1, 1, "skip", "size is 0"),
        (4, 0, 1, "skip", "batch_size is 0"),
        (4, 1, 0, "skip", "workers is 0"),
        (4, 1, 1, "ignore", "on_bad is 'ignore'"),
    ],
)
def test_a_wrong_call_is_refused_at_once(
    size: int, batch_size: int, workers: int, on_bad: str, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        stream(ArraySource(RGB), size, batch_size, on_bad=on_bad, workers=workers)  # type: ignore[arg-type]


def test_views_are_what_each_size_would_be_alone() -> None:
    source = ArraySource(RGB)
    order = [5, 0, 2, 6, 1]
    found = list(stream_views(source, [8, 33], 2, on_bad="raise", indices=order))
    assert [len(batch.names) for batch in found] == [2, 2, 1]
    for size in (8, 33):
        alone = stream(source, size, 2, on_bad="raise", indices=order)
        for batch, one in zip(found, alone, strict=True):
            assert batch.names == one.names
            assert torch.equal(batch.views[size], one.images)
            assert batch.views[size].stride() == one.images.stride()


def test_views_decode_each_image_once_and_skip_the_bad_ones() -> None:
    source, skipped = CountedSource(7, bad=frozenset({2})), list[Skipped]()
    found = list(stream_views(source, [8, 3, 5], 4, on_bad="skip", skipped=skipped))
    assert source.reads == 7
    assert [len(batch.names) for batch in found] == [4, 2]
    assert [each.name for each in skipped] == ["image 2"]
    with pytest.raises(ImageError, match="image 2"):
        list(stream_views(source, [8, 3], 4, on_bad="raise"))


def test_pixels_are_what_views_are_made_of() -> None:
    random = np.random.default_rng(0)
    source = ArraySource(random.integers(0, 256, (5, 12, 9, 3), dtype=np.uint8))
    pixels = list(stream_pixels(source, [8, 3], 2, on_bad="raise"))
    views = list(stream_views(source, [8, 3], 2, on_bad="raise"))
    assert [batch.names for batch in pixels] == [batch.names for batch in views]
    for mine, theirs in zip(pixels, views, strict=True):
        for size in (8, 3):
            assert mine.views[size].shape == (len(mine.names), size, size, 3)
            as_floats = torch.from_numpy(mine.views[size]).permute(0, 3, 1, 2).float() / 255
            assert torch.equal(as_floats, theirs.views[size])


def test_views_refuse_what_a_stream_refuses() -> None:
    source = CountedSource(2)
    with pytest.raises(UsageError, match="size is 0"):
        stream_views(source, [8, 0], 2, on_bad="raise")
    with pytest.raises(UsageError, match="on_bad"):
        stream_views(source, [8], 2, on_bad="ask")  # type: ignore[arg-type]
