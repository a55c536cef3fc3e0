"""The memory of prototypes against an independent Hopfield layer, and when it is dead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from oddlens.networks.memory import PrototypeMemory, associate, memory_state

ORACLE = np.load(Path(__file__).parents[1] / "oracles" / "hopfield.npz")


def oracle(name: str) -> torch.Tensor:
    return torch.from_numpy(ORACLE[name])[0]


@pytest.mark.parametrize(("updates", "name"), [(1, "recalled"), (2, "recalled_steps1")])
def test_recalls_are_those_of_a_public_hopfield_layer(updates: int, name: str) -> None:
    found, weights = associate(oracle("queries"), oracle("patterns"), 8.0, updates)
    assert torch.allclose(found, oracle(name), atol=1e-5)
    if updates == 1:
        assert torch.allclose(weights, oracle("association"), atol=1e-6)


def test_it_is_softmax_attention_at_every_position() -> None:
    memory = PrototypeMemory(5, 8, beta=3.0)
    features = torch.randn(2, 8, 3, 4)
    recall = memory(features)
    queries = F.normalize(features.permute(0, 2, 3, 1).reshape(1, -1, 8), dim=-1)
    keys = memory.patterns[None]
    expected = F.scaled_dot_product_attention(queries, keys, keys, scale=3.0)
    found = recall.recalled.permute(0, 2, 3, 1).reshape(1, -1, 8)
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(recall.deviation, recall.observed - recall.recalled)


def test_a_stored_row_is_recalled_as_beta_grows() -> None:
    patterns = F.normalize(torch.randn(6, 16, generator=torch.Generator().manual_seed(0)), dim=1)
    errors = [
        float((associate(patterns, patterns, beta)[0] - patterns).norm(dim=1).max())
        for beta in (1.0, 8.0, 64.0, 512.0)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-6


def test_a_memory_that_recalls_one_mean_for_everything_is_seen_as_dead() -> None:
    features = torch.randn(4, 32, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    dead = memory_state(PrototypeMemory(16, 32, beta=1e-3)(features))
    alive = memory_state(PrototypeMemory(16, 32, beta=200.0)(features))
    assert dead.attention == pytest.approx(16, rel=1e-3)
    assert dead.spread < 0.01
    assert alive.attention < 2
    assert alive.usage > 4
    assert alive.spread > 0.5
