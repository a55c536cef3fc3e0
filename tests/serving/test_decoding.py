"""From an upload to pixels, and no more memory than there is."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from oddlens.images.decode import decode_bytes, pixels_of
from oddlens.images.pixels import Pixels
from oddlens.images.prepare import squash
from oddlens.serving import decoding
from oddlens.serving.decoding import decoded
from oddlens.serving.uploads import Upload
from tests.serving.toy import grey, half_bright


def look(content: bytes, *, max_pixels: int = 10_000) -> decoding.Decoded:
    return decoded(Upload("a", content), (8, 24), max_bytes=10_000, max_pixels=max_pixels)


def test_every_size_is_made_from_the_image_itself() -> None:
    found = look(half_bright())
    assert (found.width, found.height, found.fault) == (16, 16, ("", ""))
    assert found.views is not None
    pixels = decode_bytes(half_bright(), "a")
    for size in (8, 24):
        assert np.array_equal(found.views[size], squash(pixels, size))


def test_the_header_tells_the_pixels() -> None:
    assert pixels_of(grey(1, side=30)) == 900
    assert pixels_of(b"no image") == 0
    assert pixels_of(b"") == 0


def test_large_images_are_decoded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = threading.Lock()

    def noting(content: bytes, name: str, *, max_pixels: int | None = None) -> Pixels:
        assert alone.acquire(blocking=False)
        time.sleep(0.02)
        return decode_bytes(content, name, max_pixels=max_pixels)

    def done(pixels: Pixels, size: int) -> Pixels:
        if size == 24:  # until the last view is made, the large pixels are there
            alone.release()
        return squash(pixels, size)

    monkeypatch.setattr(decoding, "_LARGE", 300)
    monkeypatch.setattr(decoding, "decode_bytes", noting)
    monkeypatch.setattr(decoding, "squash", done)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(look, [grey(value, side=20) for value in (1, 2, 3)]))
    assert [each.width for each in found] == [20] * 3


def test_others_are_decoded_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(3, timeout=20)

    def waiting(content: bytes, name: str, *, max_pixels: int | None = None) -> Pixels:
        together.wait()  # fails unless all three are here
        return decode_bytes(content, name, max_pixels=max_pixels)

    monkeypatch.setattr(decoding, "decode_bytes", waiting)
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(look, [grey(value) for value in (1, 2, 3)]))
    assert [each.width for each in found] == [16] * 3
