"""Anomaly maps as pictures to lay over an image."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from oddlens.report.heat import HeatScale
from oddlens.serving.schemas import MapValues

_TOP = 8.0


def map_uri(values: npt.NDArray[np.float32], threshold: float) -> str:
    """A map in the report's colours, as the data URI of a PNG with transparency.

    The scale depends on nothing but the threshold, so that the maps of all requests can be
    compared. Its calm end is 0, the mean over the pixels of held-out normal images, and its hot end
    lies as many times as far from it as the threshold, 8 (our choice: defects exceed the threshold
    many times over, and colours rise with the logarithm). ``page/heat.js`` paints the same.

    Args:
        values: ``(H, W)``.
        threshold: of pixels.
    """
    calm = min(0.0, threshold - 1.0)
    scale = HeatScale.anchored([calm], [calm + _TOP * (threshold - calm)], threshold)
    buffer = io.BytesIO()
    Image.fromarray(scale.paint(values)).save(buffer, "PNG", compress_level=6)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def rounded_down(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float16]:
    """Map values in 16 bits, which are half the bytes and fit them all: for callers that draw.

    Down, and not to the nearest: what lies above a threshold afterwards does so before as well, so
    that a guaranteed false-alarm rate holds for rounded maps too.

    Args:
        values: of any shape.

    Returns:
        The same shape: of each the greatest 16-bit float that is not above it, which is less than
        a 1000th of it below (and 6e-8 near 0); but 65504 for all that is greater, and -65504 for
        all that is less. NaN stays.
    """
    most = float(np.finfo(np.float16).max)
    bounded = np.clip(values, -most, most)
    near = bounded.astype(np.float16)
    above = near > bounded
    near[above] = np.nextafter(near[above], np.float16(-np.inf))
    return near


def map_values(values: npt.NDArray[np.float32]) -> MapValues:
    """A map ``(H, W)`` as its values, see ``rounded_down``."""
    height, width = values.shape
    content = rounded_down(values).astype("<f2", copy=False).tobytes()
    return MapValues(width=width, height=height, data=base64.b64encode(content).decode("ascii"))
