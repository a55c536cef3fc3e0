"""Quarter turns of normal images as images of their own: distribution augmentation.

Sohn et al. 2021 (DROC) and Tack et al. 2020 (CSI): contrast spreads all images over the sphere,
normal and odd alike; beside turned copies, normal images keep to a part of it. Here the copies are
treated as anomalies are: contrasted, but never written into a memory (our choice).
"""

from __future__ import annotations

import torch
from torch import Tensor


def with_turned(images: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """Images and, of the normal ones, copies turned by 90, 180 and 270 degrees.

    Args:
        images: ``(N, C, S, S)``, square.
        normal: ``(N,)`` bool.

    Returns:
        ``(N + 3 M, C, S, S)`` of M normal images, and which are normal: no copy is.
    """
    own = images[normal]
    copies = torch.cat([own.rot90(turns, (-2, -1)) for turns in (1, 2, 3)])
    return torch.cat([images, copies]), torch.cat([normal, normal.new_zeros(len(copies))])
