"""Labelled data sets on disk in the layout of MVTec AD, and their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddlens.errors import DataError
from oddlens.images.decode import open_picture, picture_to_rgb
from oddlens.images.files import LOOKED_FOR, list_images

GOOD = "good"


@dataclass(frozen=True)
class TestImage:
    """One labelled test image.

    Attributes:
        path: the image file.
        is_anomaly: False for ``test/good``.
        defect: the name of its folder below ``test``.
        mask: the file that marks the defect, where there is one; None for normal images.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    path: Path
    is_anomaly: bool
    defect: str
    mask: Path | None


@dataclass(frozen=True)
class DatasetLayout:
    """The files of one data set.

    Attributes:
        root: its folder.
        train: normal images for training, natural order; empty without a folder ``train``.
        test: labelled images, normal ones first, then defect by defect in natural order.
    """

    root: Path
    train: list[Path]
    test: list[TestImage]


def read_layout(root: str | Path) -> DatasetLayout:
    """Find the images and masks of a data set in MVTec's layout.

    ``train/good`` (may be missing where only evaluation is wanted), ``test/good``,
    ``test/<defect>`` and ``ground_truth/<defect>`` with ``<stem>_mask.png`` or ``<stem>.png``
    (any image ending). A test image without a mask has ``mask=None``.

    Args:
        root: the data set's folder.

    Raises:
        DataError: a folder is missing or holds no images, named in the message.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    if not (root / "test").is_dir():
        raise DataError(f"{root}: no folder test; expected test/good, test/<defect>, ground_truth")
    defects = defect_folders(root)
    if not defects:
        raise DataError(f"{root}: no folder test/<defect> with anomalous images beside test/good")
    train = _images(root / "train" / GOOD) if (root / "train").is_dir() else []
    test = [TestImage(path, False, GOOD, None) for path in _images(root / "test" / GOOD)]
    for defect in defects:
        masks = find_masks(root, _images(root / "test" / defect), defect)
        test += [TestImage(path, True, defect, mask) for path, mask in masks.items()]
    return DatasetLayout(root, train, test)


def defect_folders(root: Path) -> list[str]:
    """Name the folders below ``test``, without ``good`` and hidden ones."""
    found = (path.name for path in (root / "test").iterdir() if path.is_dir())
    return sorted(name for name in found if name != GOOD and not name.startswith("."))


def find_masks(root: Path, images: Sequence[Path], defect: str) -> dict[Path, Path | None]:
    """Map the images below ``test/<defect>`` to their masks below ``ground_truth/<defect>``.

    Of masks that differ in the ending only, the PNG counts: it is lossless for certain.
    """
    folder = root / "ground_truth" / defect
    masks: dict[Path, Path] = {}
    if folder.is_dir():
        png_last = sorted(list_images(folder), key=lambda path: path.suffix.lower() == ".png")
        masks = {path.relative_to(folder).with_suffix(""): path for path in png_last}
    found: dict[Path, Path | None] = {}
    for image in images:
        place = image.relative_to(root / "test" / defect).with_suffix("")
        found[image] = masks.get(place.with_name(f"{place.name}_mask")) or masks.get(place)
    return found


def _images(folder: Path) -> list[Path]:
    found = list_images(folder) if folder.is_dir() else None
    if found is None:
        raise DataError(f"{folder}: no such folder")
    if not found:
        raise DataError(f"no images in {folder}: looked for {LOOKED_FOR}")
    return found


def read_mask(path: str | Path, image_size: tuple[int, int] | None) -> NDArray[np.bool_]:
    """Read a mask: every value above 0 is defect, as MVTec's own evaluation has it.

    Args:
        path: the mask file, of any kind that ``decode`` reads; 0/1 and 0/255 both work.
        image_size: (height, width) that it must have; None for any.

    Returns:
        bool (H, W), True on the defect.

    Raises:
        DataError: the file cannot be read, or its size is not its image's.
    """
    mask: NDArray[np.bool_] = mask_values(path) > 0
    if image_size is not None and mask.shape != tuple(image_size):
        height, width = mask.shape
        raise DataError(
            f"{path}: the mask is {width} x {height} pixels, "
            f"but its image is {image_size[1]} x {image_size[0]}"
        )
    return mask


def mask_values(path: str | Path) -> NDArray[Any]:
    """Read a mask's own values (H, W): 16-bit and float unscaled, of colours the brightest."""
    with open_picture(path) as picture:
        values: NDArray[Any] = np.array(picture)
        if picture.mode in ("1", "L", "I", "F") or values.dtype.itemsize == 2:
            return values
        brightest: NDArray[Any] = picture_to_rgb(picture, str(path)).max(axis=2)
        return brightest
