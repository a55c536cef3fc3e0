"""The ground-truth masks of a test set, read when asked for, and paired with anomaly maps."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from oddlens.errors import ImageError
from oddlens.evaluation.pixels import MapAndMask, Mask

if TYPE_CHECKING:
    from oddlens.images import TestImage

_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap height and width
_FAULTS = (
    *(ArithmeticError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error),
    Image.DecompressionBombError,
)


class Masks(Sequence["Mask | None"]):
    """One mask an image, bool (H, W) at the image's own size, true = anomalous.

    A normal image's mask is all false; an anomalous image without a mask file gives None.
    Nothing is kept in memory.

    Args:
        images: the images, in the order of the predictions.
        resolution: side of the square that masks are resized to (nearest pixel), or None.
    """

    def __init__(self, images: Sequence[TestImage], resolution: int | None = None) -> None:
        self._images = list(images)
        self._resolution = resolution

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> Mask | None: ...
    @overload
    def __getitem__(self, index: slice) -> Masks: ...
    def __getitem__(self, index: int | slice) -> Mask | Masks | None:
        from oddlens.images import read_mask

        if isinstance(index, slice):
            return Masks(self._images[index], self._resolution)
        image = self._images[index]
        square = None if self._resolution is None else (self._resolution, self._resolution)
        if not image.is_anomaly:
            return np.zeros(square or image_size(image.path), dtype=np.bool_)
        if image.mask is None:
            return None
        mask = read_mask(image.mask, image_size(image.path))
        if square is None or mask.shape == square:
            return mask
        picture = Image.fromarray(mask.astype(np.uint8))
        resized: Mask = np.asarray(picture.resize(square, Image.Resampling.NEAREST)) > 0
        return resized


class MapPairs(Sequence[MapAndMask]):
    """Maps beside masks, for the pixel metrics; both are read one at a time.

    Args:
        maps: maps (H, W) float32.
        masks: a mask for each map.
        indices: which of them to pair.
    """

    def __init__(
        self, maps: Sequence[NDArray[np.float32]], masks: Masks, indices: Sequence[int]
    ) -> None:
        self._maps = maps
        self._masks = masks
        self._indices = list(indices)

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> MapAndMask: ...
    @overload
    def __getitem__(self, index: slice) -> MapPairs: ...
    def __getitem__(self, index: int | slice) -> MapAndMask | MapPairs:
        if isinstance(index, slice):
            return MapPairs(self._maps, self._masks, self._indices[index])
        place = self._indices[index]
        return self._maps[place], self._masks[place]


def check_masks(images: Iterable[TestImage]) -> None:
    """Read every mask once, so that a wrong one is found before hours of scoring, not after.

    Images that cannot be read are passed over: scoring skips and counts them.

    Raises:
        DataError: a mask cannot be read, or its size is not its image's.
    """
    from oddlens.images import read_mask

    for image in images:
        if image.mask is not None:
            try:
                size = image_size(image.path)
            except ImageError:
                continue
            read_mask(image.mask, size)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image file as it is shown (EXIF rotation applied), from its header.

    Raises:
        ImageError: the header cannot be read.
    """
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            with suppress(*_FAULTS):  # a broken EXIF block says nothing about the pixels
                if picture.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS:
                    width, height = height, width
    except _FAULTS as error:
        raise ImageError(str(path), "its header cannot be read") from error
    return height, width
