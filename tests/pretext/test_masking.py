"""Masks: 1 = visible, whole cells, and the families that hide every pixel once do exactly that."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oddlens.pretext.masking import (
    cell_means,
    cells_per_side,
    checkerboards,
    free_masks,
    paint_cells,
    partition_masks,
    released_partition_masks,
)
from tests.oracles.ssm_released import oracle

SIZE = st.integers(1, 40)
CELL = st.integers(1, 13)
SEED = st.integers(0, 2**31 - 1)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def is_made_of_cells(masks: Tensor, cell: int) -> bool:
    means = cell_means(masks, cell)
    return torch.equal(paint_cells(means.round(), masks.shape[-1], cell), masks)


@settings(deadline=None)
@given(size=SIZE, cell=CELL)
def test_cells_cover_the_image_without_one_too_many(size: int, cell: int) -> None:
    count = cells_per_side(size, cell)
    assert (count - 1) * cell < size <= count * cell


@settings(deadline=None)
@given(size=SIZE, cell=CELL, seed=SEED)
def test_a_painted_grid_is_read_back_by_cell_means(size: int, cell: int, seed: int) -> None:
    side = cells_per_side(size, cell)
    grid = torch.rand(2, side, side, generator=seeded(seed), dtype=torch.float64)
    painted = paint_cells(grid, size, cell)
    assert painted.shape == (2, size, size)
    assert torch.allclose(cell_means(painted, cell), grid, atol=1e-12)
    for y, x in [(0, 0), (size - 1, size - 1), (0, size - 1), (size // 2, size // 3)]:
        assert torch.equal(painted[:, y, x], grid[:, y // cell, x // cell])


@settings(deadline=None)
@given(size=SIZE, cell=CELL, seed=SEED)
def test_cell_means_are_the_means_of_the_pixels_a_cell_has(size: int, cell: int, seed: int) -> None:
    maps = torch.rand(1, size, size, generator=seeded(seed), dtype=torch.float64)
    means = cell_means(maps, cell)[0]
    for row, y in enumerate(range(0, size, cell)):
        for column, x in enumerate(range(0, size, cell)):
            plain = maps[0, y : y + cell, x : x + cell].mean()
            assert means[row, column] == pytest.approx(float(plain), abs=1e-12)


@settings(deadline=None)
@given(size=SIZE, cell=CELL, parts=st.integers(2, 5), seed=SEED)
def test_a_partition_hides_every_pixel_exactly_once(
    size: int, cell: int, parts: int, seed: int
) -> None:
    for masks in (
        partition_masks(size, cell, parts, seeded(seed)),
        released_partition_masks(size, cell, parts, seed),
    ):
        assert masks.shape == (parts, size, size)
        assert bool(((masks == 0) | (masks == 1)).all())
        assert torch.equal((1 - masks).sum(dim=0), torch.ones(size, size))
        assert is_made_of_cells(masks, cell)


@pytest.mark.parametrize("size", [128, 256])
@pytest.mark.parametrize("cell", [2, 4, 8])
def test_each_of_three_parts_hides_a_third(size: int, cell: int) -> None:
    """The spec's 0.328 to 0.336."""
    for masks in (
        partition_masks(size, cell, 3, seeded(0)),
        released_partition_masks(size, cell, 3, 8),
    ):
        hidden = 1 - masks.mean(dim=(1, 2))
        assert hidden.min() >= 0.328
        assert hidden.max() <= 0.336


def test_a_partition_depends_on_the_generator_and_on_nothing_else() -> None:
    generator = seeded(3)
    first, second = partition_masks(32, 4, 3, generator), partition_masks(32, 4, 3, generator)
    assert not torch.equal(first, second)
    torch.manual_seed(99)
    assert torch.equal(first, partition_masks(32, 4, 3, seeded(3)))
    assert torch.equal(released_partition_masks(32, 4, 3, 8), released_partition_masks(32, 4, 3, 8))
    assert not torch.equal(
        released_partition_masks(32, 4, 3, 8), released_partition_masks(32, 4, 3, 9)
    )


@pytest.mark.parametrize("cell", [2, 8])
@pytest.mark.parametrize("kind", ["good", "defect"])
def test_the_released_partition_is_the_very_one_of_the_released_code(cell: int, kind: str) -> None:
    """Round 0. Round 1, where blocks are uncovered, is in test_released.py."""
    expected = oracle(f"released_{kind}_masks_round0_k{cell}")
    assert torch.equal(released_partition_masks(128, cell, 3, seed=8), expected)


@settings(deadline=None)
@given(size=SIZE, cell=CELL)
def test_checkerboards_are_complementary_and_alternate(size: int, cell: int) -> None:
    boards = checkerboards(size, cell)
    assert torch.equal(boards[0], 1 - boards[1])
    assert is_made_of_cells(boards, cell)
    if size > cell:
        assert torch.equal(boards[:, :, cell:], 1 - boards[:, :, : size - cell])
        assert torch.equal(boards[:, cell:], 1 - boards[:, : size - cell])


@settings(deadline=None)
@given(size=st.integers(8, 40), cell=CELL, seed=SEED)
def test_free_masks_are_made_of_whole_cells(size: int, cell: int, seed: int) -> None:
    masks = free_masks(3, size, (cell,), (0.1, 0.5), seeded(seed))
    assert masks.shape == (3, size, size)
    assert is_made_of_cells(masks, cell)


def test_free_masks_hide_shares_all_over_the_range() -> None:
    masks = free_masks(400, 64, (2,), (0.1, 0.5), seeded(0))
    hidden = 1 - masks.mean(dim=(1, 2))
    # 1024 cells a mask: the share scatters by at most 0.016 around the one drawn.
    assert 0.05 < hidden.min() < 0.15
    assert 0.45 < hidden.max() < 0.56
    assert hidden.mean() == pytest.approx(0.3, abs=0.02)
    assert hidden.std() == pytest.approx(0.4 / 12**0.5, abs=0.015)


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_free_masks_hide_the_given_share_on_average(share: float) -> None:
    masks = free_masks(50, 64, (4,), (share, share), seeded(1))
    assert float(1 - masks.mean()) == pytest.approx(share, abs=0.01)


def test_every_image_gets_a_cell_size_and_a_mask_of_its_own() -> None:
    masks = free_masks(60, 32, (2, 8), (0.4, 0.6), seeded(2))
    coarse = sum(is_made_of_cells(mask[None], 8) for mask in masks)
    assert 15 < coarse < 45
    assert all(is_made_of_cells(mask[None], 2) for mask in masks)
    assert len({mask.numpy().tobytes() for mask in masks}) == 60
    assert torch.equal(masks, free_masks(60, 32, (2, 8), (0.4, 0.6), seeded(2)))
