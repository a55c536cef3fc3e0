"""Images are known by their pixels: whatever their names, sizes of models, or places."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oddlens.errors import ArtifactError, DataError
from oddlens.images import DigestWatch, ImageCache, KnownImages, Skipped, digests_of, open_source
from oddlens.images.known import digest


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 6, 9, 3)).astype(np.uint8)


def test_a_digest_tells_pixels_and_shapes_apart() -> None:
    one, other = pictures(2)
    assert digest(one) == digest(one.copy())
    assert digest(one) != digest(other)
    assert digest(one) != digest(one.reshape(9, 6, 3))
    changed = one.copy()
    changed[3, 3, 1] ^= 1
    assert digest(one) != digest(changed)


def test_files_and_arrays_have_the_same_digests(tmp_path: Path) -> None:
    images = pictures(3)
    for index, pixels in enumerate(images):
        Image.fromarray(pixels).save(tmp_path / f"{2 - index}.png")
    (tmp_path / "1a.png").write_bytes(b"")
    skipped: list[Skipped] = []
    told: list[tuple[int, int]] = []
    found = digests_of(
        open_source(tmp_path),
        on_bad="skip",
        skipped=skipped,
        progress=lambda *each: told.append(each),
    )
    assert found == {0: digest(images[2]), 1: digest(images[1]), 3: digest(images[0])}
    assert [Path(each.name).name for each in skipped] == ["1a.png"]
    assert told[-1] == (4, 4)
    with pytest.raises(DataError, match=r"1 of 4 images cannot be used: .*1a\.png"):
        digests_of(
            open_source(tmp_path), on_bad="raise", skipped=[], progress=lambda done, total: None
        )


def test_a_watch_notes_what_is_read_at_any_size() -> None:
    images = pictures(4)
    watch = DigestWatch(open_source(images))
    cache = ImageCache.load(watch, 5, on_bad="raise")
    assert watch.of(cache.subset([1, 3]).source_indices) == {digest(images[1]), digest(images[3])}
    assert (len(watch), watch.name(2)) == (4, "image 2")


def test_known_images_survive_json() -> None:
    known = KnownImages(frozenset({"0" * 16, "f" * 16}), frozenset({"1" * 16}))
    assert KnownImages.from_json(known.to_json()) == known
    for damaged in ({}, {"trained": ["0" * 15], "tuned": []}, {"trained": 3, "tuned": []}):
        with pytest.raises(ArtifactError, match="list of known images is damaged"):
            KnownImages.from_json(damaged)
