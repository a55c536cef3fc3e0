"""The scores of trials on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddlens.errors import DataError
from oddlens.evaluation.kept_scores import KeptScores, keep_scores, read_scores
from oddlens.evaluation.records import Record
from tests.evaluation.made_records import made as made_record

KEPT = KeptScores(
    np.linspace(-1, 1, 20), np.repeat([False, True], [5, 15]), np.arange(20, dtype=np.int64) * 2
)


def made(auroc: float = 1.0, **other: Any) -> Record:
    """A record of ``KEPT``, whose scores tell all."""
    return made_record(auroc=auroc, **other)


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
    with pytest.raises(DataError, match="another run"):
        read_scores(tmp_path, made(auroc=0.99, scores=name))
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be read as the scores"):
        read_scores(tmp_path, made(scores=name))


def test_whatever_byte_is_damaged_is_told_in_one_sentence(tmp_path: Path) -> None:
    name = keep_scores(tmp_path, "key", KEPT)
    path, found = tmp_path / name, made(scores=name)
    whole = path.read_bytes()
    refused = 0
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            read_scores(tmp_path, found)
        except DataError:
            refused += 1
    assert refused > len(whole) / 6  # the others are dates and the like, which say nothing


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("scores", KEPT.scores[:3]),
        ("scores", KEPT.scores[None]),
        ("labels", KEPT.labels.astype(np.float64)),
        ("places", KEPT.places.astype(str)),
    ],
)
def test_arrays_that_do_not_belong_together(
    name: str, other: np.typing.NDArray[Any], tmp_path: Path
) -> None:
    np.savez_compressed(tmp_path / "some.npz", **{**vars(KEPT), name: other})
    with pytest.raises(DataError, match="cannot be read as the scores"):
        read_scores(tmp_path, made(scores="some.npz"))
