"""The loop without early leaving gives what the loop with it gives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from oddlens.pretext.masking import checkerboards, released_partition_masks
from oddlens.pretext.refinement import Stop, refine
from oddlens.pretext.refinement_at_once import refine_at_once
from oddlens.pretext.restoration import Reference

SIDE = 24


def box_filter(masked: Tensor, mask: Tensor) -> Tensor:
    """In-paints with what is around: its answer depends on what is hidden."""
    seen = torch.nn.functional.avg_pool2d(masked, 9, 1, 4)
    share = torch.nn.functional.avg_pool2d(mask, 9, 1, 4)
    return seen / (share + 0.05)


def judge(errors: Tensor) -> Tensor:
    return errors[:, 0] + 10 * errors[:, 1]


@pytest.mark.parametrize("rounds", [0, 1, 4])
@pytest.mark.parametrize("first", ["checkerboard", "partition"])
def test_it_gives_what_the_loop_gives(rounds: int, first: str) -> None:
    random = torch.Generator().manual_seed(0)
    images = torch.rand(8, 3, SIDE, SIDE, generator=random)
    images[:4] = torch.nn.functional.avg_pool2d(images[:4], 7, 1, 3)  # some restore well
    images[2, :, :9, :9] = 1.0
    masks = {
        cell: checkerboards(SIDE, cell)
        if first == "checkerboard"
        else released_partition_masks(SIDE, cell, 3, seed=1)
        for cell in (4, 5)
    }
    limits = {4: (0.15, 0.2), 5: (0.1, 0.25)}
    reference = Reference.of(images, 2.0)
    wanted = refine(box_filter, judge, reference, masks, limits, rounds=rounds)
    found = refine_at_once(box_filter, judge, reference, masks, limits, rounds=rounds)
    for cell, mine in found.items():
        theirs = wanted[cell]
        for name in ("first", "last", "restored"):
            assert torch.allclose(getattr(mine, name), getattr(theirs, name), atol=1e-6), name
        for name in ("hidden", "covered", "stop"):
            assert torch.equal(getattr(mine, name), getattr(theirs, name)), name
    if rounds == 4:  # the images leave at different times, else the test says little
        stops = torch.cat([each.stop for each in wanted.values()])
        spent = torch.cat([each.rounds for each in wanted.values()])
        assert len({Stop(each) for each in stops.tolist()}) >= 2
        assert len(set(spent.tolist())) >= 3
