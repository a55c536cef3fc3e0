"""One pass over a folder's files, keeping a few facts about each and no pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from oddlens.errors import ImageError
from oddlens.images.cache import is_grey
from oddlens.images.decode import open_picture, picture_to_rgb
from oddlens.images.files import is_image_name, list_files
from oddlens.images.layout import mask_values
from oddlens.images.lookahead import default_workers, map_ahead

Progress = Callable[[str, int, int], None]
Facts = TypeVar("Facts")

_DARKEST_12_BIT = 16  # 4095 of 65535, in 8 bits


@dataclass(frozen=True)
class ImageFacts:
    """A readable image: what the rules need of it."""

    path: Path
    height: int
    width: int
    is_grey: bool
    is_flat: bool
    looks_12_bit: bool
    digest: bytes


@dataclass(frozen=True)
class MaskFacts:
    """A readable mask: what the rules need of it."""

    path: Path
    height: int
    width: int
    is_empty: bool
    levels: int


@dataclass(frozen=True)
class Scan:
    """Everything that was seen.

    Attributes:
        root: the folder.
        is_mvtec: whether it is in MVTec's layout.
        files: every file that is not hidden, in natural order.
        images: those that are images, without masks.
        masks: those that are masks.
        readable: facts of the images that decode, in order.
        unreadable: the others' errors.
        readable_masks: facts of the masks that decode, by path.
        unreadable_masks: the others' errors.
    """

    root: Path
    is_mvtec: bool
    files: Sequence[Path]
    images: Sequence[Path]
    masks: Sequence[Path]
    readable: list[ImageFacts] = field(default_factory=list)
    unreadable: list[ImageError] = field(default_factory=list)
    readable_masks: dict[Path, MaskFacts] = field(default_factory=dict)
    unreadable_masks: list[ImageError] = field(default_factory=list)

    def relative(self, path: str | Path) -> str:
        """Name a path as seen from the root, with forward slashes."""
        return Path(path).relative_to(self.root).as_posix()

    def part(self, image: ImageFacts) -> str:
        """Give ``"train"``, ``"test"`` or another top folder; empty in a plain folder."""
        return image.path.relative_to(self.root).parts[0] if self.is_mvtec else ""


def scan_folder(root: Path, progress: Progress | None) -> Scan:
    """Read every image and mask below a folder once, in threads."""
    files = list_files(root)
    pictures = [path for path in files if is_image_name(path)]
    is_mvtec = (root / "test").is_dir() or (root / "train").is_dir()
    masks = [path for path in pictures if is_mvtec and root / "ground_truth" in path.parents]
    are_masks = set(masks)
    images = [path for path in pictures if path not in are_masks]
    scan = Scan(root, is_mvtec, files, images, masks)
    for facts in _look(_look_at_image, images, "checking images", progress):
        if isinstance(facts, ImageError):
            scan.unreadable.append(facts)
        else:
            scan.readable.append(facts)
    for found in _look(_look_at_mask, masks, "checking masks", progress):
        if isinstance(found, ImageError):
            scan.unreadable_masks.append(found)
        else:
            scan.readable_masks[found.path] = found
    return scan


def _look(
    look: Callable[[Path], Facts], paths: Sequence[Path], phase: str, progress: Progress | None
) -> list[Facts | ImageError]:
    def try_to(path: Path) -> Facts | ImageError:
        try:
            return look(path)
        except ImageError as error:
            # its cause holds on to the decoder's state, which a long list must not
            return ImageError(error.name, error.reason)

    seen: list[Facts | ImageError] = []
    with closing(map_ahead(try_to, paths, ahead=2 * default_workers())) as results:
        for done, result in enumerate(results, start=1):
            seen.append(result)
            if progress is not None:
                progress(phase, done, len(paths))
    return seen


def _look_at_image(path: Path) -> ImageFacts:
    with open_picture(path) as picture:
        pixels = picture_to_rgb(picture, str(path))
        is_deep = picture.mode.startswith("I")
    height, width, _ = pixels.shape
    brightest = int(pixels.max())
    shape = np.array([height, width], dtype=np.int64).tobytes()
    return ImageFacts(
        path=path,
        height=height,
        width=width,
        is_grey=is_grey(pixels),
        is_flat=bool((pixels == pixels[0, 0]).all()),
        looks_12_bit=is_deep and 0 < brightest <= _DARKEST_12_BIT,
        digest=hashlib.blake2b(shape + pixels.tobytes(), digest_size=16).digest(),
    )


def _look_at_mask(path: Path) -> MaskFacts:
    values = mask_values(path)
    height, width = values.shape
    return MaskFacts(path, height, width, not (values > 0).any(), len(np.unique(values)))
