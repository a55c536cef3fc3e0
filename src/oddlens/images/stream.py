"""Images in batches, decoded ahead by threads, in memory that does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

import numpy as np

from oddlens.errors import ImageError, UsageError
from oddlens.images.lookahead import default_workers, map_ahead
from oddlens.images.pixels import Pixels
from oddlens.images.prepare import squash, to_tensor
from oddlens.images.sources import ImageSource

if TYPE_CHECKING:
    import torch

OnBad: TypeAlias = Literal["skip", "raise"]
_Item = TypeVar("_Item")
_Batch = TypeVar("_Batch")


@dataclass(frozen=True)
class Skipped:
    """An image that was left out, and why.

    Attributes:
        name: the path, or ``"image 17"``.
        reason: a clause that follows the name.
    """

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class ImageBatch:
    """Some images, ready for a network.

    Attributes:
        images: float32 (N, 3, S, S) in [0, 1].
        indices: where each image stands in its source.
        names: what each image is called.
    """

    images: torch.Tensor
    indices: tuple[int, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ViewBatch:
    """Some images, each at several sizes.

    Attributes:
        views: by size S, float32 (N, 3, S, S) in [0, 1]: what ``stream`` gives at that size.
        names: what each image is called.
    """

    views: dict[int, torch.Tensor]
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PixelBatch:
    """Some images, each at several sizes, as 8-bit pixels.

    Attributes:
        views: by size S, uint8 (N, S, S, 3): what ``stream`` makes its floats of.
        names: what each image is called.
    """

    views: dict[int, Pixels]
    names: tuple[str, ...]


def stream(
    source: ImageSource,
    size: int,
    batch_size: int,
    *,
    on_bad: OnBad,
    skipped: list[Skipped] | None = None,
    workers: int | None = None,
    indices: Sequence[int] | None = None,
) -> Generator[ImageBatch, None, None]:
    """Read a source in batches, in order, each image once.

    While the consumer works on a batch, threads decode the next one and no more: at most
    ``max(batch_size, 2 * workers)`` prepared images wait, and ``workers`` are being decoded.
    Closing the generator ends the threads.

    Args:
        source: the images.
        size: the side of the square that they are squashed to, in pixels.
        batch_size: images in a batch; the last one may be smaller.
        on_bad: whether an image that cannot be used is left out or ends the stream.
        skipped: with ``"skip"``, receives what was left out, as it is met.
        workers: decoding threads; None for the usable cores, at most 8.
        indices: which images, in which order; None for all.

    Returns:
        A generator of batches; none is empty.

    Raises:
        UsageError: a size, batch size, number of workers or ``on_bad`` that makes no sense.
        ImageError: with ``"raise"``, at the first image that cannot be used.
    """
    _refuse_numbers(on_bad, size=size, batch_size=batch_size, workers=workers)
    wanted = range(len(source)) if indices is None else indices
    results = read_squashed(source, size, wanted, ahead=batch_size, workers=workers)
    return _batches(results, batch_size, on_bad, skipped, partial(_take, source))


def stream_views(
    source: ImageSource,
    sizes: Sequence[int],
    batch_size: int,
    *,
    on_bad: OnBad,
    skipped: list[Skipped] | None = None,
    indices: Sequence[int] | None = None,
) -> Generator[ViewBatch, None, None]:
    """Read a source as ``stream`` does, each image once, for networks of several sizes.

    Every size is made from the image as decoded, not from another size, so that each network sees
    to the last bit what it would see alone.

    Args:
        source: the images.
        sizes: the sides of the squares, each once, at least one.
        batch_size: images in a batch; the last one may be smaller.
        on_bad: whether an image that cannot be used is left out or ends the stream.
        skipped: with ``"skip"``, receives what was left out, as it is met.
        indices: which images, in which order; None for all.

    Raises:
        UsageError: a size, batch size or ``on_bad`` that makes no sense.
        ImageError: with ``"raise"``, at the first image that cannot be used.
    """
    results = _read_views(source, sizes, batch_size, on_bad, indices)
    return _batches(results, batch_size, on_bad, skipped, partial(_take_views, source, sizes))


def stream_pixels(
    source: ImageSource,
    sizes: Sequence[int],
    batch_size: int,
    *,
    on_bad: OnBad,
    skipped: list[Skipped] | None = None,
) -> Generator[PixelBatch, None, None]:
    """Read a source as ``stream_views`` does, up to the 8-bit pixels; needs no torch.

    Args and errors are those of ``stream_views``.
    """
    results = _read_views(source, sizes, batch_size, on_bad, None)
    return _batches(results, batch_size, on_bad, skipped, partial(_take_pixels, source, sizes))


def _read_views(
    source: ImageSource,
    sizes: Sequence[int],
    batch_size: int,
    on_bad: OnBad,
    indices: Sequence[int] | None,
) -> Generator[tuple[int, list[Pixels] | ImageError], None, None]:
    _refuse_numbers(on_bad, size=min(sizes), batch_size=batch_size)
    workers = default_workers()

    def read(index: int) -> tuple[int, list[Pixels] | ImageError]:
        try:
            pixels = source.read(index)
        except ImageError as error:
            return index, error
        return index, [squash(pixels, size) for size in sizes]

    wanted = range(len(source)) if indices is None else indices
    return map_ahead(read, wanted, ahead=max(batch_size, 2 * workers), workers=workers)


def _refuse_numbers(on_bad: str, **numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and number < 1:
            raise UsageError(f"{name} is {number}; it must be at least 1")
    refuse_on_bad(on_bad)


def refuse_on_bad(on_bad: str) -> None:
    """Raise UsageError unless ``on_bad`` is a known policy."""
    if on_bad not in ("skip", "raise"):
        raise UsageError(f'on_bad is {on_bad!r}; use "skip" or "raise"')


def read_squashed(
    source: ImageSource,
    size: int,
    indices: Iterable[int],
    *,
    ahead: int = 1,
    workers: int | None = None,
) -> Generator[tuple[int, Pixels | ImageError], None, None]:
    """Yield ``(index, pixels uint8 (size, size, 3))``, or the error in the pixels' place."""
    workers = workers or default_workers()

    def read(index: int) -> tuple[int, Pixels | ImageError]:
        try:
            return index, squash(source.read(index), size)
        except ImageError as error:
            return index, error

    return map_ahead(read, indices, ahead=max(ahead, 2 * workers), workers=workers)


def _batches(
    results: Generator[tuple[int, _Item | ImageError], None, None],
    batch_size: int,
    on_bad: OnBad,
    skipped: list[Skipped] | None,
    take: Callable[[list[tuple[int, _Item]]], _Batch],
) -> Generator[_Batch, None, None]:
    waiting: list[tuple[int, _Item]] = []
    with closing(results):
        for index, result in results:
            if not isinstance(result, ImageError):
                waiting.append((index, result))
            elif on_bad == "raise":
                raise result
            elif skipped is not None:
                skipped.append(Skipped(result.name, result.reason))
            if len(waiting) == batch_size:
                yield take(waiting)  # no name here: a batch is the consumer's alone
        if waiting:
            yield take(waiting)


def _take(source: ImageSource, waiting: list[tuple[int, Pixels]]) -> ImageBatch:
    """Make a batch of what waits, and empty the list."""
    batch = ImageBatch(
        images=to_tensor(np.stack([pixels for _, pixels in waiting])),
        indices=tuple(index for index, _ in waiting),
        names=tuple(source.name(index) for index, _ in waiting),
    )
    waiting.clear()
    return batch


def _take_views(
    source: ImageSource, sizes: Sequence[int], waiting: list[tuple[int, list[Pixels]]]
) -> ViewBatch:
    """The same at every size."""
    batch = _take_pixels(source, sizes, waiting)
    return ViewBatch({size: to_tensor(each) for size, each in batch.views.items()}, batch.names)


def _take_pixels(
    source: ImageSource, sizes: Sequence[int], waiting: list[tuple[int, list[Pixels]]]
) -> PixelBatch:
    """The same as 8-bit pixels."""
    each_size = zip(*(views for _, views in waiting), strict=True)
    batch = PixelBatch(
        views={size: np.stack(each) for size, each in zip(sizes, each_size, strict=True)},
        names=tuple(source.name(index) for index, _ in waiting),
    )
    waiting.clear()
    return batch
