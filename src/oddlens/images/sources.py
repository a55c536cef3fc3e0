"""Where images come from: every kind of input becomes an ``ImageSource``, read one at a time."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from oddlens.errors import DataError, ImageError, UsageError
from oddlens.images.decode import decode, picture_to_rgb
from oddlens.images.files import find_images, without
from oddlens.images.pixels import Pixels, channel_axis, refuse_bad_floats, to_rgb

if TYPE_CHECKING:
    from typing import TypeGuard

    import torch
    from torch.utils.data import Dataset


@runtime_checkable
class ImageSource(Protocol):
    """A row of images, read one at a time; ``read`` may be called from several threads."""

    def __len__(self) -> int:
        """Give the number of images."""
        ...

    def name(self, index: int) -> str:
        """Give the path of an image, or ``"image 17"`` for an item of an array."""
        ...

    def read(self, index: int) -> Pixels:
        """Give one image as uint8 (H, W, 3).

        Raises:
            ImageError: this image cannot be used; others may be.
        """
        ...


ImagesLike: TypeAlias = (
    "str | Path | Sequence[str | Path] | NDArray[Any] | torch.Tensor | Dataset[Any] | ImageSource"
)


class PathSource:
    """Image files, decoded when read.

    Args:
        paths: the files; names are these paths as given.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, index: int) -> str:
        """Give the path, as given."""
        return str(self.paths[index])

    def read(self, index: int) -> Pixels:
        """Decode one file; see ``decode``."""
        return decode(self.paths[index])


class ArraySource:
    """Images in memory (or in a memory map).

    Args:
        images: (N, H, W), (N, H, W, C) or (N, C, H, W) with C = 1 or 3; uint8, uint16
            (0..65535), bool, or float in [0, 1].
        channels_first: how to read a shape that fits both layouts: True for tensors.

    Raises:
        DataError: no images, another shape or type, NaN, or float values outside [0, 1]. The
            whole array is looked at, one image at a time, because a wrong scale is a property
            of an array, not of one image in it.
    """

    def __init__(self, images: NDArray[Any], *, channels_first: bool = False) -> None:
        _refuse_shape(images.shape, channels_first)
        to_rgb(images[0], self.name(0), channels_first=channels_first)
        if images.dtype.kind == "f":
            for index, image in enumerate(images):
                refuse_bad_floats(image, self.name(index))
        self.images = images
        self._channels_first = channels_first

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        """Give ``"image <index>"``."""
        return f"image {index}"

    def read(self, index: int) -> Pixels:
        """Give one image as uint8 (H, W, 3)."""
        return to_rgb(self.images[index], self.name(index), channels_first=self._channels_first)


class DatasetSource:
    """A torch ``Dataset``, or any sequence, whose items are images or ``(image, label)``.

    An image is a Pillow image, an array or a tensor as for ``ArraySource`` without the N. Items
    are fetched one at a time even when several threads read: data sets are written for worker
    processes and often share a file handle. Labels are not used.

    Args:
        items: anything with a length and integer indexing.

    Raises:
        DataError: no items, or no length.
    """

    def __init__(self, items: Dataset[Any] | Sequence[Any]) -> None:
        length = getattr(items, "__len__", None)
        if length is None:
            raise DataError(f"{type(items).__name__} has no length: use a data set with one")
        if length() == 0:
            raise DataError(f"no images: the {type(items).__name__} is empty")
        self.items: Any = items
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.items)

    def name(self, index: int) -> str:
        """Give ``"image <index>"``."""
        return f"image {index}"

    def read(self, index: int) -> Pixels:
        """Fetch one item as uint8 (H, W, 3); ImageError where it is no image."""
        name = self.name(index)
        try:
            with self._lock:
                item = self.items[index]
                if isinstance(item, tuple | list) and item:
                    item = item[0]
                if isinstance(item, Image.Image):
                    return picture_to_rgb(item, name)
        except OSError as error:  # a data set that reads files itself; other errors are its bugs
            raise ImageError(name, f"cannot be read ({error})") from error
        if _is_tensor(item):
            return to_rgb(_to_numpy(item), name, channels_first=True)
        if isinstance(item, np.ndarray):
            return to_rgb(item, name)
        kind = type(item).__name__
        raise ImageError(name, f"is of type {kind}; use an array, a tensor or a Pillow image")


def open_source(images: ImagesLike, *, exclude: Sequence[str | Path] = ()) -> ImageSource:
    """Make an ``ImageSource`` of whatever the user has.

    Args:
        images: a folder (searched recursively, natural order, hidden files skipped), a file, a
            glob, a list of these, an array, a tensor, a torch ``Dataset``, or an ``ImageSource``,
            which is returned as it is.
        exclude: files and folders to leave out, where ``images`` names files.

    Returns:
        The source, never empty.

    Raises:
        DataError: nothing is there, or an array's shape, type or range is wrong.
        UsageError: ``images`` is of a type that holds no images.
    """
    if isinstance(images, str | Path):
        return _paths(images, exclude)
    if isinstance(images, np.ndarray):
        return ArraySource(images)
    if _is_tensor(images):
        return ArraySource(_to_numpy(images), channels_first=True)
    if isinstance(images, ImageSource):
        if len(images) == 0:
            raise DataError(f"no images: the {type(images).__name__} is empty")
        return images
    if isinstance(images, list | tuple) and all(isinstance(i, str | os.PathLike) for i in images):
        return _paths(images, exclude)
    if hasattr(images, "__getitem__"):
        items: Any = images
        return DatasetSource(items)
    kind = type(images).__name__
    raise UsageError(f"images of type {kind}: use a path, a list, an array, a tensor or a Dataset")


def _paths(where: str | Path | Sequence[str | Path], exclude: Sequence[str | Path]) -> PathSource:
    found = find_images(where)
    kept = without(found, exclude)
    if not kept:
        raise DataError(f"no images in {where}: all {len(found)} are excluded")
    return PathSource(kept)


def _is_tensor(item: object) -> TypeGuard[torch.Tensor]:
    """Whether it is a tensor; where torch was never imported, nothing is, and it stays away."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(item, torch.Tensor)


def _to_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    import torch

    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:  # numpy has no such type
        tensor = tensor.float()
    array: NDArray[Any] = tensor.numpy()
    return array


def _refuse_shape(shape: tuple[int, ...], channels_first: bool) -> None:
    """Raise DataError unless ``shape`` is a batch of images."""
    if len(shape) not in (3, 4):
        raise DataError(
            f"an array of images has shape {shape}; use (N, H, W), (N, H, W, C) or (N, C, H, W)"
        )
    if shape[0] == 0:
        raise DataError(f"no images: the array has shape {shape}")
    # (H, W, 3) read as H grey images of width 3 would train on rubbish without a word
    looks_single = shape[-1] in (3, 4) or (channels_first and shape[0] in (1, 3))
    if len(shape) == 3 and looks_single:
        raise DataError(
            f"an array of shape {shape} looks like one image, not a row of them: "
            "give images[None] for one image, images[:, None] for grey ones"
        )
    channel_axis(shape[1:], channels_first=channels_first, name="image 0")
