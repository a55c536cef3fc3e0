"""MultiCue's attention: a map P over the pieces, its density term, and its use at pixels.

The form of P and of L_density, its sign and its weight are not known to us (MC-U9, MC-U10, MC-U12):
P is a softmax over the cells, and the density term penalises variance, because minimising
sum_i P_i L_i alone lets P collapse onto the single easiest piece.
"""

from __future__ import annotations

import math
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

COLLAPSED = 0.3
"""Share of the largest possible entropy, log n, below which a run counts as collapsed."""


def uniform(count: int, pieces: int, device: torch.device) -> Tensor:
    """What stands for P where attention is off: 1 / n everywhere, ``(N, n)``."""
    return torch.full((count, pieces), 1 / pieces, device=device)


def density(attention: Tensor) -> Tensor:
    """n^2 Var(P) over the cells (population variance), mean over the batch.

    Args:
        attention: ``(N, n)``, rows sum to 1.

    Returns:
        A scalar in [0, n - 1]: 0 for a uniform P, n - 1 for a one-hot one.
    """
    pieces = attention.shape[1]
    return pieces**2 * attention.var(dim=1, correction=0).mean()


def entropy_share(attention: Tensor) -> Tensor:
    """Entropy of P over log n: ``(N, n)``, n >= 2, to ``(N,)`` in [0, 1]."""
    entropy: Tensor = torch.special.entr(attention).sum(dim=1)
    return entropy / math.log(attention.shape[1])


def warn_if_collapsed(share: float) -> bool:
    """Warn, and tell, if the mean entropy share is below ``COLLAPSED``."""
    collapsed = share < COLLAPSED
    if collapsed:
        warnings.warn(
            f"the attention map has collapsed (its entropy is {100 * share:.0f} % of the largest "
            "possible one): raise lambda_d, or set attention=off",
            UserWarning,
            stacklevel=2,
        )
    return collapsed


def to_pixels(attention: Tensor, size: int, alpha: int) -> Tensor:
    """Q: P enlarged bilinearly, of mean 1 over the centre, without gradient (MC-U12).

    Args:
        attention: ``(N, g * g)``, of the pieces in their original places.
        size: S.
        alpha: width of the border that is not part of the centre.

    Returns:
        ``(N, S - 2 alpha, S - 2 alpha)``, above 0.
    """
    grid = math.isqrt(attention.shape[1])
    cells = attention.detach().view(-1, 1, grid, grid)
    pixels = F.interpolate(cells, size=(size, size), mode="bilinear", align_corners=False)[:, 0]
    centre = pixels[:, alpha : size - alpha, alpha : size - alpha]
    return centre / centre.mean(dim=(-2, -1), keepdim=True)
