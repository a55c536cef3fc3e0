"""Two sets of images as one row, the second brought to the looks of the first.

Where the first are all of one size, the second are resized to it, with antialiasing; where the
first are grey, the second are made grey. Our choice: published pairs differ in how the odd images
were made small, and a careless resize is itself what a detector then finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from oddlens.images.catalogue.labelled import Images
from oddlens.images.pixels import Pixels
from oddlens.images.sources import ImageSource, open_source

LOOKED_AT = 16
"""So many of the first images tell their looks (our choice)."""


@dataclass(frozen=True)
class Looks:
    """What images have in common.

    Attributes:
        size: (height, width), or None where they differ.
        grey: whether none has a colour.
    """

    size: tuple[int, int] | None
    grey: bool

    @classmethod
    def of(cls, source: ImageSource) -> Looks:
        """The looks of some images, spread over all of them."""
        places = np.unique(np.linspace(0, len(source) - 1, LOOKED_AT).astype(int)).tolist()
        images = [source.read(at) for at in places]
        sizes = {image.shape[:2] for image in images}
        grey = all((image == image[..., :1]).all() for image in images)
        return cls(images[0].shape[:2] if len(sizes) == 1 else None, grey)

    def given(self, image: Pixels) -> Pixels:
        """An image with these looks."""
        picture = Image.fromarray(image)
        if self.grey:
            picture = picture.convert("L").convert("RGB")
        if self.size is not None and image.shape[:2] != self.size:
            height, width = self.size
            picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        return np.asarray(picture)


class JoinedSource:
    """Some images of two sources; an ``ImageSource``.

    Args:
        sources: both.
        names: of both, which stand before the name of each image.
        looks: that images of the second are given.
        places: (source, index) of each image.
    """

    def __init__(
        self,
        sources: tuple[ImageSource, ImageSource],
        names: tuple[str, str],
        looks: Looks,
        places: Sequence[tuple[int, int]],
    ) -> None:
        self._sources = sources
        self._names = names
        self._looks = looks
        self._places = tuple(places)

    def __len__(self) -> int:
        return len(self._places)

    def take(self, indices: Sequence[int]) -> JoinedSource:
        """Some of these images, in the given order."""
        places = [self._places[index] for index in indices]
        return JoinedSource(self._sources, self._names, self._looks, places)

    def name(self, index: int) -> str:
        """Give the name of the data set and of the image."""
        which, at = self._places[index]
        return f"{self._names[which]}: {self._sources[which].name(at)}"

    def read(self, index: int) -> Pixels:
        """Give one image as uint8 (H, W, 3)."""
        which, at = self._places[index]
        image = self._sources[which].read(at)
        return self._looks.given(image) if which else image


def joined(first: Images, second: Images, *, names: tuple[str, str]) -> JoinedSource:
    """All images of both, the first ones first; see the module.

    Raises:
        ImageError: one of the images that tell the looks of the first cannot be read.
    """
    sources = open_source(first), open_source(second)
    places = [(which, at) for which in (0, 1) for at in range(len(sources[which]))]
    return JoinedSource(sources, names, Looks.of(sources[0]), places)
