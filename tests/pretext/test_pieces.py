"""Pieces: what is cut comes together again, labels name original positions, gaps are gaps."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator

from oddlens.errors import UsageError
from oddlens.pretext.pieces import (
    FILL,
    assemble,
    cut,
    default_margin,
    draw_offsets,
    scattered,
    shuffle,
    unshuffle,
    with_margin,
)

SEEDS = st.integers(0, 2**31)


def seeded(seed: int) -> Generator:
    return Generator().manual_seed(seed)


@given(seed=SEEDS, grid=st.integers(2, 4), cell=st.integers(1, 5), count=st.integers(1, 3))
def test_what_is_cut_and_shuffled_comes_back_exactly(
    seed: int, grid: int, cell: int, count: int
) -> None:
    generator = seeded(seed)
    images = torch.rand(count, 3, grid * cell, grid * cell, generator=generator)
    pieces = cut(images, grid)
    assert pieces.shape == (count, grid**2, 3, cell, cell)
    assert torch.equal(assemble(pieces), images)
    order = torch.stack([torch.randperm(grid**2, generator=generator) for _ in range(count)])
    assert torch.equal(unshuffle(shuffle(pieces, order), order), pieces)


def test_a_label_is_where_the_piece_came_from() -> None:
    """A permutation that is not its own inverse tells the two readings apart."""
    order = torch.tensor([[1, 2, 0, 3]])
    pieces = torch.arange(4.0).view(1, 4, 1, 1, 1)
    assert shuffle(pieces, order).flatten().tolist() == [1, 2, 0, 3]


def test_pieces_are_counted_row_by_row() -> None:
    image = torch.zeros(1, 1, 4, 4)
    image[..., :2, 2:] = 1
    assert cut(image, 2).amax(dim=(-3, -2, -1)).tolist() == [[0, 1, 0, 0]]


def test_a_side_that_cannot_be_cut_is_refused() -> None:
    with pytest.raises(UsageError, match="multiple of 3"):
        cut(torch.zeros(1, 3, 32, 32), 3)


@given(seed=SEEDS, cell=st.integers(4, 9), margin=st.integers(1, 3))
def test_no_cell_is_filled_from_edge_to_edge(seed: int, cell: int, margin: int) -> None:
    generator = seeded(seed)
    pieces = 0.9 + 0.1 * torch.rand(2, 4, 3, cell, cell, generator=generator)
    source, target = (draw_offsets(2, 4, margin, generator) for _ in range(2))
    assert int(source.min()) >= 0
    assert int(source.max()) <= margin
    order = torch.stack([torch.randperm(4, generator=generator) for _ in range(2)])
    made = cut(scattered(pieces, order, margin, source, target), 2)
    empty = (made == FILL).all(dim=2)
    assert bool((empty.all(dim=-1).sum(dim=-1) == margin).all()), "rows of each cell"
    assert bool((empty.all(dim=-2).sum(dim=-1) == margin).all()), "columns of each cell"
    side = cell - margin
    for image in range(2):
        for place in range(4):
            (y, x), (v, u) = source[image, place].tolist(), target[image, place].tolist()
            tile = pieces[image, order[image, place], :, y : y + side, x : x + side]
            assert torch.equal(made[image, place, :, v : v + side, u : u + side], tile)


@pytest.mark.parametrize(("margin", "first", "last"), [(0, 0, 8), (3, 1, 6), (4, 2, 6), (7, 3, 4)])
def test_without_offsets_the_tile_is_in_the_middle_and_all_else_grey(
    margin: int, first: int, last: int
) -> None:
    pieces = 0.6 + 0.4 * torch.rand(2, 4, 3, 8, 8)
    expected = torch.full_like(pieces, FILL)
    expected[..., first:last, first:last] = pieces[..., first:last, first:last]
    assert torch.equal(with_margin(pieces, margin), expected)


def test_a_margin_as_large_as_a_piece_is_refused() -> None:
    with pytest.raises(UsageError, match="margin 8"):
        with_margin(torch.rand(1, 4, 1, 8, 8), 8)
    nowhere = torch.zeros(1, 4, 2, dtype=torch.int64)
    with pytest.raises(UsageError, match="margin 8"):
        scattered(torch.rand(1, 4, 1, 8, 8), torch.arange(4)[None], 8, nowhere, nowhere)


def test_the_default_margin() -> None:
    assert [default_margin(cell) for cell in (5, 11, 12, 20, 40)] == [2, 2, 2, 3, 6]
