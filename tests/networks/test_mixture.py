"""The mixture of Gaussians at every pixel, against torch.distributions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from oddlens.networks.mixture import FLOOR, REACH, Mixture


def outputs(seed: int, components: int = 3, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 6 * components, 4, 5)
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


def colours(seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 2, 4, 5, generator=generator, dtype=torch.float64) * 2 - 1


def factors(mixture: Mixture) -> Tensor:
    """The Cholesky factors, ``(N, H, W, K, 2, 2)``."""
    zero = torch.zeros_like(mixture.l21)
    rows = [torch.stack([mixture.l11, zero], -1), torch.stack([mixture.l21, mixture.l22], -1)]
    return torch.stack(rows, dim=-2).movedim(1, 3)


@given(seed=st.integers(0, 2**31), components=st.integers(1, 5), diagonal=st.booleans())
def test_the_likelihood_is_that_of_torch_distributions(
    seed: int, components: int, diagonal: bool
) -> None:
    mixture = Mixture.of(outputs(seed, components), diagonal=diagonal)
    means = torch.stack([mixture.mean_a, mixture.mean_b], dim=-1).movedim(1, 3)
    oracle = MixtureSameFamily(
        Categorical(logits=mixture.log_weight.movedim(1, -1)),
        MultivariateNormal(means, scale_tril=factors(mixture)),
    )
    wanted = oracle.log_prob(colours().movedim(1, -1))  # type: ignore[no-untyped-call]
    torch.testing.assert_close(mixture.log_likelihood(colours()), wanted)


@given(seed=st.integers(0, 2**31), scale=st.sampled_from([1.0, 10.0, 1000.0]))
def test_every_covariance_is_positive_definite(seed: int, scale: float) -> None:
    mixture = Mixture.of(outputs(seed, scale=scale))
    assert min(mixture.l11.min(), mixture.l22.min()) >= FLOOR
    assert max(mixture.mean_a.abs().max(), mixture.mean_b.abs().max()) <= REACH
    if scale <= 10:  # beyond, rounding decides
        lower = factors(mixture)
        assert float(torch.linalg.eigvalsh(lower @ lower.mT).min()) > 0


def test_a_diagonal_covariance_has_no_correlation_and_a_full_one_has() -> None:
    assert not Mixture.of(outputs(0), diagonal=True).l21.any()
    assert Mixture.of(outputs(0)).l21.all()


@pytest.mark.parametrize("colour", [0.0, 0.3])
def test_the_gradient_is_finite_on_flat_colour_even_of_a_fit_without_error(colour: float) -> None:
    flat = torch.full((2, 2, 4, 5), colour)
    output = outputs(0).float().requires_grad_()
    for _ in range(200):
        loss = -Mixture.of(output).log_likelihood(flat).sum()
        (gradient,) = torch.autograd.grad(loss, output)
        assert bool(gradient.isfinite().all())
        output = (output - 0.005 * gradient).detach().requires_grad_()
    assert bool(loss.isfinite())


def test_the_step_of_generalised_em_has_the_gradient_of_the_likelihood() -> None:
    output = outputs(0).requires_grad_()
    (direct,) = torch.autograd.grad(-Mixture.of(output).log_likelihood(colours()).sum(), output)
    joint = Mixture.of(output).joint(colours())
    responsibility = joint.softmax(dim=1).detach()
    (step,) = torch.autograd.grad(-(responsibility * joint).sum(), output)
    torch.testing.assert_close(step, direct, rtol=0, atol=1e-10)


def test_half_precision_is_read_in_float32() -> None:
    assert Mixture.of(outputs(0).bfloat16()).log_weight.dtype == torch.float32
