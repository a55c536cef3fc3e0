"""What a pixel value means: every depth and shape becomes 8-bit RGB here and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oddlens.errors import ImageError

Pixels = NDArray[np.uint8]

_FLOAT_SLACK = 1e-5  # float32 rounding in somebody's resize or division is not a wrong scale
_CHANNELS = (1, 3)


def to_uint8(values: NDArray[Any], name: str, *, white: int = 65535) -> Pixels:
    """Scale pixel values linearly to 0..255, rounding to the nearest.

    The scale depends on the data type alone, never on the values (our choice): a scale guessed
    from each image's own extremes would make a dark image and a bright one look alike.

    Args:
        values: bool (False is black, True white), uint8 (kept), uint16 (0..``white``) or
            float (0..1), of any shape.
        name: what to call the image in errors.
        white: the uint16 value that is white.

    Returns:
        uint8 values of the same shape.

    Raises:
        ImageError: another data type, NaN, or values outside the range.
    """
    scaled: Pixels
    if values.dtype == np.uint8:
        scaled = values
    elif values.dtype == np.bool_:
        scaled = values.astype(np.uint8) * np.uint8(255)
    elif values.dtype == np.uint16:
        if values.size and int(values.max()) > white:
            raise ImageError(name, f"has values up to {values.max()}; they must lie in 0..{white}")
        # float32 is exact enough: no value lies nearer than 0.5/257 to a rounding border
        scaled = np.rint(values.astype(np.float32) * np.float32(255 / white)).astype(np.uint8)
    elif values.dtype.kind == "f":
        refuse_bad_floats(values, name)
        wide = values.astype(np.float32) if values.dtype.itemsize < 4 else values
        scaled = np.rint(np.clip(wide, 0, 1) * 255).astype(np.uint8)
    else:
        reason = f"has pixels of type {values.dtype}; use uint8, uint16 or float in 0..1"
        raise ImageError(name, reason)
    return scaled


def refuse_bad_floats(values: NDArray[Any], name: str) -> None:
    """Raise ImageError when float pixels are NaN, infinite or outside [0, 1]."""
    if values.size == 0:
        return
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(name, "has pixels that are NaN or infinite")
    if low < -_FLOAT_SLACK or high > 1 + _FLOAT_SLACK:
        raise ImageError(
            name,
            f"has float pixels from {low:g} to {high:g}; they must lie in 0..1 "
            "(divide by the white level first)",
        )


def channel_axis(shape: tuple[int, ...], *, channels_first: bool, name: str) -> int | None:
    """Find the channel axis of one image's shape.

    Where both ends could be channels, as in (3, 40, 3), ``channels_first`` decides: True for
    tensors, whose habit is (C, H, W), False for arrays, whose habit is (H, W, C).

    Args:
        shape: (H, W), (H, W, C) or (C, H, W), with C = 1 or 3.
        channels_first: which end to try first.
        name: what to call the image in errors.

    Returns:
        0, 2, or None for (H, W).

    Raises:
        ImageError: the shape is none of these, or has no pixels.
    """
    if 0 in shape:
        raise ImageError(name, f"has shape {shape}, which holds no pixels")
    if len(shape) == 2:
        return None
    if len(shape) == 3:
        for axis in (0, 2) if channels_first else (2, 0):
            if shape[axis] in _CHANNELS:
                return axis
    raise ImageError(
        name, f"has shape {shape}; use (H, W), (H, W, C) or (C, H, W) with 1 or 3 channels"
    )


def to_rgb(values: NDArray[Any], name: str, *, channels_first: bool = False) -> Pixels:
    """Turn one image array into 8-bit RGB.

    Args:
        values: (H, W), (H, W, C) or (C, H, W) with C = 1 or 3, of a type that ``to_uint8`` takes.
        name: what to call the image in errors.
        channels_first: how to read a shape that fits both layouts.

    Returns:
        uint8 (H, W, 3); grey is repeated over the three channels.

    Raises:
        ImageError: a wrong shape, type or range.
    """
    axis = channel_axis(values.shape, channels_first=channels_first, name=name)
    if axis is None:
        values = values[:, :, None]
    elif axis == 0:
        values = values.transpose(1, 2, 0)
    scaled = to_uint8(values, name)
    return np.ascontiguousarray(np.broadcast_to(scaled, (*scaled.shape[:2], 3)))


def over_black(rgba: Pixels) -> Pixels:
    """Composite 8-bit RGBA over black: uint8 (H, W, 4) to (H, W, 3); opaque pixels are kept."""
    alpha = rgba[:, :, 3:].astype(np.uint16)
    # 255 * 255 + 127 fits into 16 bits; adding 127 rounds to the nearest
    return ((rgba[:, :, :3] * alpha + np.uint16(127)) // np.uint16(255)).astype(np.uint8)
