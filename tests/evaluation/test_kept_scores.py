"""The scores of trials on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oddlens.errors import DataError
from oddlens.evaluation.kept_scores import KeptScores, keep_scores, read_scores
from tests.evaluation.made_records import made

KEPT = KeptScores(
    np.linspace(-1, 1, 20), np.repeat([False, True], [5, 15]), np.arange(20, dtype=np.int64) * 2
)


def test_they_come_back_as_they_were(tmp_path: Path) -> None:
    name = keep_scores(tmp_path / "scores", made().key, KEPT)
    found = read_scores(tmp_path / "scores", made(scores=name))
    assert found is not None
    for one, other in zip(vars(found).values(), vars(KEPT).values(), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_each_trial_has_a_file_of_its_own(tmp_path: Path) -> None:
    names = {keep_scores(tmp_path, made(seed=seed).key, KEPT) for seed in range(3)}
    assert len(names) == 3
    assert {path.name for path in tmp_path.iterdir()} == names


def test_none_were_kept(tmp_path: Path) -> None:
    assert read_scores(tmp_path, made()) is None
    assert read_scores(tmp_path, made(scores="gone.npz")) is None


def test_a_file_that_is_damaged_or_of_another_trial(tmp_path: Path) -> None:
    name = keep_scores(tmp_path, "key", KEPT)
    with pytest.raises(DataError, match="of another trial"):
        read_scores(tmp_path, made(scores=name, metrics={**vars(made().metrics), "n_normal": 6}))
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be read as the scores"):
        read_scores(tmp_path, made(scores=name))
