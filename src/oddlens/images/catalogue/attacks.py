"""Data sets of presentation attacks: bona fide faces, and attacks by their kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oddlens.errors import DataError
from oddlens.images.catalogue.folders import Parts
from oddlens.images.catalogue.labelled import LabelledImages
from oddlens.images.files import list_images, natural_key

BONA_FIDE = "bonafide"


def read_attacks(root: Path) -> Parts:
    """Read ``train/bonafide``, ``test/bonafide`` and ``test/<kind of attack>``.

    Images may lie deeper, a folder a video. Attacks below ``train`` are left alone: what is learned
    from is bona fide. That no person is on both sides is for whoever divides the videos.

    Returns:
        Classes, bona fide first; training part; test part.

    Raises:
        DataError: a folder is missing or holds no images.
    """
    if not (root / "test").is_dir():
        raise DataError(f"{root}: there is no folder test with {BONA_FIDE} and kinds of attack")
    found = (path for path in (root / "test").iterdir() if path.is_dir())
    kinds = sorted(
        (path for path in found if path.name != BONA_FIDE and not path.name.startswith(".")),
        key=natural_key,
    )
    if not kinds:
        raise DataError(f"{root / 'test'}: holds no kind of attack beside {BONA_FIDE}")
    groups = [_images(root / "test" / BONA_FIDE), *map(_images, kinds)]
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    train = _images(root / "train" / BONA_FIDE)
    return (
        (BONA_FIDE, *(path.name for path in kinds)),
        LabelledImages(train, np.zeros(len(train), np.int64)),
        LabelledImages([path for group in groups for path in group], labels.astype(np.int64)),
    )


def _images(folder: Path) -> list[Path]:
    found = list_images(folder) if folder.is_dir() else []
    if not found:
        raise DataError(f"{folder}: there is no such folder, or no image in it")
    return found
