from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import oddlens.images.memory
from oddlens.errors import DataError, ImageError, UsageError
from oddlens.images import ArraySource, ImageCache, Skipped, open_source, prepare, stream
from oddlens.images.memory import available_memory

RGB = np.random.default_rng(0).integers(0, 256, (7, 6, 9, 3), dtype=np.uint8)
ONE = 8 * 8 * 3  # bytes of an image at the size used here


def room_for(monkeypatch: pytest.MonkeyPatch, images: int) -> None:
    """Let a quarter of the memory hold so many images."""
    monkeypatch.setattr("oddlens.images.cache.available_memory", lambda: 4 * images * ONE)


@pytest.fixture(params=[0, 3, 7, 100])
def cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> ImageCache:
    room_for(monkeypatch, request.param)
    cache = ImageCache.load(ArraySource(RGB), 8, on_bad="raise")
    assert cache.count_in_memory == min(request.param, 7)
    return cache


def test_any_draw_gives_the_images_whether_kept_or_not(cache: ImageCache) -> None:
    indices = [6, 0, 3, 3, 5]
    batch = cache.batch(indices)
    wanted = np.stack([prepare(RGB[index], 8) for index in indices]).astype(np.float32)
    np.testing.assert_array_equal(batch.numpy(), wanted / np.float32(255))
    assert batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)
    batch.zero_()  # the caller's own
    np.testing.assert_array_equal(cache.batch(indices).numpy(), wanted / np.float32(255))
    assert cache.batch([]).shape == (0, 3, 8, 8)


def test_training_and_scoring_see_the_same_numbers(cache: ImageCache) -> None:
    (batch,) = stream(ArraySource(RGB), 8, 10, on_bad="raise")
    assert torch.equal(batch.images, cache.batch(range(7)))


def test_a_subset_is_a_view(cache: ImageCache) -> None:
    part = cache.subset([5, 1, 6]).subset([2, 0])
    assert len(part) == 2
    assert part.names == ["image 6", "image 5"]
    assert part.source_indices == [6, 5]
    assert torch.equal(part.batch([1, 0]), cache.batch([5, 6]))
    assert np.shares_memory(part._pixels, cache._pixels) or cache.count_in_memory == 0


@pytest.mark.parametrize(
    ("most", "chosen"), [(0, []), (1, [0]), (3, [0, 2, 4]), (5, [0, 1, 2, 4, 5])]
)
def test_a_sample_is_spread_over_all(cache: ImageCache, most: int, chosen: list[int]) -> None:
    sample = cache.evenly(most)
    assert len(sample) == len(chosen)
    if chosen:
        assert torch.equal(sample.batch(range(len(sample))), cache.batch(chosen))
    assert len(cache.evenly(100)) == len(cache)


def test_an_index_out_of_range_is_an_error(cache: ImageCache) -> None:
    with pytest.raises(IndexError):
        cache.subset([1, 2]).batch([2])


@pytest.mark.parametrize("room", [0, 100])
def test_grey_means_every_image_is(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    room_for(monkeypatch, room)
    mixed = [RGB[0], RGB[1][:, :, 0], RGB[2][:, :, 0]]
    cache = ImageCache.load(open_source(mixed), 8, on_bad="raise")
    assert not cache.is_grey
    assert cache.subset([1, 2]).is_grey
    assert not cache.subset([0]).is_grey


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five good files and twelve bad ones."""
    for index in range(5):
        Image.fromarray(RGB[index]).save(tmp_path / f"good{index}.png")
    for index in range(12):
        (tmp_path / f"bad{index}.png").touch()
    return tmp_path


def test_bad_images_are_refused_together_ten_by_name(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        ImageCache.load(open_source(folder), 8, on_bad="raise")
    message = str(caught.value)
    assert message.startswith("12 of 17 images cannot be used: ")
    assert all(f"bad{index}.png is empty (0 bytes)" in message for index in range(10))
    assert "bad10.png" not in message
    assert "and 2 more" in message
    assert "--on-bad skip" in message


@pytest.mark.parametrize("room", [0, 2, 100])
def test_bad_images_can_be_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    room_for(monkeypatch, room)
    skipped: list[Skipped] = []
    cache = ImageCache.load(open_source(folder), 8, on_bad="skip", skipped=skipped)
    assert [Path(name).name for name in cache.names] == [f"good{index}.png" for index in range(5)]
    assert cache.source_indices == list(range(12, 17))
    assert [Path(item.name).name for item in skipped] == [f"bad{index}.png" for index in range(12)]
    wanted = np.stack([prepare(RGB[index], 8) for index in range(5)])
    np.testing.assert_array_equal((cache.batch(range(5)) * 255).round().numpy(), wanted)


def test_nothing_but_bad_images_is_refused_even_when_skipping(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(DataError, match=r"^not one of 1 images .*a\.png is empty"):
        ImageCache.load(open_source(tmp_path), 8, on_bad="skip")


def test_a_file_that_goes_bad_later_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room_for(monkeypatch, 0)
    Image.fromarray(RGB[0]).save(tmp_path / "a.png")
    cache = ImageCache.load(open_source(tmp_path), 8, on_bad="raise")
    (tmp_path / "a.png").unlink()
    with pytest.raises(ImageError, match=r"a\.png: no such file"):
        cache.batch([0])


def test_progress_counts_every_image(folder: Path) -> None:
    calls: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        calls.append((done, total))

    ImageCache.load(open_source(folder), 8, on_bad="skip", progress=note)
    assert calls == [(done, 17) for done in range(1, 18)]


def test_wrong_calls_are_refused() -> None:
    source = ArraySource(RGB)
    with pytest.raises(UsageError, match="memory_share is 2"):
        ImageCache.load(source, 8, on_bad="skip", memory_share=2)
    with pytest.raises(UsageError, match="size is 0"):
        ImageCache.load(source, 0, on_bad="skip")
    with pytest.raises(UsageError, match="on_bad is 'never'"):
        ImageCache.load(source, 8, on_bad="never")  # type: ignore[arg-type]


def test_available_memory_is_positive_and_less_than_there_is() -> None:
    assert 2**20 < available_memory() < 2**50


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"memory.max": "1000\n", "memory.current": "700\n"}, 300),
        (
            {
                "memory.max": "1000",
                "memory.current": "700",
                "memory.stat": "anon 5\ninactive_file 200\n",
            },
            500,
        ),
        ({"memory.max": "max\n", "memory.current": "700\n"}, None),
        ({"memory/memory.limit_in_bytes": "90", "memory/memory.usage_in_bytes": "60"}, 30),
        ({}, None),
    ],
)
def test_a_container_s_limit_counts(
    tmp_path: Path, files: dict[str, str], wanted: int | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    left = oddlens.images.memory._container(tmp_path)
    if wanted is None:
        assert left > 2**60
    else:
        assert left == wanted
