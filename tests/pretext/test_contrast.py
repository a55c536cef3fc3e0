"""Contrast through a memory: SimCLR without it, and anomalies that never write into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from oddlens.networks.memory import PrototypeMemory
from oddlens.pretext.contrast import contrast, variance_term

ORACLE = np.load(Path(__file__).parents[1] / "oracles" / "nt_xent.npz")
LOSSES = [name for name in ORACLE.files if name.startswith("loss_temperature_")]


@pytest.mark.parametrize("name", LOSSES)
def test_without_memory_it_is_nt_xent_of_public_code(name: str) -> None:
    temperature = float(name.removeprefix("loss_temperature_"))
    embeddings = torch.from_numpy(ORACLE["embeddings"])
    found = contrast(embeddings, None, temperature=temperature)
    # That code adds 1e-8 to the probability before its logarithm; the loss here adds nothing.
    assert float(found) == pytest.approx(float(ORACLE[name]), rel=1e-4)
    z = embeddings.double()
    odds = (z @ z.T / temperature).exp().fill_diagonal_(0)
    share = odds[torch.arange(16), (torch.arange(16) + 8) % 16] / odds.sum(dim=1)
    assert float(-share.log().mean()) == pytest.approx(float(found), rel=1e-6)
    assert float(-(share + 1e-8).log().mean()) == pytest.approx(float(ORACLE[name]), rel=1e-6)
    anomalies = torch.zeros(len(embeddings) // 2, dtype=torch.bool)
    bypassed = contrast(embeddings, embeddings.flip(0), anomalies, temperature=temperature)
    assert float(bypassed) == pytest.approx(float(found), rel=1e-6)


@given(st.integers(0, 2**31), st.lists(st.booleans(), min_size=2, max_size=5))
def test_it_is_the_formula_written_out(seed: int, normal: list[bool]) -> None:
    generator = torch.Generator().manual_seed(seed)
    count = len(normal)
    z, u = (
        F.normalize(torch.randn(2 * count, 6, generator=generator, dtype=torch.float64), dim=1)
        for _ in range(2)
    )
    losses = []
    for row in range(2 * count):
        k, other = row % count, (row + count) % (2 * count)
        v = [u[j] if normal[j % count] else z[j] for j in range(2 * count)]
        positive = torch.exp(z[row] @ v[other] / 0.3)
        rest = torch.zeros((), dtype=torch.float64)
        for j in range(2 * count):
            if j % count != k:
                rest += torch.exp(z[row] @ v[j] / 0.3)
                rest += torch.exp(z[row] @ z[j] / 0.3) if normal[j % count] else 0.0
        losses.append(-torch.log(positive / (positive + rest)))
    found = contrast(z, u, torch.tensor(normal), temperature=0.3)
    assert float(found) == pytest.approx(float(torch.stack(losses).mean()), rel=1e-9)


@pytest.mark.parametrize("normal", [True, False])
def test_the_memory_learns_from_normal_images_and_from_no_other(normal: bool) -> None:
    memory = PrototypeMemory(4, 6)
    recall = memory(torch.randn(6, 6, 2, 2))
    z, u = (each.mean(dim=(-2, -1)) for each in (recall.observed, recall.recalled))
    labels = torch.full((3,), normal)
    kept = recall.recalled[labels.repeat(2)].permute(0, 2, 3, 1).flatten(0, 2)
    loss = contrast(z, u, labels) + variance_term(kept)
    if not loss.requires_grad:
        assert not normal
        return
    loss.backward()  # type: ignore[no-untyped-call]
    gradient = memory.prototypes.grad
    assert gradient is not None
    assert bool(gradient.any()) == normal


def test_the_variance_term_at_its_ends() -> None:
    assert float(variance_term(torch.ones(50, 8))) == pytest.approx(1, abs=0.01)
    spread = F.normalize(torch.randn(20_000, 8), dim=1)
    assert float(variance_term(spread)) < 0.02
    assert float(variance_term(torch.ones(1, 8))) == 0
