"""Small made copies of data sets, for tests."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def png(value: int, size: int = 4) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((size, size, 3), value, np.uint8)).save(buffer, "png")
    return buffer.getvalue()


def write_tree(root: Path, content: Mapping[str, bytes | str]) -> Path:
    for name, data in content.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return root


def attacks(root: Path, each: int = 3, size: int = 4) -> Path:
    """Bona fide ones are dark, attacks bright."""
    values = {"train/bonafide": 10, "train/print": 99, "test/bonafide": 40}
    values |= {"test/print": 150, "test/mask": 200}
    return write_tree(
        root,
        {
            f"{folder}/{video}/{number}.png": png(value + number, size)
            for folder, value in values.items()
            for video in ("one",)
            for number in range(each)
        },
    )


FONTS = ("Fang Song", "Kai Ti")
SIW_M = ("bonafide", "half_mask", "makeup_cosmetic", "partial_funny_eye", "print", "replay")
"""Bona fide faces and five of SiW-M's thirteen kinds of attack."""


def founder_type(root: Path, each: int = 3) -> Path:
    """Glyphs by font in grey, the same ones of all fonts; the test's are others."""
    content: dict[str, bytes] = {}
    for at, font in enumerate(FONTS):
        for part, first in (("train", 0), ("test", each)):
            for glyph in range(first, first + each):
                buffer = io.BytesIO()
                pixels = np.full((8, 8), 100 * at + glyph, np.uint8)
                Image.fromarray(pixels).save(buffer, "png")
                content[f"{part}/{font}/u{0x4E00 + glyph:04X}.png"] = buffer.getvalue()
    return write_tree(root, content)


def siw_m(root: Path, frames: int = 2) -> Path:
    """Frames cut to faces, a folder a video, as whoever has SiW-M lays them out.

    Videos of attacks lie below ``train`` as well, as methods that learn from attacks need them.
    """
    videos = {
        f"{part}/{kind}/{number:03d}": 20 * at + 5 * number
        for at, kind in enumerate(SIW_M)
        for part, number in (("train", 1), ("train", 2), ("test", 10))
    }
    return write_tree(
        root,
        {
            f"{video}/{frame}.png": png(value + frame)
            for video, value in videos.items()
            for frame in range(frames)
        },
    )


def category(root: Path, each: int = 4, size: int = 16) -> Path:
    """MVTec's layout: a bright square in the corner is the defect, and masked."""
    rng = np.random.default_rng(0)

    def saved(path: Path, pixels: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path)

    for folder in ("train/good", "test/good", "test/hole"):
        for number in range(each):
            pixels = rng.integers(0, 60, (size, size, 3))
            if folder == "test/hole":
                pixels[:4, :4] = 250
                mask = np.zeros((size, size))
                mask[:4, :4] = 255
                saved(root / "ground_truth" / "hole" / f"{number}_mask.png", mask)
            saved(root / folder / f"{number}.png", pixels)
    return root
