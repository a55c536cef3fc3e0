"""Quarter turns of normal images as images of their own: distribution augmentation.

Sohn et al. 2021 (DROC) and Tack et al. 2020 (CSI): contrast spreads all images over the sphere,
normal and odd alike; beside turned copies, normal images keep to a part of it. Here the copies are
treated as anomalies are: contrasted, but never written into a memory (our choice).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from oddlens.pretext.augmentation import Flips


def distinct_turns(flips: Flips) -> tuple[int, ...]:
    """Quarter turns whose views differ from those of the image and from one another's.

    Mirrored along both axes an image is turned by 180 degrees: contrast would then push apart what
    looks the same. By 270 degrees it is turned by 90 and mirrored so.
    """
    return (1,) if flips == "both" else (1, 2, 3)


def with_turned(
    images: Tensor, normal: Tensor, turns: Sequence[int] = (1, 2, 3)
) -> tuple[Tensor, Tensor]:
    """Images and, of the normal ones, copies turned by 90, 180 and 270 degrees.

    Args:
        images: ``(N, C, S, S)``, square.
        normal: ``(N,)`` bool.
        turns: by how many quarters, a copy for each.

    Returns:
        ``(N + T M, C, S, S)`` for T turns of M normal images, and which are normal: no copy is.
    """
    own = images[normal]
    copies = torch.cat([own.rot90(quarters, (-2, -1)) for quarters in turns])
    return torch.cat([images, copies]), torch.cat([normal, normal.new_zeros(len(copies))])
