"""Images that come with a class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddlens.errors import UsageError
from oddlens.images.pixels import Pixels
from oddlens.images.sources import ImageSource


class Subset:
    """Some images of a source, an ``ImageSource`` of its own."""

    def __init__(self, source: ImageSource, indices: Sequence[int]) -> None:
        self._source = source
        self._indices = [int(index) for index in indices]

    def __len__(self) -> int:
        return len(self._indices)

    def name(self, index: int) -> str:
        """The name it has in the whole source."""
        return self._source.name(self._indices[index])

    def read(self, index: int) -> Pixels:
        """Read one image, uint8 (H, W, 3)."""
        return self._source.read(self._indices[index])


@dataclass(frozen=True)
class Labelled:
    """Images and the class of each.

    Attributes:
        images: N images.
        labels: ``(N,)`` int, an index into the data set's classes.
    """

    images: ImageSource
    labels: NDArray[np.int64]

    def of(self, label: int) -> Subset:
        """The images of one class."""
        return Subset(self.images, np.flatnonzero(self.labels == label).tolist())

    def sample(self, count: int, seed: int) -> Labelled:
        """So many images of each class at most, drawn by a seed."""
        rng = np.random.default_rng(seed)
        kept = [
            rng.permutation(np.flatnonzero(self.labels == label))[:count]
            for label in np.unique(self.labels)
        ]
        indices = np.sort(np.concatenate(kept))
        return Labelled(Subset(self.images, indices.tolist()), self.labels[indices])


@dataclass(frozen=True)
class NamedData:
    """A data set of the catalogue, opened.

    Attributes:
        name: in the catalogue, or the folder's.
        classes: their names, in the order of the labels.
        train: never scored.
        test: never trained on.
        note: what a table must say beside every number, or "".
    """

    name: str
    classes: tuple[str, ...]
    train: Labelled
    test: Labelled
    note: str = ""

    def label(self, name: str) -> int:
        """The label of a class, given by its name or its number.

        Raises:
            UsageError: there is no such class.
        """
        if name in self.classes:
            return self.classes.index(name)
        if name.isdecimal() and int(name) < len(self.classes):
            return int(name)
        raise UsageError(f"{self.name} has no class {name!r}: there are {', '.join(self.classes)}")

    def fingerprint(self) -> str:
        """SHA-256 over labels and some two hundred images of each part, first 16 hex digits."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            digest.update(part.labels.astype("<i8").tobytes())
            for index in range(0, len(part.labels), max(1, len(part.labels) // 200)):
                digest.update(part.images.read(index).tobytes())
        return digest.hexdigest()[:16]
