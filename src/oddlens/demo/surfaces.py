"""The data set of ``oddlens demo``: crops of one real photograph, some with defects we make.

The photographs are the ones that lie inside the scikit-image wheel, so nothing is downloaded.
Each is cut in two: training crops come from the left part only, test crops (normal and
defective) from the right part only, so no pixel of the photograph is in both. Every crop is
mirrored left-right or not by a coin toss, which makes the two parts of a photograph taken in
perspective (``brick``) look alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from oddlens.demo.defects import DEFECTS, Grey, add_defect
from oddlens.demo.whole import README, made_whole
from oddlens.errors import UsageError

Surface: TypeAlias = Literal["brick", "gravel", "grass"]
SURFACES: tuple[str, ...] = get_args(Surface)

# A quarter of the 512-pixel photographs: several bricks or some dozen stones in every crop.
CROP = 128
# The share of the photograph's width that training crops come from. Test crops need at least
# CROP columns; the larger training part gets what is left beyond some room to move.
TRAIN_SHARE = 0.6
# Illumination differs a little from crop to crop, as it does between real exposures.
_GAIN = 0.04

_README = """{marker}

Normal images are crops of one photograph, skimage.data.{surface}() (CC0), which comes with
scikit-image. Training crops lie left of column {border}, test crops at or right of it: they
share no pixel.

THE DEFECTS ARE MADE, NOT FOUND. Each image under test/<defect> is a test crop to which one
defect was added by a program:

{kinds}

Every third defect is subtle, every third of medium strength, every third strong. Each mask in
ground_truth marks the pixels that changed by more than {tolerance} of 255 grey levels, with
gaps and holes inside the defect filled.

Use it to see oddlens at work, not to compare methods: made defects are easier to describe, and
often easier to find, than real ones.
"""


@dataclass(frozen=True)
class Region:
    """Columns of a photograph, ``left`` included and ``right`` not."""

    left: int
    right: int


def regions(width: int) -> tuple[Region, Region]:
    """Where training and test crops of a photograph may lie.

    Args:
        width: of the photograph, in pixels.

    Returns:
        The training region and the test region; they do not overlap.
    """
    border = min(round(width * TRAIN_SHARE), width - CROP)
    return Region(0, border), Region(border, width)


def photograph(name: str) -> Grey:
    """Read one of scikit-image's own photographs, in grey.

    Args:
        name: of a function of ``skimage.data`` whose file is inside the wheel.

    Returns:
        uint8 ``(H, W)``.
    """
    from skimage import data

    pixels = getattr(data, name)()
    return np.asarray(Image.fromarray(pixels).convert("L"))


def crops(picture: Grey, region: Region, count: int, size: int, seed: list[int]) -> Iterator[Grey]:
    """Cut crops of ``CROP`` pixels at random places of a region.

    Args:
        picture: uint8 ``(H, W)``.
        region: the columns to stay within.
        count: how many.
        size: the side that each crop is resampled to, in pixels.
        seed: of the random places; the same seed gives the same crops.

    Yields:
        uint8 ``(size, size)``.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        top = int(rng.integers(0, picture.shape[0] - CROP + 1))
        left = int(rng.integers(region.left, region.right - CROP + 1))
        crop = picture[top : top + CROP, left : left + CROP]
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        lit = crop.astype(np.float64) * rng.uniform(1 - _GAIN, 1 + _GAIN)
        crop = np.rint(np.clip(lit, 0, 255)).astype(np.uint8)
        if size != CROP:
            resized = Image.fromarray(crop).resize((size, size), Image.Resampling.BICUBIC)
            crop = np.asarray(resized)
        yield crop


def make_surface_dataset(
    out: str | Path,
    *,
    surface: str = "brick",
    seed: int = 0,
    size: int = 128,
    n_train: int = 160,
    n_good: int = 40,
    n_defective: int = 60,
) -> Path:
    """Write the demo data set, in MVTec layout, as grey PNG files.

    The same arguments give the same bytes. The folder appears whole or not at all; where it
    already holds the data set of the same arguments, nothing is done.

    Args:
        out: the folder to make: ``train/good``, ``test/good``, ``test/<defect>``,
            ``ground_truth/<defect>/<stem>_mask.png`` and a ``README.txt``.
        surface: one of ``SURFACES``. "brick" is the default because its regular pattern lets
            the eye judge every verdict.
        seed: of every random choice, at least 0.
        size: side of the images in pixels, 32 to 1024. Crops are 128 pixels of the photograph,
            resampled when ``size`` differs.
        n_train: normal training images, at least 1.
        n_good: normal test images, at least 1.
        n_defective: defective test images, spread evenly over the kinds in
            ``oddlens.demo.defects.DEFECTS``, at least 1.

    Returns:
        ``out`` as a path.

    Raises:
        UsageError: an argument is out of range.
        DataError: the folder holds something else, or cannot be written.
    """
    _check(surface, seed, size, {"n_train": n_train, "n_good": n_good, "n_defective": n_defective})
    out = Path(out)
    marker = (
        f"oddlens demo data: surface={surface} seed={seed} size={size} "
        f"train={n_train} good={n_good} defective={n_defective}"
    )

    def write(root: Path) -> None:
        _write_images(root, surface, seed, size, n_train, n_good, n_defective)
        _write_readme(root, surface, marker)

    made_whole(out, marker, write)
    return out


def _check(surface: str, seed: int, size: int, counts: dict[str, int]) -> None:
    if surface not in SURFACES:
        raise UsageError(f"surface {surface!r} is unknown; choose one of {', '.join(SURFACES)}")
    if seed < 0:
        raise UsageError(f"seed is {seed}; it must be at least 0")
    if not 32 <= size <= 1024:
        raise UsageError(f"size is {size}; it must be 32 to 1024 pixels")
    for name, count in counts.items():
        if count < 1:
            raise UsageError(f"{name} is {count}; it must be at least 1")


def _write_images(
    root: Path, surface: str, seed: int, size: int, n_train: int, n_good: int, n_defective: int
) -> None:
    picture = photograph(surface)
    train, test = regions(picture.shape[1])
    for index, crop in enumerate(crops(picture, train, n_train, size, [seed, 0])):
        _save(crop, root / "train" / "good" / f"{index:03d}.png")
    for index, crop in enumerate(crops(picture, test, n_good, size, [seed, 1])):
        _save(crop, root / "test" / "good" / f"{index:03d}.png")
    donors = [photograph(name) for name in ("coffee", "chelsea", "coins", "rocket", "camera")]
    for index, crop in enumerate(crops(picture, test, n_defective, size, [seed, 2])):
        number, kind_index = divmod(index, len(DEFECTS))
        kind = DEFECTS[kind_index]
        rng = np.random.default_rng([seed, 3, index])
        damaged, mask = add_defect(crop, kind, strength=number % 3, rng=rng, donors=donors)
        _save(damaged, root / "test" / kind / f"{number:03d}.png")
        _save(
            mask.astype(np.uint8) * np.uint8(255),
            root / "ground_truth" / kind / f"{number:03d}_mask.png",
        )


def _save(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _write_readme(root: Path, surface: str, marker: str) -> None:
    from oddlens.demo.defects import KINDS, TOLERANCE

    _, test = regions(photograph(surface).shape[1])
    kinds = "\n".join(f"  {name:<8} {kind.description}" for name, kind in KINDS.items())
    text = _README.format(
        marker=marker, surface=surface, border=test.left, kinds=kinds, tolerance=TOLERANCE
    )
    (root / README).write_text(text, encoding="utf-8")
