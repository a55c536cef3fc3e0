"""The masking pretext task: which pixels of an image are hidden from the network.

Masks are float tensors, **1 = visible, 0 = hidden** (SSM, Fig. 1 and released code), made of square
cells. Three families: partitions (released code), free masks (the paper's training masks), and
complementary checkerboards (the paper's first inference masks).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor


def cells_per_side(size: int, cell: int) -> int:
    """How many cells of ``cell`` pixels cover ``size`` pixels (the last one may be cut)."""
    return -(-size // cell)


def paint_cells(grid: Tensor, size: int, cell: int) -> Tensor:
    """Blow a grid of cell values up to pixels.

    Args:
        grid: ``(..., n, n)``, one value a cell.
        size: side of the result in pixels; cells that stick out are cut.
        cell: side of a cell in pixels.

    Returns:
        ``(..., size, size)``.
    """
    painted = grid.repeat_interleave(cell, dim=-1).repeat_interleave(cell, dim=-2)
    return painted[..., :size, :size]


def cell_means(maps: Tensor, cell: int) -> Tensor:
    """The mean of a map over each cell; a cell cut by the border counts the pixels it has.

    Args:
        maps: ``(N, H, W)`` float.
        cell: side of a cell in pixels.

    Returns:
        ``(N, ceil(H / cell), ceil(W / cell))``.
    """
    pooled = torch.nn.functional.avg_pool2d(maps[:, None], cell, ceil_mode=True)
    return pooled[:, 0]


def partition_masks(size: int, cell: int, parts: int, generator: Generator) -> Tensor:
    """Random disjoint masks that together hide every pixel exactly once (SSM, released code).

    Args:
        size: side of the image in pixels.
        cell: side of a cell in pixels.
        parts: number of masks; each hides about ``1 / parts`` of the cells.
        generator: draws the assignment.

    Returns:
        ``(parts, size, size)`` of zeros and ones.
    """
    count = cells_per_side(size, cell) ** 2
    order = torch.rand(count, generator=generator).argsort()
    return _masks_from_order(order, size, cell, parts)


def released_partition_masks(size: int, cell: int, parts: int, seed: int) -> Tensor:
    """The partition that the released inference code draws for one round and one cell size.

    It permutes with NumPy's legacy generator, seeded anew for every cell size, so that the same
    seed gives the very masks of the released code.

    Args:
        size: side of the image in pixels.
        cell: side of a cell in pixels.
        parts: number of masks.
        seed: the released code's seed (8) plus the round.

    Returns:
        ``(parts, size, size)`` of zeros and ones.
    """
    order = np.random.RandomState(seed).permutation(cells_per_side(size, cell) ** 2)
    return _masks_from_order(torch.from_numpy(order), size, cell, parts)


def _masks_from_order(order: Tensor, size: int, cell: int, parts: int) -> Tensor:
    """Mask i hides the i-th of ``parts`` equal runs of ``order`` (the last one may be shorter)."""
    side = cells_per_side(size, cell)
    run = -(-order.numel() // parts)
    group = torch.empty_like(order)
    group[order] = torch.arange(order.numel(), device=order.device) // run
    grid = torch.stack([(group != part).float() for part in range(parts)]).view(-1, side, side)
    return paint_cells(grid, size, cell)


def free_masks(
    count: int, size: int, cells: Sequence[int], ratio: tuple[float, float], generator: Generator
) -> Tensor:
    """One random mask an image: a cell size of its own and a random share of its cells hidden.

    Our choice (SSM-U2): at refinement the network meets checkerboards (half hidden) as well as
    sparse clusters, so training spans both.

    Args:
        count: number of images.
        size: side of the image in pixels.
        cells: cell sizes to draw from, uniformly, one an image.
        ratio: lowest and highest share of hidden cells, drawn uniformly, one an image.
        generator: draws everything.

    Returns:
        ``(count, size, size)`` of zeros and ones.
    """
    low, high = ratio
    choices = torch.randint(len(cells), (count,), generator=generator).tolist()
    shares = torch.rand(count, generator=generator) * (high - low) + low
    masks = torch.empty(count, size, size)
    for index, choice in enumerate(choices):
        side = cells_per_side(size, cells[choice])
        noise = torch.rand(side, side, generator=generator)
        masks[index] = paint_cells((noise >= shares[index]).float(), size, cells[choice])
    return masks


def checkerboards(size: int, cell: int) -> Tensor:
    """The two complementary checkerboards (SSM, Fig. 1): together they hide every pixel once.

    Returns:
        ``(2, size, size)`` of zeros and ones.
    """
    index = torch.arange(cells_per_side(size, cell))
    board = ((index[:, None] + index[None, :]) % 2).float()
    return paint_cells(torch.stack([board, 1 - board]), size, cell)
