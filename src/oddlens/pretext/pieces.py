"""Images cut into a grid of pieces, shuffled, and put together again with a gap between them.

What the jigsaw of MultiTask (by permutation) and the puzzle of MultiCue (piece by piece) share.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Generator, Tensor

from oddlens.errors import UsageError

FILL = 0.5
"""What stands between pieces: mid-grey, which is 0 once a network has centred its input."""


def cut(images: Tensor, grid: int) -> Tensor:
    """Cut ``(N, C, S, S)`` into ``(N, grid**2, C, S / grid, S / grid)``, row by row.

    Raises:
        UsageError: the side is no multiple of the grid.
    """
    if images.shape[-1] % grid or images.shape[-2] % grid:
        raise UsageError(
            f"image_size {images.shape[-1]} cannot be cut into {grid} x {grid} equal pieces; "
            f"take a multiple of {grid}"
        )
    return rearrange(images, "n c (gy h) (gx w) -> n (gy gx) c h w", gy=grid, gx=grid)


def assemble(pieces: Tensor) -> Tensor:
    """The inverse of ``cut``: ``(N, grid**2, C, c, c)`` to ``(N, C, grid * c, grid * c)``."""
    grid = round(pieces.shape[1] ** 0.5)
    return rearrange(pieces, "n (gy gx) c h w -> n c (gy h) (gx w)", gy=grid, gx=grid)


def shuffle(pieces: Tensor, order: Tensor) -> Tensor:
    """Put piece ``order[i]`` into slot i.

    Args:
        pieces: ``(N, n, ...)``.
        order: ``(N, n)`` int64, each row a permutation of 0 to n - 1. It is the label as well: the
            original position of the piece that is now in slot i.
    """
    rows = torch.arange(pieces.shape[0], device=pieces.device)[:, None]
    return pieces[rows, order]


def unshuffle(pieces: Tensor, order: Tensor) -> Tensor:
    """The inverse of ``shuffle``: what is in slot i goes back to position ``order[i]``."""
    return shuffle(pieces, order.argsort(dim=1))


def default_margin(cell: int) -> int:
    """Pixels a piece loses to the gap: ``max(2, round(0.15 c))``, our choice (MT-U3).

    The smallest that breaks the continuity of seams, by which a jigsaw could be solved without
    looking at what the pieces show.
    """
    return max(2, round(0.15 * cell))


def draw_offsets(images: int, pieces: int, margin: int, generator: Generator) -> Tensor:
    """Random places of tiles in their cells, ``(images, pieces, 2)`` int64 in [0, margin]."""
    return torch.randint(0, margin + 1, (images, pieces, 2), generator=generator)


def with_margin(
    pieces: Tensor, margin: int, source: Tensor | None = None, target: Tensor | None = None
) -> Tensor:
    """Take a smaller tile from each piece and paste it onto mid-grey (MT-U3).

    Args:
        pieces: ``(N, n, C, c, c)``.
        margin: the tile's side is ``c - margin``; 0 gives the pieces themselves.
        source: ``(N, n, 2)`` int64, row and column of the tile's corner in its piece, 0 to margin;
            None for the middle.
        target: the same for where it is pasted.

    Returns:
        ``(N, n, C, c, c)``; no cell is filled from edge to edge, unless the margin is 0.

    Raises:
        UsageError: the margin leaves nothing of a piece.
    """
    if margin == 0:
        return pieces
    cell = pieces.shape[-1]
    if margin >= cell:
        raise UsageError(f"margin {margin} leaves nothing of pieces of {cell} pixels; lower it")
    if source is None and target is None:
        start, side = margin // 2, cell - margin
        tile = pieces[..., start : start + side, start : start + side]
        left = margin - start
        return F.pad(tile, (start, left, start, left), value=FILL)
    middle = torch.full((*pieces.shape[:2], 2), margin // 2, device=pieces.device)
    source = middle if source is None else source.to(pieces.device)
    target = middle if target is None else target.to(pieces.device)
    place = torch.arange(cell, device=pieces.device) - target[..., None]  # (N, n, 2, c)
    filled = ((place >= 0) & (place < cell - margin)).to(pieces.dtype)
    wanted = (place + source[..., None]).clamp(0, cell - 1)
    pixel = wanted[:, :, 0, :, None] * cell + wanted[:, :, 1, None, :]  # (N, n, c, c)
    flat = pieces.flatten(3)
    moved = flat.gather(3, pixel.flatten(2)[:, :, None].expand_as(flat)).view(pieces.shape)
    # By arithmetic, which is exact here and a third of the time of a selection by truth values.
    inside = (filled[:, :, 0, :, None] * filled[:, :, 1, None, :])[:, :, None]
    return moved.mul_(inside).add_((1 - inside) * FILL)
