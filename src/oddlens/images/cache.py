"""Decoded training images in memory, up to a stated share of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oddlens.errors import DataError, ImageError, UsageError
from oddlens.images.memory import available_memory
from oddlens.images.pixels import Pixels
from oddlens.images.prepare import to_tensor
from oddlens.images.sources import ImageSource
from oddlens.images.stream import OnBad, Skipped, read_squashed, refuse_on_bad

if TYPE_CHECKING:
    import torch

_MOST_NAMED = 10


class ImageCache:
    """Squashed images that can be drawn in any order, as often as wanted.

    The first images that fit are kept as one uint8 array; the others are decoded again each time
    they are drawn. Make one with ``ImageCache.load``.

    Attributes:
        size: the side of the images, in pixels.
        names: what each image is called.
        source_indices: where each image stands in the source.
    """

    def __init__(
        self,
        *,
        source: ImageSource,
        size: int,
        pixels: Pixels,
        grey: NDArray[np.bool_],
        source_indices: NDArray[np.intp],
        rows: NDArray[np.intp],
    ) -> None:
        self.size = size
        self._source = source
        self._pixels = pixels  # (kept, S, S, 3): rows 0 .. kept-1; later rows are not in memory
        self._grey = grey
        self._source_indices = source_indices
        self._rows = rows  # a view's images, as rows of the whole
        self.source_indices: list[int] = source_indices[rows].tolist()
        self.names: list[str] = [source.name(index) for index in self.source_indices]

    @classmethod
    def load(
        cls,
        source: ImageSource,
        size: int,
        *,
        on_bad: OnBad,
        skipped: list[Skipped] | None = None,
        memory_share: float = 0.25,
        progress: Callable[[int, int], None] | None = None,
    ) -> ImageCache:
        """Decode every image of a source once and keep as many as fit.

        Args:
            source: the images.
            size: the side of the square that they are squashed to, in pixels.
            on_bad: whether images that cannot be used are left out or refused, all in one error.
            skipped: with ``"skip"``, receives what was left out.
            memory_share: the share of the available memory to use, in [0, 1].
            progress: called with (done, total) after each image.

        Returns:
            The cache, never empty.

        Raises:
            UsageError: ``size``, ``on_bad`` or ``memory_share`` makes no sense.
            DataError: with ``"raise"``, the bad images (ten by name); or no image is left.
        """
        refuse_on_bad(on_bad)
        if size < 1:
            raise UsageError(f"size is {size}; it must be at least 1")
        if not 0 <= memory_share <= 1:
            raise UsageError(f"memory_share is {memory_share}; it must lie in 0..1")
        total = len(source)
        room = int(memory_share * available_memory()) // (size * size * 3)
        pixels = np.empty((min(total, room), size, size, 3), dtype=np.uint8)
        good: list[int] = []
        grey: list[bool] = []
        bad: list[Skipped] = []
        with closing(read_squashed(source, size, range(total))) as results:
            for done, (index, result) in enumerate(results, start=1):
                if isinstance(result, ImageError):
                    bad.append(Skipped(result.name, result.reason))
                else:
                    if len(good) < len(pixels):
                        pixels[len(good)] = result
                    good.append(index)
                    grey.append(is_grey(result))
                if progress is not None:
                    progress(done, total)
        refuse_bad(bad, total, on_bad)
        if skipped is not None:
            skipped.extend(bad)
        rows = np.arange(len(good), dtype=np.intp)
        kept = pixels[: len(good)]
        return cls(
            source=source,
            size=size,
            pixels=kept,
            grey=np.array(grey),
            source_indices=np.array(good, dtype=np.intp),
            rows=rows,
        )

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def is_grey(self) -> bool:
        """True when every image has R = G = B everywhere, at this size."""
        return bool(self._grey[self._rows].all())

    @property
    def count_in_memory(self) -> int:
        """How many of these images are kept decoded."""
        return int((self._rows < len(self._pixels)).sum())

    def subset(self, indices: Sequence[int]) -> ImageCache:
        """Give a view of some of the images, in the given order; no pixels are copied."""
        rows = self._rows[np.asarray(indices, dtype=np.intp)]
        return ImageCache(
            source=self._source,
            size=self.size,
            pixels=self._pixels,
            grey=self._grey,
            source_indices=self._source_indices,
            rows=rows,
        )

    def evenly(self, most: int) -> ImageCache:
        """Give a view of at most so many images, spread over all of them.

        Names have an order, and the first ones of a folder are often alike.
        """
        count = min(most, len(self))
        return self.subset([at * len(self) // count for at in range(count)])

    def batch(self, indices: Sequence[int]) -> torch.Tensor:
        """Draw images.

        Args:
            indices: which, 0 .. len - 1, repeats allowed.

        Returns:
            float32 (N, 3, S, S) in [0, 1], channels_last, the caller's to change.

        Raises:
            ImageError: an image that is not kept in memory has become unreadable.
        """
        rows = self._rows[np.asarray(indices, dtype=np.intp)]
        in_memory = rows < len(self._pixels)
        if in_memory.all():
            return to_tensor(self._pixels[rows])
        drawn = np.empty((len(rows), self.size, self.size, 3), dtype=np.uint8)
        drawn[in_memory] = self._pixels[rows[in_memory]]
        away = np.flatnonzero(~in_memory)
        with closing(
            read_squashed(self._source, self.size, self._source_indices[rows[away]].tolist())
        ) as results:
            for place, (_, result) in zip(away, results, strict=True):
                if isinstance(result, ImageError):
                    raise result
                drawn[place] = result
        return to_tensor(drawn)


def is_grey(pixels: Pixels) -> bool:
    """Tell whether uint8 (H, W, 3) has R = G = B everywhere."""
    red = pixels[:, :, 0]
    return bool(np.array_equal(red, pixels[:, :, 1]) and np.array_equal(red, pixels[:, :, 2]))


def refuse_bad(bad: list[Skipped], total: int, on_bad: OnBad) -> None:
    """Raise one DataError for all bad images when they are refused or nothing is left."""
    if not bad or (on_bad == "skip" and len(bad) < total):
        return
    listed = "; ".join(f"{item.name} {item.reason}" for item in bad[:_MOST_NAMED])
    if len(bad) > _MOST_NAMED:
        listed += f"; and {len(bad) - _MOST_NAMED} more"
    if len(bad) == total:
        raise DataError(f"not one of {total} images can be used: {listed}")
    raise DataError(
        f"{len(bad)} of {total} images cannot be used: {listed}. "
        'Mend or remove them, or leave them out with --on-bad skip (on_bad="skip")'
    )
