"""The data set of ``oddlens demo``: tiles of one real photograph, some with defects we make.

The photographs are the ones that lie inside the scikit-image wheel, so nothing is downloaded.
Each is cut into square tiles side by side, and the tiles are dealt at random: some to learn from,
the rest to test on. No two tiles share a pixel, so that however ``fit`` divides those it is given,
what it calibrates on shares no pixel with what it trains on, nor either with a test image. And
because chance deals them, a normal test tile is as likely to look odd as one that calibrates, which
is what a guaranteed false-alarm rate asks for; overlapping crops, or one side of a photograph to
learn from and the other to test on, would break that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from oddlens.demo.defects import DEFECTS, Grey, add_defect
from oddlens.demo.earlier import data_marker, made_earlier
from oddlens.demo.whole import README, made_whole
from oddlens.errors import UsageError

Surface: TypeAlias = Literal["brick", "gravel", "grass"]
SURFACES: tuple[str, ...] = get_args(Surface)

GRID = 10
"""Tiles in a row and in a column: of 51 pixels in these photographs, which is two bricks across.
Fewer would leave too few to calibrate on, more would show next to nothing each (our choice)."""
TRAIN = 60
"""Of the tiles, to learn from; the demo trains on half of them, and 20 of the others calibrate."""
SIZE = 256
"""Of the images, in pixels: what the demo's detector looks at."""

_README = """{marker}

The normal images are tiles of one photograph, skimage.data.{surface}() (CC0), which comes with
scikit-image. It is cut into {grid} x {grid} tiles of {side} pixels, each enlarged to {size}; no two
of them share a pixel of the photograph. Chance decides which are in train/good and which in
test/good.

THE DEFECTS ARE MADE, NOT FOUND. Each image under test/<defect> is one of the tiles of test/good, to
which one defect was added by a program; chance deals the tiles to each kind anew:

{kinds}

Every third defect is subtle, every third of medium strength, every third strong. Each mask in
ground_truth marks the pixels that changed by more than {tolerance} of 255 grey levels, with
gaps and holes inside the defect filled.

Use it to see oddlens at work, not to compare methods: made defects are easier to describe, and
often easier to find, than real ones; and the size of the tiles and the detector of the demo were
chosen with test images such as these in view. The {n_test} test images show only {n_good} tiles.
Intervals that are computed from them take them for independent, and are therefore too narrow.
"""


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


def tiles(picture: Grey, size: int) -> list[Grey]:
    """Cut a photograph into tiles that share no pixel.

    Args:
        picture: uint8 ``(H, W)``, at least ``GRID`` pixels a side.
        size: the side that each tile is resampled to, in pixels.

    Returns:
        ``GRID ** 2`` tiles, uint8 ``(size, size)``, row by row. Up to ``GRID - 1`` rows and columns
        at the lower and right border are left over.
    """
    side = tile_side(picture)
    places = [(row * side, column * side) for row in range(GRID) for column in range(GRID)]
    return [_resampled(picture[y : y + side, x : x + side], size) for y, x in places]


def tile_side(picture: Grey) -> int:
    """Side of the tiles of a photograph, in pixels."""
    side: int = min(picture.shape) // GRID
    return side


def deal(seed: int, n_train: int, n_test: int) -> tuple[list[int], list[int]]:
    """Which tiles to learn from and which to test on: disjoint, by chance.

    Args:
        seed: the same seed deals alike.
        n_train: how many to learn from.
        n_test: how many to test on; together at most ``GRID ** 2``.

    Returns:
        Indices into ``tiles``, in random order.
    """
    order = np.random.default_rng([seed, 0]).permutation(GRID**2).tolist()
    return order[:n_train], order[n_train : n_train + n_test]


def deal_defects(seed: int, n_good: int, n_defective: int) -> list[tuple[str, int]]:
    """Which kind of defect is made on which normal test image: each kind deals them anew.

    So no tile is bound to a kind, and a kind that is found less often has not had the harder tiles
    by design.

    Args:
        seed: the same seed deals alike.
        n_good: how many normal test images there are.
        n_defective: how many defects to deal, the kinds in turn.

    Returns:
        For each, the kind and an index in 0..n_good-1. Within a kind no index comes a second time
        before all have come.
    """
    rounds = -(-n_defective // (len(DEFECTS) * n_good))
    decks: list[list[int]] = []
    for at in range(len(DEFECTS)):
        rng = np.random.default_rng([seed, 4, at])
        decks.append([int(each) for _ in range(rounds) for each in rng.permutation(n_good)])
    turns = [divmod(index, len(DEFECTS)) for index in range(n_defective)]
    return [(DEFECTS[at], decks[at][number]) for number, at in turns]


def _resampled(tile: Grey, size: int) -> Grey:
    if tile.shape == (size, size):
        return tile
    return np.asarray(Image.fromarray(tile).resize((size, size), Image.Resampling.BICUBIC))


def make_surface_dataset(
    out: str | Path,
    *,
    surface: str = "brick",
    seed: int = 0,
    size: int = SIZE,
    n_train: int = TRAIN,
    n_good: int = GRID**2 - TRAIN,
    n_defective: int = 60,
) -> Path:
    """Write the demo data set, in MVTec layout, as grey PNG files.

    The same arguments give the same bytes. The folder appears whole or not at all; where it
    already holds the data set of the same arguments, nothing is done. What an earlier version made
    there of the same surface and seed, and nobody changed, is replaced with a ``UserWarning``.

    Args:
        out: the folder to make: ``train/good``, ``test/good``, ``test/<defect>``,
            ``ground_truth/<defect>/<stem>_mask.png`` and a ``README.txt``.
        surface: one of ``SURFACES``. "brick" is the default because its regular pattern lets
            the eye judge every verdict.
        seed: of every random choice, at least 0.
        size: side of the images in pixels, 32 to 1024, to which tiles are resampled before any
            defect is added.
        n_train: normal training images, at least 1.
        n_good: normal test images, at least 1; together at most ``GRID ** 2``.
        n_defective: defective test images, at least 1: the normal test images in turn, each with a
            defect, spread evenly over the kinds in ``oddlens.demo.defects.DEFECTS``.

    Returns:
        ``out`` as a path.

    Raises:
        UsageError: an argument is out of range.
        DataError: the folder holds something else, or cannot be written.
    """
    _check(surface, seed, size, {"n_train": n_train, "n_good": n_good, "n_defective": n_defective})
    out = Path(out)
    parts = {"train": n_train, "good": n_good, "defective": n_defective}
    marker = data_marker(surface=surface, seed=seed, size=size, grid=GRID, **parts)

    def write(root: Path) -> None:
        _write_images(root, surface, seed, size, n_train, n_good, n_defective)
        _write_readme(root, surface, size, marker, n_good, n_defective)

    made_whole(out, marker, write, lambda there: made_earlier(there, surface, seed))
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
    normal = counts["n_train"] + counts["n_good"]
    if normal > GRID**2:
        raise UsageError(
            f"n_train and n_good are {normal} together; "
            f"they must be at most {GRID**2}, which is how many tiles there are"
        )


def _write_images(
    root: Path, surface: str, seed: int, size: int, n_train: int, n_good: int, n_defective: int
) -> None:
    cut = tiles(photograph(surface), size)
    train, test = deal(seed, n_train, n_good)
    for folder, dealt in (("train", train), ("test", test)):
        for index, tile in enumerate(dealt):
            _save(cut[tile], root / folder / "good" / f"{index:03d}.png")
    donors = [photograph(name) for name in ("coffee", "chelsea", "coins", "rocket", "camera")]
    for index, (kind, chosen) in enumerate(deal_defects(seed, n_good, n_defective)):
        number = index // len(DEFECTS)
        rng = np.random.default_rng([seed, 3, index])
        before = cut[test[chosen]]
        damaged, mask = add_defect(before, kind, strength=number % 3, rng=rng, donors=donors)
        _save(damaged, root / "test" / kind / f"{number:03d}.png")
        _save(
            mask.astype(np.uint8) * np.uint8(255),
            root / "ground_truth" / kind / f"{number:03d}_mask.png",
        )


def _save(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def _write_readme(
    root: Path, surface: str, size: int, marker: str, n_good: int, n_defective: int
) -> None:
    from oddlens.demo.defects import KINDS, TOLERANCE

    text = _README.format(
        marker=marker,
        surface=surface,
        grid=GRID,
        side=tile_side(photograph(surface)),
        size=size,
        kinds="\n".join(f"  {name:<8} {kind.description}" for name, kind in KINDS.items()),
        tolerance=TOLERANCE,
        n_test=n_good + n_defective,
        n_good=n_good,
    )
    (root / README).write_text(text, encoding="utf-8")
