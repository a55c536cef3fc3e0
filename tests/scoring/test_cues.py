"""Cues: shapes and dtypes are checked where they are made, so that errors name the cue."""

from __future__ import annotations

import pytest
import torch

from oddlens.errors import UsageError
from oddlens.scoring import Cues


def make(count: int, start: float = 0.0, size: int = 4) -> Cues:
    scores = torch.arange(count, dtype=torch.float64) + start
    maps = torch.full((count, size, size), start, dtype=torch.float32)
    return Cues({"gms": scores, "mse": -scores}, {"gms": maps})


def test_concatenate_keeps_the_order() -> None:
    joined = Cues.concatenate([make(2), make(1, 5.0), make(0)])
    assert len(joined) == 3
    assert joined.scores["gms"].tolist() == [0, 1, 5]
    assert joined.scores["mse"].tolist() == [0, -1, -5]
    assert joined.scores["gms"].dtype == torch.float64
    assert joined.maps["gms"][:, 0, 0].tolist() == [0, 0, 5]
    assert joined.maps["gms"].dtype == torch.float32


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="no cues to concatenate"):
        Cues.concatenate([])
    with pytest.raises(UsageError, match="different cues"):
        Cues.concatenate([make(1), Cues({"gms": torch.zeros(1, dtype=torch.float64)})])
    with pytest.raises(UsageError, match=r"map of cue 'gms': sizes \(4, 4\) and \(8, 8\)"):
        Cues.concatenate([make(1), make(1, size=8)])


@pytest.mark.parametrize(
    ("scores", "maps", "message"),
    [
        ({}, {}, "at least one cue"),
        ({"a": torch.zeros(2)}, {}, "cue 'a': expected torch.float64"),
        ({"a": torch.zeros(2, 1, dtype=torch.float64)}, {}, r"got torch.float64 of shape \(2, 1\)"),
        ({"a": torch.tensor(0.0, dtype=torch.float64)}, {}, "cue 'a'"),
        (
            {"a": torch.zeros(2, dtype=torch.float64), "b": torch.zeros(3, dtype=torch.float64)},
            {},
            "cue 'b': 3 images where the first cue has 2",
        ),
        (
            {"a": torch.zeros(2, dtype=torch.float64)},
            {"b": torch.zeros(2, 4, 4)},
            "map of cue 'b': there is no score",
        ),
        (
            {"a": torch.zeros(2, dtype=torch.float64)},
            {"a": torch.zeros(2, 1, 4, 4)},
            r"map of cue 'a': expected torch.float32 of shape \(N, H, W\)",
        ),
        (
            {"a": torch.zeros(2, dtype=torch.float64)},
            {"a": torch.zeros(1, 4, 4)},
            "map of cue 'a': 1 images",
        ),
    ],
)
def test_mistakes_of_a_method_are_named(
    scores: dict[str, torch.Tensor], maps: dict[str, torch.Tensor], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Cues(scores, maps)
