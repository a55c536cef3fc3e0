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
    # Channel by channel in memory: what turns colours reads whole channels.
    planes = rearrange(images, "n c (gy h) (gx w) -> c n (gy gx) h w", gy=grid, gx=grid)
    return planes.movedim(0, 2)


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
    places = order.view(*order.shape, *[1] * (pieces.ndim - 2))
    return pieces.scatter(1, places.expand_as(pieces), pieces)


def default_margin(cell: int) -> int:
    """Pixels a piece loses to the gap: ``max(2, round(0.15 c))``, our choice (MT-U3).

    The smallest that breaks the continuity of seams, by which a jigsaw could be solved without
    looking at what the pieces show.
    """
    return max(2, round(0.15 * cell))


def draw_offsets(images: int, pieces: int, margin: int, generator: Generator) -> Tensor:
    """Random places of tiles in their cells, ``(images, pieces, 2)`` int64 in [0, margin]."""
    return torch.randint(0, margin + 1, (images, pieces, 2), generator=generator)


def with_margin(pieces: Tensor, margin: int) -> Tensor:
    """Take a smaller tile from the middle of each piece and put it onto mid-grey (MT-U3).

    Args:
        pieces: ``(N, n, C, c, c)``.
        margin: the tile's side is ``c - margin``; 0 gives the pieces themselves.

    Returns:
        ``(N, n, C, c, c)``; no cell is filled from edge to edge, unless the margin is 0.

    Raises:
        UsageError: the margin leaves nothing of a piece.
    """
    if margin == 0:
        return pieces
    cell = pieces.shape[-1]
    _refuse_all_of(cell, margin)
    start, side = margin // 2, cell - margin
    tile = pieces[..., start : start + side, start : start + side]
    left = margin - start
    return F.pad(tile, (start, left, start, left), value=FILL)


def scattered(pieces: Tensor, order: Tensor, margin: int, source: Tensor, target: Tensor) -> Tensor:
    """Shuffle, take a smaller tile from anywhere in each piece, paste it anywhere in its slot.

    All in one: each pixel of the result is looked up among those of the pieces, one after the
    other in memory, behind which stands what fills the gaps.

    Args:
        pieces: ``(N, n, C, c, c)``.
        order: ``(N, n)`` int64, see ``shuffle``.
        margin: the tile's side is ``c - margin``.
        source: ``(N, n, 2)`` int64, by slot: row and column of the tile's corner in its piece, 0 to
            margin.
        target: the same for where in the slot it is pasted.

    Returns:
        The images put together, ``(N, C, S, S)``, channels_last.

    Raises:
        UsageError: the margin leaves nothing of a piece.
    """
    count, number, channels, cell, _ = pieces.shape
    _refuse_all_of(cell, margin)
    grid, pixels = round(number**0.5), count * number * cell**2
    table = pieces.new_full((pixels + 1, channels), FILL)
    table[:-1].view(count, number, cell, cell, channels).copy_(pieces.movedim(2, -1))

    # int32 is half the work. What is outside a tile points behind the pixels.
    kind = torch.int32 if 2 * pixels < 2**31 else torch.int64
    order, source, target = (each.to(pieces.device, kind) for each in (order, source, target))
    place = torch.arange(cell, dtype=kind, device=pieces.device) - target[..., None]
    outside = place.clamp(0, cell - margin - 1) != place
    rows, columns = (place + source[..., None]).unbind(2)  # (N, n, c)
    step = number * cell**2
    first = torch.arange(0, pixels, step, dtype=kind, device=pieces.device)
    corner = torch.add(first[:, None], order, alpha=cell**2)
    rows = torch.add(corner[..., None], rows, alpha=cell).masked_fill_(outside[:, :, 0], pixels)
    columns = columns.masked_fill(outside[:, :, 1], pixels)
    rows = rows.view(count, grid, grid, cell).transpose(2, 3).contiguous()
    index = (rows[..., None] + columns.view(count, grid, 1, grid, cell)).clamp_(max=pixels)
    return F.embedding(index.view(count, grid * cell, grid * cell), table).movedim(-1, 1)


def _refuse_all_of(cell: int, margin: int) -> None:
    if margin >= cell:
        raise UsageError(f"margin {margin} leaves nothing of pieces of {cell} pixels; lower it")
