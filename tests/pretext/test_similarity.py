"""Similarity against the authors' numbers, scipy and kornia; gradients finite and right."""

from __future__ import annotations

import kornia
import numpy as np
import pytest
import scipy.ndimage as ndimage
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from oddlens.pretext.similarity import (
    gms,
    gradient_magnitude,
    gradient_pyramid,
    median3x3,
    msgms_loss,
    msgms_map,
    smooth,
    smoothing_matrix,
    ssim_loss,
    ssim_window,
)
from tests.oracles.ssm_released import oracle

Array = NDArray[np.float64]
C = 0.0026


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- independent implementations ------------------------------------------------------------------


def scipy_gradient(grey: Array) -> Array:
    smooth = ndimage.median_filter(grey, size=3, mode="mirror")
    across = ndimage.prewitt(smooth, axis=1)[1:-1, 1:-1] / 3
    down = ndimage.prewitt(smooth, axis=0)[1:-1, 1:-1] / 3
    magnitude: Array = np.hypot(across, down)
    return magnitude


def halved(image: Array) -> Array:
    height, width = image.shape[0] // 2, image.shape[1] // 2
    blocks = image[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    means: Array = blocks.mean(axis=(1, 3))
    return means


def scipy_dissimilarities(first: Tensor, second: Tensor) -> list[Array]:
    """``1 - GMS`` of one image, scale by scale."""
    a, b = (image.double().mean(dim=0).numpy() for image in (first, second))
    found = []
    for scale in range(4):
        if scale:
            a, b = halved(a), halved(b)
        one, two = scipy_gradient(a), scipy_gradient(b)
        found.append(1 - (2 * one * two + C) / (one**2 + two**2 + C))
    return found


# --- the authors' numbers -------------------------------------------------------------------------


def test_losses_are_those_of_the_released_code() -> None:
    image, other = oracle("image"), oracle("other")
    pyramids = gradient_pyramid(image), gradient_pyramid(other)
    assert float(msgms_loss(*pyramids)) == pytest.approx(float(oracle("msgms_loss")), abs=1e-6)
    assert float(ssim_loss(image, other)) == pytest.approx(float(oracle("ssim_loss")), abs=1e-6)


def test_the_score_map_is_that_of_the_released_code() -> None:
    image, other = oracle("image"), oracle("other")
    found = msgms_map(gradient_pyramid(image), gradient_pyramid(other), 128) - 0.75
    assert torch.allclose(found, oracle("msgms_score")[:, 0], atol=2e-6)


# --- the median -----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(height=st.integers(2, 12), width=st.integers(2, 12), levels=st.sampled_from([2, 5, 255]))
def test_the_median_is_scipys(height: int, width: int, levels: int) -> None:
    images = (noise(2, 3, height, width, seed=height * 13 + width) * levels).round()
    expected = ndimage.median_filter(images.numpy(), size=(1, 1, 3, 3), mode="mirror")
    assert np.array_equal(median3x3(images).numpy(), expected)


def test_the_median_has_the_right_gradient() -> None:
    distinct = torch.randperm(60, generator=torch.Generator().manual_seed(0)).double() / 60
    images = distinct.view(2, 1, 5, 6).requires_grad_()
    assert torch.autograd.gradcheck(median3x3, (images,))


def test_the_median_gives_each_pixels_gradient_once_where_values_tie() -> None:
    images = torch.ones(1, 1, 6, 6, requires_grad=True)
    weights = noise(1, 1, 6, 6)
    (median3x3(images) * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert images.grad is not None
    assert float(images.grad.sum()) == pytest.approx(float(weights.sum()), rel=1e-5)


# --- gradient-magnitude similarity ----------------------------------------------------------------


def test_the_gradient_is_scipys_prewitt_of_the_median() -> None:
    grey = noise(3, 1, 17, 22, dtype=torch.float64)
    found = gradient_magnitude(grey)
    assert found.shape == (3, 1, 15, 20)
    for each, image in zip(found, grey, strict=True):
        assert np.allclose(each[0].numpy(), scipy_gradient(image[0].numpy()), atol=1e-7)


def test_a_ramp_has_its_slope_as_gradient() -> None:
    """Prewitt kernels over 3 sum three differences over two pixels, that is twice the slope."""
    ramp = (0.01 * torch.arange(16.0)).expand(1, 1, 16, 16)
    assert torch.allclose(gradient_magnitude(ramp)[..., 1:-1], torch.tensor(0.02), atol=1e-6)


@pytest.mark.parametrize("side", [24, 33, 64])
def test_gms_is_a_direct_scipy_implementation(side: int) -> None:
    images, others = noise(2, 3, side, side), noise(2, 3, side, side, seed=1)
    pyramids = gradient_pyramid(images), gradient_pyramid(others)
    expected = [scipy_dissimilarities(a, b) for a, b in zip(images, others, strict=True)]
    for scale, (a, b) in enumerate(zip(*pyramids, strict=True)):
        for index in range(2):
            plain = expected[index][scale]
            assert np.allclose(1 - gms(a, b)[index, 0].numpy(), plain, atol=1e-5)
    loss = np.mean([np.mean([each[scale].mean() for each in expected]) for scale in range(4)])
    assert float(msgms_loss(*pyramids)) == pytest.approx(loss, abs=1e-5)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000))
def test_gms_is_symmetric_lies_in_0_to_1_and_is_1_for_equal_gradients(seed: int) -> None:
    a, b = noise(1, 1, 8, 8, seed=seed), noise(1, 1, 8, 8, seed=seed + 1)
    similarity = gms(a, b)
    assert torch.equal(similarity, gms(b, a))
    assert similarity.min() > 0
    assert similarity.max() <= 1
    assert torch.allclose(gms(a, a), torch.ones(()), atol=1e-6)


def test_equal_images_have_no_loss_and_an_empty_map() -> None:
    image = noise(2, 3, 32, 32)
    pyramid = gradient_pyramid(image)
    assert float(msgms_loss(pyramid, pyramid)) == pytest.approx(0, abs=1e-6)
    assert torch.allclose(msgms_map(pyramid, pyramid, 32), torch.zeros(()), atol=1e-6)
    assert float(ssim_loss(image, image)) == pytest.approx(0, abs=1e-5)


def test_one_pyramid_is_compared_with_many() -> None:
    image, others = noise(1, 3, 32, 32), noise(4, 3, 32, 32, seed=1)
    one, many = gradient_pyramid(image), gradient_pyramid(others)
    together = msgms_map(one, many, 32)
    for index in range(4):
        alone = msgms_map(one, [level[index : index + 1] for level in many], 32)
        assert torch.allclose(together[index], alone[0], atol=1e-6)


@pytest.mark.parametrize(("side", "scales"), [(16, 3), (20, 3), (23, 3), (24, 4), (12, 3), (3, 1)])
def test_small_images_get_the_scales_that_have_a_gradient(side: int, scales: int) -> None:
    a, b = (
        gradient_pyramid(noise(1, 3, side, side)),
        gradient_pyramid(noise(1, 3, side, side, seed=1)),
    )
    assert len(a) == scales
    assert all(level.numel() for level in a)
    assert bool(msgms_loss(a, b).isfinite())
    assert bool(msgms_map(a, b, side).isfinite().all())


# --- SSIM -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (1, 1, 20, 37), (2, 3, 11, 8)])
def test_ssim_is_kornias(shape: tuple[int, ...]) -> None:
    """Kornia pads by reflection; on an image with a rim of zeros, "valid" is our zero padding."""
    a = noise(*shape)
    b = (a + 0.2 * noise(*shape, seed=1)).clamp(max=1)
    rim = (5, 5, 5, 5)
    similarity = kornia.metrics.ssim(F.pad(a, rim), F.pad(b, rim), 11, padding="valid")
    assert similarity.shape == shape
    assert float(ssim_loss(a, b)) == pytest.approx(1 - float(similarity.mean()), abs=2e-5)


def test_an_inverted_image_is_worse_than_an_unrelated_one() -> None:
    image = noise(1, 3, 32, 32)
    inverted, unrelated = ssim_loss(image, 1 - image), ssim_loss(image, noise(1, 3, 32, 32, seed=9))
    assert 1 > unrelated > 0.5
    assert inverted > unrelated


# --- gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("other", ["flat", "noise"])
def test_gradients_are_finite_on_a_flat_image(level: float, other: str) -> None:
    flat = torch.full((1, 3, 32, 32), level, requires_grad=True)
    target = torch.full((1, 3, 32, 32), level) if other == "flat" else noise(1, 3, 32, 32)
    loss = msgms_loss(gradient_pyramid(target), gradient_pyramid(flat)) + ssim_loss(target, flat)
    loss.backward()  # type: ignore[no-untyped-call]
    assert bool(loss.isfinite())
    assert flat.grad is not None
    assert bool(flat.grad.isfinite().all())


def test_both_losses_have_the_right_gradient() -> None:
    """At two scales: on fewer pixels, medians repeat, and a gradient of exactly 0 has a kink."""
    image = noise(1, 3, 16, 16, dtype=torch.float64).requires_grad_()
    target = noise(1, 3, 16, 16, seed=1, dtype=torch.float64)
    pyramid = gradient_pyramid(target, 2)
    assert torch.autograd.gradcheck(lambda x: ssim_loss(target, x), (image,))
    assert torch.autograd.gradcheck(lambda x: msgms_loss(pyramid, gradient_pyramid(x, 2)), (image,))


def test_matrices_first_made_in_inference_mode_serve_training_too() -> None:
    ssim_window.cache_clear()
    smoothing_matrix.cache_clear()
    image = noise(1, 3, 32, 32)
    with torch.inference_mode():
        ssim_loss(image, image)
        smooth(image, 1.5)
    trained = noise(1, 3, 32, 32, seed=1).requires_grad_()
    (ssim_loss(image, trained) + smooth(trained, 1.5).mean()).backward()  # type: ignore[no-untyped-call]
    assert trained.grad is not None


# --- smoothing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.5, 2.0, 7.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_smoothing_is_scipys(sigma: float, dtype: torch.dtype) -> None:
    maps = noise(2, 24, 31, dtype=dtype)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-12
    plane = np.stack([ndimage.gaussian_filter(each.numpy(), sigma) for each in maps])
    found = smooth(maps, sigma)
    assert found.dtype == dtype
    assert np.allclose(found.numpy(), plane, atol=tolerance)
    rows = ndimage.gaussian_filter1d(maps.numpy(), sigma, axis=-1)
    assert np.allclose(smooth(maps, sigma, rows_only=True).numpy(), rows, atol=tolerance)


def test_row_smoothing_leaves_adjacent_rows_independent() -> None:
    maps = noise(1, 16, 16)
    changed = maps.clone()
    changed[0, 5] += 1
    before, after = (smooth(each, 7.0, rows_only=True)[0] for each in (maps, changed))
    others = [row for row in range(16) if row != 5]
    assert torch.equal(before[others], after[others])
    assert not torch.allclose(before[5], after[5])
    assert not torch.allclose(smooth(maps, 7.0)[0, 6], smooth(changed, 7.0)[0, 6])


def test_sigma_0_smooths_nothing() -> None:
    maps = noise(1, 8, 8)
    assert torch.equal(smooth(maps, 0), maps)


@settings(deadline=None, max_examples=20)
@given(sigma=st.floats(0.3, 9), level=st.floats(-3, 3))
def test_smoothing_keeps_a_constant(sigma: float, level: float) -> None:
    maps = torch.full((1, 12, 12), level)
    assert torch.allclose(smooth(maps, sigma), maps, atol=1e-5)
