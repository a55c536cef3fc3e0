"""From the bytes of one upload to the pixels that a model looks at."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from oddlens.errors import ImageError
from oddlens.images.decode import decode_bytes, pixels_of
from oddlens.images.pixels import Pixels
from oddlens.images.prepare import squash
from oddlens.serving.uploads import Upload

_LARGE = 2**24
"""Pixels of an image that is large: our choice, more than most cameras give."""
_large_one = threading.Lock()


@dataclass(frozen=True, eq=False)
class Decoded:
    """One upload, looked at.

    Attributes:
        sha256: of its bytes.
        width: in pixels, or None where it could not be decoded.
        height: in pixels, or None where it could not be decoded.
        views: by size S, uint8 ``(S, S, 3)``, or None where it could not be decoded.
        fault: then code and reason.
    """

    sha256: str
    width: int | None = None
    height: int | None = None
    views: dict[int, Pixels] | None = None
    fault: tuple[str, str] = ("", "")


def decoded(upload: Upload, sizes: Sequence[int], *, max_bytes: int, max_pixels: int) -> Decoded:
    """Decode, check and resize one upload as files are by `oddlens score`.

    What is kept is small, whatever the size of the image.
    """
    sha256 = hashlib.sha256(upload.content).hexdigest()
    if len(upload.content) > max_bytes:
        reason = f"has more than {max_bytes:,} bytes: send it smaller"
        return Decoded(sha256, fault=("too_many_bytes", reason))
    try:
        # Until it is small: what is decoded counts as well.
        with _one_at_a_time(upload.content, max_pixels):
            pixels = decode_bytes(upload.content, upload.file_name, max_pixels=max_pixels)
            height, width = pixels.shape[:2]
            views = {size: squash(pixels, size) for size in sizes}
            del pixels
    except ImageError as error:
        return Decoded(sha256, fault=(error.fault, error.reason))
    return Decoded(sha256, width, height, views)


def _one_at_a_time(content: bytes, max_pixels: int) -> AbstractContextManager[object]:
    """Where an image is large, wait until no other large one is being decoded.

    Some bytes can say so many pixels that decoding takes a gigabyte or more (20 bytes a pixel are
    needed at worst), which there is once, but not once for every core.
    """
    large = _LARGE < pixels_of(content) <= max_pixels
    return _large_one if large else nullcontext()
