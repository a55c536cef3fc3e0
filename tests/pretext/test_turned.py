"""Turned copies are of normal images only, and are none themselves."""

from __future__ import annotations

import pytest
import torch

from oddlens.pretext.augmentation import Flips
from oddlens.pretext.turned import distinct_turns, with_turned


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


@pytest.mark.parametrize(
    ("flips", "axes"), [("none", [()]), ("horizontal", [(), (-1,)]), ("both", [(), (-1,), (-2,)])]
)
def test_no_copy_looks_like_the_image_or_another_copy_when_mirrored(
    flips: Flips, axes: list[tuple[int, ...]]
) -> None:
    image = torch.rand(1, 3, 5, 5)
    ways = [*axes, (-1, -2)] if flips == "both" else axes
    copies, _ = with_turned(image, torch.tensor([True]), distinct_turns(flips))
    assert len(copies) > 1
    seen = [one.flip(way) if way else one for one in copies for way in ways]
    assert not any(torch.equal(a, b) for at, a in enumerate(seen) for b in seen[:at])
