"""The jigsaw: its permutations, and that label j means permutation j."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import pytest
import torch
from torch import Generator

from oddlens.errors import UsageError
from oddlens.pretext.jigsaw import Jigsaw, distant_permutations
from oddlens.pretext.pieces import assemble, cut, unshuffle


@pytest.mark.parametrize(("pieces", "count"), [(9, 3), (9, 20), (4, 23)])
def test_permutations_are_distinct_and_never_the_identity(pieces: int, count: int) -> None:
    found = distant_permutations(pieces, count, seed=3)
    assert len(set(found)) == count
    assert all(sorted(each) == list(range(pieces)) for each in found)
    assert tuple(range(pieces)) not in found


def test_three_permutations_of_nine_pieces_agree_nowhere() -> None:
    chosen = [tuple(range(9)), *distant_permutations(9, 3, seed=0)]
    for one, other in combinations(chosen, 2):
        assert all(a != b for a, b in zip(one, other, strict=True))


def test_the_identity_can_be_one_of_them() -> None:
    found = distant_permutations(9, 3, seed=0, include_identity=True)
    assert found[0] == tuple(range(9))
    assert found[1:] == distant_permutations(9, 2, seed=0)


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(UsageError, match="24 were asked for, but 4 pieces have 23"):
        distant_permutations(4, 24, seed=0)


def test_another_process_draws_the_same() -> None:
    program = (
        "from oddlens.pretext.jigsaw import distant_permutations;"
        "print(distant_permutations(9, 3, seed=7))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == str(distant_permutations(9, 3, seed=7))


def jigsaw(margin: int) -> Jigsaw:
    return Jigsaw(tuple(distant_permutations(9, 3, seed=1)), grid=3, margin=margin)


def test_label_j_is_permutation_j() -> None:
    images = torch.rand(2, 3, 12, 12)
    task = jigsaw(margin=0)
    for made, permutation in zip(task.transforms(images, None), task.permutations, strict=True):
        order = torch.tensor(permutation).expand(2, -1)
        assert torch.equal(assemble(unshuffle(cut(made, 3), order)), images)


def test_the_gap_is_random_in_training_and_fixed_in_scoring() -> None:
    images = torch.rand(2, 3, 18, 18)
    task = jigsaw(margin=2)
    assert torch.equal(task.transforms(images, None), task.transforms(images, None))
    one, same, other = (
        task.transforms(images, Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
