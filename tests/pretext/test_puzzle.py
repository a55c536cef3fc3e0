"""The piece-wise puzzle: orders, labels, loss."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oddlens.pretext.pieces import assemble, cut, shuffle, unshuffle
from oddlens.pretext.puzzle import accuracy, draw_orders, fixed_orders, puzzle_loss


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(grid=st.integers(2, 4), seed=st.integers(0, 2**31))
def test_a_drawn_permutation_is_undone_exactly(grid: int, seed: int) -> None:
    images = torch.rand(3, 3, 5 * grid, 5 * grid, generator=seeded(seed))
    order = draw_orders(3, grid**2, seeded(seed))
    assert torch.equal(order.sort(dim=1).values, torch.arange(grid**2).expand(3, -1))
    shuffled = shuffle(cut(images, grid), order)
    assert torch.equal(assemble(unshuffle(shuffled, order)), images)


def test_the_label_of_a_slot_is_where_its_piece_came_from() -> None:
    order = torch.tensor([[1, 2, 0, 3]])  # of order 3, so that its inverse is another
    pieces = torch.arange(4.0).view(1, 4, 1, 1, 1)  # every piece shows its own position
    shown = shuffle(pieces, order).flatten(1).long()
    assert torch.equal(shown, order)
    assert not torch.equal(shown, order.argsort(dim=1))
    solved = 50 * torch.nn.functional.one_hot(shown, 4).float()
    assert puzzle_loss(solved, order).max() < 1e-6
    assert accuracy(solved, order) == 1
    assert accuracy(solved, order.argsort(dim=1)) == pytest.approx(0.25)


def test_the_loss_is_a_cross_entropy_in_every_slot() -> None:
    logits = torch.randn(5, 9, 9, generator=seeded(), dtype=torch.float64)
    order = draw_orders(5, 9, seeded())
    loss = puzzle_loss(logits, order)
    assert loss.shape == (5, 9)
    for n in range(5):
        for i in range(9):
            answers = torch.distributions.Categorical(logits=logits[n, i])
            wanted = -answers.log_prob(order[n, i])  # type: ignore[no-untyped-call]
            torch.testing.assert_close(loss[n, i], wanted)
    even = puzzle_loss(torch.zeros(1, 9, 9), order[:1])
    assert even.mean().item() == pytest.approx(math.log(9))


def test_every_position_is_drawn_for_every_slot_about_equally() -> None:
    order = draw_orders(9000, 9, seeded(3))
    for slot in range(9):
        counts = torch.bincount(order[:, slot], minlength=9)
        assert 850 < int(counts.min()) <= int(counts.max()) < 1150  # 1000 is expected, sd 30


def test_orders_of_the_test_depend_on_the_seed_alone() -> None:
    torch.manual_seed(1)
    first = fixed_orders(4, 9, 7)
    torch.manual_seed(2)
    assert torch.equal(first, fixed_orders(4, 9, 7))
    assert not torch.equal(first, fixed_orders(4, 9, 8))
    assert torch.equal(first[:1], fixed_orders(1, 9, 7))
