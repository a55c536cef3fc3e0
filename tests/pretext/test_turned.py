"""Turned copies are of normal images only, and are none themselves."""

from __future__ import annotations

import torch

from oddlens.pretext.turned import with_turned


def test_copies_stand_behind_and_are_not_normal() -> None:
    images = torch.rand(3, 3, 5, 5)
    found, normal = with_turned(images, torch.tensor([True, False, True]))
    assert normal.tolist() == [True, False, True, *[False] * 6]
    assert torch.equal(found[:3], images)
    own = images[[0, 2]]
    for turns in (1, 2, 3):
        assert torch.equal(found[1 + 2 * turns : 3 + 2 * turns], own.rot90(turns, (2, 3)))


def test_where_nothing_is_normal_nothing_is_added() -> None:
    images = torch.rand(2, 3, 4, 4)
    found, normal = with_turned(images, torch.tensor([False, False]))
    assert torch.equal(found, images)
    assert not normal.any()
