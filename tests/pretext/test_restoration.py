"""Composition, loss terms and error maps, each against a plain computation."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oddlens.pretext.restoration import (
    ERRORS,
    LossWeights,
    Reference,
    compose,
    error_maps,
    restoration_loss,
    texture_gain,
)
from oddlens.pretext.similarity import gradient_pyramid, msgms_map
from tests.oracles.ssm_released import oracle

EVEN = LossWeights()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_visible_pixels_are_copied_and_hidden_ones_restored() -> None:
    images, restored = noise(2, 3, 8, 8), noise(2, 3, 8, 8, seed=1)
    mask = (noise(2, 1, 8, 8, seed=2) > 0.4).float()
    composed = compose(images, restored, mask)
    assert torch.allclose(composed, mask * images + (1 - mask) * restored)
    assert torch.equal(composed[(mask > 0).expand_as(images)], images[(mask > 0).expand_as(images)])


def test_no_gradient_reaches_what_was_restored_at_visible_pixels() -> None:
    images, restored = noise(1, 3, 32, 32), noise(1, 3, 32, 32, seed=1).requires_grad_()
    mask = (noise(1, 1, 32, 32, seed=2) > 0.4).float()
    terms = restoration_loss(images, compose(images, restored, mask), EVEN)
    sum(terms.values(), torch.zeros(())).backward()  # type: ignore[no-untyped-call]
    assert restored.grad is not None
    visible = (mask > 0).expand_as(images)
    assert bool((restored.grad[visible] == 0).all())
    assert bool((restored.grad[~visible] != 0).any())


def test_the_terms_are_those_of_the_released_code() -> None:
    terms = restoration_loss(oracle("image"), oracle("other"), EVEN)
    assert float(terms["mse"]) == pytest.approx(float(oracle("mse")), abs=1e-7)
    assert float(terms["msgms"]) == pytest.approx(float(oracle("msgms_loss")), abs=1e-6)
    assert float(terms["ssim"]) == pytest.approx(float(oracle("ssim_loss")), abs=1e-6)


@pytest.mark.parametrize("name", ["mse", "msgms", "ssim"])
def test_a_weight_scales_its_term_alone_and_0_leaves_it_out(name: str) -> None:
    images, restored = noise(2, 3, 24, 24), noise(2, 3, 24, 24, seed=1)
    even = restoration_loss(images, restored, EVEN)
    assert list(even) == ["mse", "msgms", "ssim"]
    doubled = restoration_loss(images, restored, replace(EVEN, **{name: 2.0}))
    for term, value in even.items():
        assert float(doubled[term]) == pytest.approx(float(value) * (2 if term == name else 1))
    without = restoration_loss(images, restored, replace(EVEN, **{name: 0.0}))
    assert without.keys() == even.keys() - {name}


def test_structure_is_the_multi_scale_dissimilarity() -> None:
    images, restored = noise(2, 3, 32, 32), noise(2, 3, 32, 32, seed=1)
    maps = error_maps(Reference.of(images), restored)
    assert maps.shape == (2, len(ERRORS), 32, 32)
    plain = msgms_map(gradient_pyramid(images), gradient_pyramid(restored), 32)
    assert torch.allclose(maps[:, ERRORS.index("structure")], plain, atol=1e-6)


def test_intensity_is_the_squared_difference_at_four_poolings() -> None:
    images, restored = noise(2, 3, 32, 32), noise(2, 3, 32, 32, seed=1)
    maps = error_maps(Reference.of(images), restored)[:, ERRORS.index("intensity")]
    plain = torch.zeros(2, 32, 32)
    for step in (1, 2, 4, 8):
        blocks = (restored - images).unfold(2, step, step).unfold(3, step, step).mean(dim=(-2, -1))
        squared = blocks.square().mean(dim=1, keepdim=True)
        plain += F.interpolate(squared, size=(32, 32), mode="bilinear")[:, 0] / 4
    assert torch.allclose(maps, plain, atol=1e-6)


def test_a_dark_spot_has_a_positive_residual_and_a_bright_one_a_negative() -> None:
    normal = torch.full((2, 3, 32, 32), 0.5)
    images = normal.clone()
    images[0, :, 8:12, 8:12] -= 0.3
    images[1, :, 8:12, 8:12] += 0.3
    residual = error_maps(Reference.of(images), normal)[:, ERRORS.index("residual")]
    assert torch.allclose(residual[0, 8:12, 8:12], torch.tensor(0.3))
    assert torch.allclose(residual[1, 8:12, 8:12], torch.tensor(-0.3))
    residual[:, 8:12, 8:12] = 0
    assert not residual.any()


def test_an_image_restored_perfectly_has_no_error() -> None:
    images = noise(2, 3, 24, 24)
    assert torch.allclose(error_maps(Reference.of(images), images), torch.zeros(()), atol=1e-6)


def test_errors_of_an_image_do_not_depend_on_its_neighbours() -> None:
    images, restored = noise(4, 3, 24, 24), noise(4, 3, 24, 24, seed=1)
    reference = Reference.of(images)
    together = error_maps(reference, restored)
    chosen = torch.tensor([2, 0])
    assert torch.allclose(error_maps(reference[chosen], restored[chosen]), together[chosen])


@given(gain=st.floats(0.3, 1.0), seed=st.integers(0, 50))
@settings(max_examples=20)
def test_an_equalised_error_does_not_know_how_strong_the_texture_is(gain: float, seed: int) -> None:
    images = 0.5 + 0.2 * (noise(1, 3, 32, 32, seed=seed) - 0.5)
    restored = torch.full_like(images, 0.5)
    weaker = 0.5 + gain * (images - 0.5)
    strong = error_maps(Reference.of(images, 2.0), restored)
    weak = error_maps(Reference.of(weaker, 2.0), restored)
    for name in ("equalised", "residual"):
        channel = ERRORS.index(name)
        assert torch.allclose(strong[:, channel], weak[:, channel], atol=2e-3)
    plain = ERRORS.index("structure")
    assert gain > 0.9 or float(weak[:, plain].mean()) < float(strong[:, plain].mean())


def test_without_equalisation_the_gain_is_one_and_flat_images_stay_finite() -> None:
    images = noise(2, 3, 24, 24)
    assert torch.equal(texture_gain(images, 0.0), torch.ones(2, 1, 1, 1))
    maps = error_maps(Reference.of(images), noise(2, 3, 24, 24, seed=1))
    assert torch.equal(maps[:, ERRORS.index("structure")], maps[:, ERRORS.index("equalised")])
    assert float(texture_gain(torch.full((1, 3, 24, 24), 0.5), 2.0)) == pytest.approx(10.0)


def test_a_small_defect_does_not_move_the_gain() -> None:
    images = 0.5 + 0.1 * (noise(1, 3, 64, 64) - 0.5)
    broken = images.clone()
    broken[..., 10:18, 10:18] = 0.0
    before, after = texture_gain(images, 4.0), texture_gain(broken, 4.0)
    assert float(after) == pytest.approx(float(before), rel=0.1)
