"""Pictures inside the page: small WebP files as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

# The longest side of a picture in the page, in pixels: enough to judge a defect when enlarged.
PHOTO_SIDE = 384
HEAT_SIDE = 128
# The most that one picture may take, in bytes; quality is lowered until it fits.
MOST_BYTES = 40_000


def photo_uri(pixels: npt.NDArray[np.uint8]) -> tuple[str, int, int]:
    """A photograph for the page.

    Args:
        pixels: uint8 ``(H, W, 3)``.

    Returns:
        The data URI, and the width and height to show it with, in pixels.
    """
    picture = Image.fromarray(pixels)
    scale = PHOTO_SIDE / max(picture.size)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        # reducing_gap first shrinks by whole numbers: a fraction of the time for large pictures.
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return _uri(picture), picture.width, picture.height


def heat_uri(colours: npt.NDArray[np.uint8]) -> str:
    """A painted heat map for the page.

    Args:
        colours: uint8 ``(H, W, 4)``.

    Returns:
        The data URI of a picture of at most ``HEAT_SIDE`` pixels a side.
    """
    picture = Image.fromarray(colours)
    if max(picture.size) > HEAT_SIDE:
        size = (min(picture.width, HEAT_SIDE), min(picture.height, HEAT_SIDE))
        picture = picture.resize(size, Image.Resampling.BOX)
    return _uri(picture)


def _uri(picture: Image.Image) -> str:
    payload = b""
    for quality in (82, 65, 45, 25, 8):
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=quality, method=2)
        payload = buffer.getvalue()
        if len(payload) <= MOST_BYTES:
            break
    return "data:image/webp;base64," + base64.b64encode(payload).decode("ascii")
