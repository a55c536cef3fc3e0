"""Maps standardised place by place."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oddlens.scoring.places import PlaceMoments, Places


def seen(*batches: torch.Tensor) -> PlaceMoments:
    moments = PlaceMoments()
    for each in batches:
        moments.add(each)
    return moments


@given(st.integers(0, 1000), st.integers(1, 6))
def test_the_moments_are_those_of_all_batches_together(seed: int, cut: int) -> None:
    maps = torch.randn(7, 3, 4, generator=torch.Generator().manual_seed(seed))
    mean, scale = seen(maps[:cut], maps[cut:]).statistics()
    variance = maps.double().var(dim=0, correction=0)
    torch.testing.assert_close(mean, maps.double().mean(dim=0))
    torch.testing.assert_close(scale, ((variance + variance.mean()) / 2).sqrt())


def test_a_place_that_is_always_hard_is_not_odd_and_one_that_is_hard_now_is() -> None:
    normal = torch.randn(50, 4, 4, generator=torch.Generator().manual_seed(0))
    normal[:, 0, 0] += 100
    places = Places((4, 4))
    places.learn(seen(normal))
    image = torch.zeros(1, 4, 4)
    image[0, 0, 0] = 100
    image[0, 2, 2] = 10
    found = places(image)[0]
    assert float(found.flatten().argmax()) == 2 * 4 + 2
    assert abs(float(found[0, 0])) < 1


def test_a_place_without_any_variance_is_not_blown_up() -> None:
    normal = torch.randn(50, 2, 2, generator=torch.Generator().manual_seed(0))
    normal[:, 0, 0] = 1.0
    places = Places((2, 2))
    places.learn(seen(normal))
    found = places(torch.full((1, 2, 2), 1.001))
    assert abs(float(found[0, 0, 0])) < 0.01


def test_maps_that_never_differ_and_none_at_all() -> None:
    places = Places((2, 2))
    maps = torch.ones(3, 2, 2)
    assert torch.equal(places(maps), maps)
    places.learn(seen(maps))
    assert torch.equal(places(maps), torch.zeros(3, 2, 2))
    with pytest.raises(ValueError, match="no map"):
        PlaceMoments().statistics()
