"""From the bytes of one upload to the pixels that a model looks at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from oddlens.errors import ImageError
from oddlens.images.decode import decode_bytes
from oddlens.images.pixels import Pixels
from oddlens.images.prepare import squash
from oddlens.serving.uploads import Upload


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
        pixels = decode_bytes(upload.content, upload.file_name, max_pixels=max_pixels)
    except ImageError as error:
        return Decoded(sha256, fault=(error.fault, error.reason))
    height, width = pixels.shape[:2]
    return Decoded(sha256, width, height, {size: squash(pixels, size) for size in sizes})
