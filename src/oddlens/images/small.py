"""Images that are smaller than the model: used, but not without a word."""

from __future__ import annotations

import threading
import warnings

from oddlens.images.pixels import Pixels
from oddlens.images.sources import ImageSource


class SizeWatch:
    """A source that counts which of the images read from it are smaller than the model.

    They are enlarged like all others are shrunk (our choice: a set of mixed sizes should not fail
    for a few small ones), but enlarging adds no detail: a detector fitted on sharp images finds
    blurred ones odd, so that their number is told.

    Args:
        source: the images.
        size: the side of the model's images, in pixels.

    Attributes:
        count: how many of the images read so far have a side below ``size``.
        smallest: (height, width) of the one with the shortest side.
    """

    def __init__(self, source: ImageSource, size: int) -> None:
        self.count = 0
        self.smallest = (size, size)
        self._lock = threading.Lock()
        self._source = source
        self._size = size

    def __len__(self) -> int:
        return len(self._source)

    def name(self, index: int) -> str:
        """Give what the source calls the image."""
        return self._source.name(index)

    def read(self, index: int) -> Pixels:
        """Read an image and note its size; called from several threads."""
        pixels = self._source.read(index)
        height, width = pixels.shape[:2]
        if min(height, width) < self._size:
            with self._lock:
                self.count += 1
                self.smallest = min(self.smallest, (height, width), key=min)
        return pixels

    def warn(self) -> None:
        """Say with a ``UserWarning`` how many images were enlarged, if any."""
        if not self.count:
            return
        height, width = self.smallest
        are, were = ("is", "was") if self.count == 1 else ("are", "were")
        warnings.warn(
            f"{self.count:,} of {len(self):,} images {are} smaller than the model's {self._size} × "
            f"{self._size} pixels (the smallest is {width} × {height}) and {were} enlarged, "
            "which adds no detail",
            UserWarning,
            stacklevel=1,
        )
