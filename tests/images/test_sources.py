from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from oddlens.errors import DataError, ImageError, UsageError
from oddlens.images import ArraySource, DatasetSource, ImageSource, PathSource, open_source

RGB = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)


def everything(source: ImageSource) -> np.ndarray:
    return np.stack([source.read(index) for index in range(len(source))])


def test_a_folder_a_glob_a_list_and_one_file(tmp_path: Path) -> None:
    for index, pixels in enumerate(RGB):
        Image.fromarray(pixels).save(tmp_path / f"{index + 8}.png")
    for images in (tmp_path, str(tmp_path), f"{tmp_path}/*.png", sorted(tmp_path.iterdir())):
        source = open_source(images)
        assert isinstance(source, PathSource)
        assert len(source) == 4
    np.testing.assert_array_equal(everything(open_source(tmp_path)), RGB)
    one = open_source(tmp_path / "10.png")
    np.testing.assert_array_equal(one.read(0), RGB[2])
    assert one.name(0) == str(tmp_path / "10.png")
    assert len(open_source(tmp_path, exclude=[tmp_path / "9.png"])) == 3
    with pytest.raises(DataError, match="all 4 are excluded"):
        open_source(tmp_path, exclude=[tmp_path])


LAYOUTS: dict[str, Callable[[np.ndarray], Any]] = {
    "array, channels last": lambda a: a,
    "array, channels first": lambda a: a.transpose(0, 3, 1, 2),
    "float64": lambda a: a / 255,
    "float32": lambda a: (a / 255).astype(np.float32),
    "float16": lambda a: (a / 255).astype(np.float16),
    "uint16": lambda a: a.astype(np.uint16) * 257,
    "tensor, channels first": lambda a: torch.from_numpy(a).permute(0, 3, 1, 2),
    "tensor, channels last": torch.from_numpy,
    "float tensor with gradient": lambda a: (torch.from_numpy(a) / 255).requires_grad_(),
    "tensors in a data set": lambda a: TensorDataset(torch.from_numpy(a).permute(0, 3, 1, 2)),
    "with labels": lambda a: TensorDataset(torch.from_numpy(a), torch.arange(len(a))),
    "list of arrays": list,
    "list of pictures": lambda a: [Image.fromarray(one) for one in a],
    "an image source": ArraySource,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_kind_of_input_gives_the_same_pixels(layout: str) -> None:
    source = open_source(LAYOUTS[layout](RGB))
    np.testing.assert_array_equal(everything(source), RGB)
    assert source.name(3) == "image 3"


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, min_side=4, max_side=8)))
def test_grey_batches_of_any_shape(grey: np.ndarray) -> None:
    wanted = np.stack([grey] * 3, axis=3)
    # a width of 4 looks like (H, W, RGBA) and is refused below
    batches: list[Any] = [grey[..., None], grey[:, None], torch.from_numpy(grey)[:, None]]
    if grey.shape[2] != 4:
        batches += [grey, torch.from_numpy(grey)]
    for images in batches:
        np.testing.assert_array_equal(everything(open_source(images)), wanted)


@given(
    hnp.arrays(np.float64, (2, 4, 5, 3), elements=st.floats(-0.5, 1.5)),
)
def test_float_arrays_are_taken_within_0_and_1_and_refused_outside(images: np.ndarray) -> None:
    if images.min() >= 0 and images.max() <= 1:
        np.testing.assert_allclose(everything(open_source(images)) / 255, images, atol=0.5 / 255)
    elif images.min() < -1e-4 or images.max() > 1 + 1e-4:
        with pytest.raises(DataError, match=r"^image [01]: has float pixels from"):
            open_source(images)


def test_bfloat16_tensors_are_read() -> None:
    images = torch.ones(2, 3, 4, 5, dtype=torch.bfloat16)
    assert (everything(open_source(images)) == 255).all()


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((5,)), r"shape \(5,\); use \(N, H, W\)"),
        (np.zeros((5, 6)), r"shape \(5, 6\)"),
        (np.zeros((0, 5, 6)), r"no images: the array has shape \(0, 5, 6\)"),
        (np.zeros((2, 0, 6)), "no pixels"),
        (np.zeros((2, 5, 6, 4)), "1 or 3 channels"),
        (np.zeros((2, 1, 5, 6, 3)), r"shape \(2, 1, 5, 6, 3\)"),
        (np.zeros((50, 60, 3)), r"looks like one image.*images\[None\]"),
        (torch.zeros(3, 50, 60), r"looks like one image.*images\[None\]"),
        (np.zeros((2, 5, 6), dtype=np.int64), "image 0: has pixels of type int64"),
        (np.array([[["a"] * 5] * 4]), "of type <U1"),
        (np.full((2, 5, 6), np.nan), "image 0: has pixels that are NaN"),
        (np.stack([np.zeros((5, 6)), np.full((5, 6), 255.0)]), "image 1: .*from 255 to 255"),
        ([], "list of paths is empty"),
        (TensorDataset(torch.zeros(0, 3, 4, 4)), "TensorDataset is empty"),
    ],
)
def test_what_cannot_be_images_is_refused_at_once(images: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        open_source(images)


def test_what_holds_no_images_is_a_wrong_call() -> None:
    class Endless(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            yield RGB[0]

    for images in (7, None, {1, 2}):
        with pytest.raises(UsageError, match="images of type"):
            open_source(images)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="Endless has no length"):
        open_source(Endless())


class Files(Dataset[Any]):
    """A data set that opens files itself, as many do."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        return Image.open(self.paths[index]), 0


def test_a_data_set_of_files_loads_lazily_and_may_hold_bad_ones(tmp_path: Path) -> None:
    good, bad = tmp_path / "a.png", tmp_path / "b.png"
    Image.fromarray(RGB[0]).save(good)
    bad.write_text("no image")
    cut = tmp_path / "c.png"
    cut.write_bytes(good.read_bytes()[:-60])
    source = open_source(Files([good, bad, cut]))
    np.testing.assert_array_equal(source.read(0), RGB[0])
    for index in (1, 2):
        with pytest.raises(ImageError, match=f"^image {index}: cannot be read"):
            source.read(index)


def test_a_data_set_is_asked_by_one_thread_at_a_time() -> None:
    class Shared(Dataset[Any]):
        asked = 0

        def __len__(self) -> int:
            return 32

        def __getitem__(self, index: int) -> Any:
            self.asked += 1
            time.sleep(0.001)  # long enough for another thread to come in
            assert self.asked == 1
            self.asked -= 1
            return RGB[0]

    source = open_source(Shared())
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(source.read, range(32)))) == 32


def test_an_item_that_is_no_image_is_named() -> None:
    source = DatasetSource([RGB[0], {"image": RGB[0]}, np.full((4, 5), 2.0)])
    with pytest.raises(ImageError, match="image 1: is of type dict"):
        source.read(1)
    with pytest.raises(ImageError, match=r"image 2: .*from 2 to 2"):
        source.read(2)


def test_an_image_source_passes_through() -> None:
    source = ArraySource(RGB)
    assert open_source(source) is source
