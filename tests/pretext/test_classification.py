"""Transformation recognition: loss, truth and normality against the plain sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from oddlens.pretext.classification import accuracy, normality, task_loss, truth

LOGITS = st.integers(0, 2**31).map(
    lambda seed: torch.randn(4, 5, 4, generator=torch.Generator().manual_seed(seed))
)


@given(LOGITS)
def test_the_loss_is_the_sum_of_a_cross_entropy_for_each_transform(logits: torch.Tensor) -> None:
    one_by_one = [
        F.cross_entropy(each, torch.full((5,), label)) for label, each in enumerate(logits)
    ]
    assert float(task_loss(logits)) == pytest.approx(float(torch.stack(one_by_one).sum()), rel=1e-5)


@given(LOGITS)
def test_truth_is_the_softmax_of_the_true_class(logits: torch.Tensor) -> None:
    expected = softmax(logits.double().numpy(), axis=-1)
    for label in range(4):
        assert np.allclose(truth(logits)[label], expected[label, :, label], atol=1e-12)
    assert torch.allclose(normality(logits, "mean"), normality(logits) / 4)


def test_the_ends_of_the_scale() -> None:
    perfect = 100 * torch.eye(4)[:, None].expand(4, 2, 4)
    assert normality(perfect).tolist() == [4, 4]
    assert normality(torch.zeros(4, 2, 4)).tolist() == [1, 1]
    assert accuracy(perfect) == 1
    assert accuracy(-perfect) == 0


@given(LOGITS, st.integers(0, 3), st.floats(0.1, 5))
def test_a_worse_answer_lowers_normality(logits: torch.Tensor, label: int, less: float) -> None:
    worse = logits.clone()
    worse[label, :, label] -= less
    assert bool((normality(worse) < normality(logits)).all())
