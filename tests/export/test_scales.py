"""Fusion and calibration in tensors give what they give in numbers."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri_exp

from oddlens.export.quantile import normal_quantile
from oddlens.export.scales import PValue, Scales, Tails
from oddlens.scoring import Calibration, Fusion, Standardiser, fuse
from oddlens.scoring.tails import log_tails

finite = st.floats(-50, 50).map(lambda value: round(value, 2))  # rounded, so that some tie
some = st.lists(finite, min_size=1, max_size=30)


@given(some, some)
def test_p_values(held_out: list[float], asked: list[float]) -> None:
    calibration = Calibration(np.array(held_out))
    scores = np.array(asked + held_out)
    found = PValue(calibration)(torch.from_numpy(scores)).numpy()
    assert np.array_equal(found, calibration.p_values(scores))


@given(some, some)
def test_tails(reference: list[float], asked: list[float]) -> None:
    values = np.array([*asked, *reference, -1e4, 1e4])
    found = Tails(reference)(torch.from_numpy(values))
    for mine, wanted in zip(found, log_tails(values, reference), strict=True):
        assert np.allclose(mine.numpy(), wanted, rtol=1e-9, atol=1e-300)


def test_quantiles_to_the_far_end_of_the_tail() -> None:
    log_p = -np.geomspace(np.log(2), 1e6, 5000)
    found = normal_quantile(torch.from_numpy(log_p)).numpy()
    assert np.allclose(found, ndtri_exp(log_p), rtol=1e-11, atol=1e-15)
    upper = normal_quantile(torch.tensor([-0.1, -1e-5], dtype=torch.float64)).numpy()
    assert np.allclose(upper, ndtri_exp([-0.1, -1e-5]), rtol=1e-9)


@pytest.mark.parametrize("how", get_args(Fusion))
@pytest.mark.parametrize("names", ["ab", "cab", "a"])
def test_fusions(how: Fusion, names: str) -> None:
    random = np.random.default_rng(0)
    raw = {name: random.normal(at, 1 + at, 20) for at, name in enumerate(names)}
    standardiser = Standardiser.fit(raw).with_reference(raw)
    new = {name: random.normal(at, 4, 50) for at, name in enumerate(names)}
    scales = Scales(standardiser, how, None)
    found = scales.fused({name: torch.from_numpy(each) for name, each in new.items()})
    wanted = fuse(standardiser(new), how, standardiser.reference)
    assert np.allclose(found.numpy(), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("how", get_args(Fusion))
@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_a_cue_with_its_own_share(how: Fusion, weight: float) -> None:
    random = np.random.default_rng(0)
    raw = {name: random.normal(at, 1 + at, 20) for at, name in enumerate("cab")}
    standardiser = Standardiser.fit(raw).with_reference(raw).with_vote("a", weight, raw, how)
    new = {name: random.normal(at, 4, 50) for at, name in enumerate("cab")}
    found = Scales(standardiser, how, None).fused(
        {name: torch.from_numpy(each) for name, each in new.items()}
    )
    assert np.allclose(found.numpy(), standardiser.fused(new, how), rtol=1e-12, atol=1e-12)
