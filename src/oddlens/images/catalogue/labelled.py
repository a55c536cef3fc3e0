"""Images with a class each, and the training and test parts of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oddlens.images.catalogue.archive import ArchiveSource
from oddlens.images.catalogue.flips import Content

if TYPE_CHECKING:
    from oddlens.images.catalogue.joined import JoinedSource

Images: TypeAlias = "NDArray[np.uint8] | list[Path] | ArchiveSource | JoinedSource"
"""What a detector's ``fit`` and ``predict`` take: uint8 (N, H, W) or (N, H, W, 3), or files."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images and their classes.

    Attributes:
        images: N of them.
        labels: (N,) int64, the index of each image's class.
    """

    images: Images
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        assert len(self.images) == len(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def of_class(self, label: int) -> Images:
        """The images of one class, in their order."""
        return self.take(np.flatnonzero(self.labels == label)).images

    def take(self, indices: Sequence[int] | NDArray[np.intp]) -> LabelledImages:
        """Some of the images, in the given order."""
        chosen = np.asarray(indices, dtype=np.intp)
        labels = self.labels[chosen]
        if isinstance(self.images, np.ndarray):
            return LabelledImages(self.images[chosen], labels)
        if isinstance(self.images, list):
            return LabelledImages([self.images[index] for index in chosen], labels)
        return LabelledImages(self.images.take(chosen.tolist()), labels)


@dataclass(frozen=True, eq=False)
class ClassData:
    """A data set of classes.

    Attributes:
        name: as on the command line; of a folder of classes ``folder:<its name>``.
        classes: the names of the classes, by label.
        content: what the images show.
        train: the training part.
        test: the test part, disjoint from ``train``.
        note: what must be said beside every number, such as that it is a JPEG copy; "" for nothing.
        root: the folder or archive that it was read from, or None.
    """

    name: str
    classes: tuple[str, ...]
    content: Content
    train: LabelledImages
    test: LabelledImages
    note: str = ""
    root: Path | None = None

    @cached_property
    def sha256(self) -> str:
        """16 hex digits of a hash over all images and labels; reads every file once.

        Arrays are hashed as their pixels and files as they are, with the name below ``root``, so
        that packed and unpacked copies of the same files have the same hash.
        """
        digest = hashlib.sha256("\0".join(self.classes).encode())
        for part in (self.train, self.test):
            digest.update(part.labels.tobytes())
            _digest(digest, part.images, self.root)
        return digest.hexdigest()[:16]


def _digest(digest: Any, images: Images, root: Path | None) -> None:
    if isinstance(images, np.ndarray):
        digest.update(str(images.shape).encode())
        digest.update(np.ascontiguousarray(images).tobytes())
        return
    if isinstance(images, ArchiveSource):
        for index, member in enumerate(images.members):
            digest.update(member.encode(errors="surrogateescape"))
            digest.update(images.content(index))
        return
    assert isinstance(images, list), "joined images are no data set of their own"
    _digest_files(digest, images, root)


def digest_of_files(paths: Sequence[Path], root: Path) -> str:
    """16 hex digits of a hash over files and their names below ``root``; reads each once."""
    digest = hashlib.sha256()
    _digest_files(digest, paths, root)
    return digest.hexdigest()[:16]


def _digest_files(digest: Any, paths: Sequence[Path], root: Path | None) -> None:
    for path in paths:
        name = path.relative_to(root) if root is not None else path
        digest.update(name.as_posix().encode(errors="surrogateescape"))
        digest.update(path.read_bytes())
