"""One image file to 8-bit RGB, or one clear sentence about why not."""

from __future__ import annotations

import codecs
import errno
import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from oddlens.errors import ImageError, ImageFault
from oddlens.images.pixels import Pixels, over_black, to_rgb, to_uint8

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""The file name endings (in any case) that mark an image when a folder is searched."""

# Only these decoders run: others (EPS starts Ghostscript) are a needless risk on strangers' files.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
_SYSTEM_REASONS = {errno.ENOENT: "no such file", errno.EISDIR: "is a folder, not an image"}
_EXIF_FAULTS = (
    *(ArithmeticError, AttributeError, LookupError, OSError, SyntaxError, TypeError, ValueError),
    struct.error,
)
_NOT_AN_IMAGE = "is not a PNG, JPEG, BMP, TIFF or WebP image, or its header is damaged"


def decode(path: str | Path) -> Pixels:
    """Read one image file as 8-bit RGB, upright.

    What becomes of what is not plain RGB (our choices):

    - grey, 1-bit, palette, CMYK, Lab: converted to RGB; colour profiles are not applied;
    - transparency (alpha channel, or a palette's): composited over black, so that what cannot be
      seen cannot be evidence; a fully opaque alpha changes nothing;
    - 16-bit grey: 0..65535 scaled linearly to 0..255, whatever the image's own extremes, so that
      images stay comparable. 12-bit data is scaled by 4095 where the file declares 12 bits (TIFF);
      undeclared in a 16-bit file it comes out dark, and ``check_folder`` says so;
    - 16-bit colour: the high byte (Pillow's conversion);
    - 32-bit integer: as 16-bit grey where the values fit; float: 0..1, anything else is refused;
    - EXIF orientation is applied; of several frames or pages the first is taken.

    More pixels than ``PIL.Image.MAX_IMAGE_PIXELS`` (89,478,485 unless changed) are refused
    before anything is decompressed.

    Args:
        path: a PNG, JPEG, BMP, TIFF or WebP file; its contents count, not its name's ending.

    Returns:
        uint8 (H, W, 3), a fresh array.

    Raises:
        ImageError: the file is missing, empty, no image, cut short, damaged, too large, or of
            a kind that has no meaning as RGB.
    """
    with open_picture(path) as picture:
        return picture_to_rgb(picture, str(path))


def decode_bytes(content: bytes, name: str, *, max_pixels: int | None = None) -> Pixels:
    """``decode`` of a file's content: the same bytes give the same pixels.

    Args:
        content: of a PNG, JPEG, BMP, TIFF or WebP file.
        name: what to call it in errors.
        max_pixels: refuse more than these; None, or more than Pillow's own limit, for that.

    Raises:
        ImageError: see ``decode``.
    """
    with _opened(io.BytesIO(content), name, max_pixels) as picture:
        return picture_to_rgb(picture, name)


def pixels_of(content: bytes) -> int:
    """How many pixels a file's content says that it has; 0 where it says nothing."""
    with suppress(Exception), Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
        return picture.width * picture.height
    return 0


@contextmanager
def open_picture(path: str | Path) -> Iterator[Image.Image]:
    """Open, load and turn upright one image file; any failure inside becomes an ImageError."""
    with _opened(Path(path), str(path)) as picture:
        yield picture


@contextmanager
def _opened(
    file: Path | io.BytesIO, name: str, max_pixels: int | None = None
) -> Iterator[Image.Image]:
    limits = [limit for limit in (max_pixels, Image.MAX_IMAGE_PIXELS) if limit is not None]
    try:
        with Image.open(file, formats=_FORMATS) as picture:
            if limits and picture.width * picture.height > min(limits):
                raise ImageError(name, _too_large(min(limits)), "too_many_pixels")
            picture.load()
            yield _upright(picture)
    except ImageError:
        raise
    except Exception as error:  # on hostile bytes Pillow's decoders raise nearly anything
        fault, reason = _described(error, file, min(limits, default=0))
        raise ImageError(name, reason, fault) from error


def picture_to_rgb(picture: Image.Image, name: str) -> Pixels:
    """Turn a loaded Pillow image of any mode into uint8 (H, W, 3); see ``decode``.

    Raises:
        ImageError: the values have no known scale.
    """
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return to_rgb(_deep_grey(picture, name), name)
    if picture.has_transparency_data:
        return over_black(np.asarray(picture.convert("RGBA")))
    return np.array(picture.convert("RGB"))


def _deep_grey(picture: Image.Image, name: str) -> Pixels:
    """Scale a 16-bit, 32-bit or float grey picture to uint8 (H, W)."""
    values = np.asarray(picture)
    if picture.mode == "F":
        return to_uint8(values, name)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        reason = f"has 32-bit pixels from {low} to {high}; only 0..65535 has a known scale"
        raise ImageError(name, f"{reason}: save it with 16 bits")
    return to_uint8(values.astype(np.uint16), name, white=_white_level(picture))


def _white_level(picture: Image.Image) -> int:
    """Give the 16-bit value that is white: what a TIFF's BitsPerSample declares, else 65535."""
    tags = getattr(picture, "tag_v2", {})
    bits = tags.get(ExifTags.Base.BitsPerSample, (16,))
    declared = bits[0] if isinstance(bits, tuple) else bits
    return int(2 ** min(int(declared), 16)) - 1


def _upright(picture: Image.Image) -> Image.Image:
    # a broken EXIF block says nothing about the pixels, which are sound
    with suppress(*_EXIF_FAULTS):
        ImageOps.exif_transpose(picture, in_place=True)
    return picture


def _described(error: Exception, file: Path | io.BytesIO, limit: int) -> tuple[ImageFault, str]:
    """Say in plain words why a file could not be decoded."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "too_many_pixels", _too_large(limit)
    if isinstance(error, UnidentifiedImageError):
        return _what_it_is_instead(_head(file))
    if isinstance(error, OSError) and error.errno is not None:
        reason = _SYSTEM_REASONS.get(error.errno, f"cannot be read ({error.strerror})")
        return "unreadable", reason
    if isinstance(error, MemoryError):
        return "too_many_pixels", "does not fit into memory"
    detail = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    if "truncated" in detail.lower():
        return "damaged", "is cut short (truncated)"
    return "damaged", f"is damaged or cut short ({detail})"


def _too_large(limit: int) -> str:
    return (
        f"has more than {limit:,} pixels, the most that are decoded (a decompression bomb?): "
        "scale it down or cut it into tiles"
    )


def _head(file: Path | io.BytesIO) -> bytes:
    """The first bytes of a file, or of its content."""
    if isinstance(file, io.BytesIO):
        return file.getvalue()[:512]
    with file.open("rb") as opened:
        return opened.read(512)


def _what_it_is_instead(head: bytes) -> tuple[ImageFault, str]:
    """Name what a file holds that no image decoder recognises."""
    if not head:
        return "empty", "is empty (0 bytes)"
    if head.startswith((b"II*\0", b"MM\0*")):
        return (
            "not_an_image",
            "is a TIFF of a kind that cannot be read: save it with 8 or 16 bits a pixel",
        )
    try:
        # an incremental decoder does not mind a character that is cut off at the end
        text = " ".join(codecs.getincrementaldecoder("utf-8")().decode(head).split())
    except UnicodeDecodeError:
        return "not_an_image", _NOT_AN_IMAGE
    if not text.isprintable():
        return "not_an_image", _NOT_AN_IMAGE
    if text.startswith("version https://git-lfs"):
        return "not_an_image", "is a Git LFS pointer, not the image itself: run git lfs pull"
    return "not_an_image", f'holds text ("{text[:40]}"), not an image'
