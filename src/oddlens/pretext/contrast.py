"""Contrast through a memory: the positive of a view is what memory recalls of the other one.

AnoMem, section 5, reconstructed; the form of its Eqs. 2 to 4 is our choice (AM-U9). Without memory
it is the NT-Xent loss of SimCLR (Chen et al. 2020).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def contrast(
    observed: Tensor,
    recalled: Tensor | None,
    normal: Tensor | None = None,
    *,
    temperature: float = 0.2,
) -> Tensor:
    """Memory-augmented NT-Xent of two views of N images.

    With z the embeddings of what is observed and u of what is recalled, ``v = u`` for normal images
    and ``v = z`` for anomalies, which therefore never write into the memory::

        pos    = e(z_ka, v_kb),  b the other view,  e(x, y) = exp(sim(x, y) / t)
        l(k,a) = -log pos / (pos + sum_{j != k, c} [e(z_ka, v_jc) + e(z_ka, z_jc)])

    Where v is z, the two terms of a negative are one and count once.

    Args:
        observed: z, ``(2 N, D)``, rows k and k + N the two views of image k.
        recalled: u, likewise; None for plain NT-Xent.
        normal: ``(N,)`` bool; None if all are.
        temperature: t, above 0.

    Returns:
        The mean over all views, a scalar.
    """
    views = len(observed)
    image = torch.arange(views, device=observed.device) % (views // 2)
    z = F.normalize(observed, dim=1)
    if recalled is None:
        through = torch.zeros(views, dtype=torch.bool, device=z.device)
        v = z
    else:
        through = torch.ones_like(image, dtype=torch.bool) if normal is None else normal[image]
        v = torch.where(through[:, None], F.normalize(recalled, dim=1), z)
    same = image[:, None] == image[None]
    to_v = (z @ v.T / temperature).masked_fill(same, -torch.inf)
    to_z = (z @ z.T / temperature).masked_fill(same | ~through[None], -torch.inf)
    positive = (z * v.roll(views // 2, dims=0)).sum(dim=1) / temperature
    every = torch.cat([positive[:, None], to_v, to_z], dim=1)
    return (every.logsumexp(dim=1) - positive).mean()


def variance_term(recalled: Tensor) -> Tensor:
    """``mean_c max(0, 1 - sqrt(Var r_c + 1e-6) sqrt(C))``: 0 at the spread of random unit vectors.

    VICReg's hinge on the recalls (AM-U10). Without it all prototypes are recalled at once, one mean
    vector for everything, and detection falls to chance.

    Args:
        recalled: ``(R, C)``, recalls of normal images over batch and positions.

    Returns:
        A scalar in [0, 1]; 0 where there are fewer than two recalls.
    """
    if len(recalled) < 2:
        return recalled.sum() * 0
    deviation = (recalled.var(dim=0, correction=0) + 1e-6).sqrt()
    return F.relu(1 - deviation * recalled.shape[1] ** 0.5).mean()
