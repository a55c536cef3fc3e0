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


def map_values(values: npt.NDArray[np.float32]) -> MapValues:
    """A map ``(H, W)`` as its values."""
    height, width = values.shape
    content = np.ascontiguousarray(values, dtype="<f4").tobytes()
    return MapValues(width=width, height=height, data=base64.b64encode(content).decode("ascii"))
