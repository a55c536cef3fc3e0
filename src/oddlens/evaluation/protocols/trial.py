"""One fit and one test, whatever the protocol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oddlens.images import ImagesLike


@dataclass(frozen=True)
class Trial:
    """What is learned, and what is scored.

    Attributes:
        protocol: its name.
        normal: what is normal, in words.
        train: normal images to fit on.
        test: images to score, none of them in ``train``.
        anomalous: ``(N,)`` bool, the truth about ``test``.
    """

    protocol: str
    normal: str
    train: ImagesLike
    test: ImagesLike
    anomalous: NDArray[np.bool_]
