"""Artifacts come back exactly as they were saved."""

from __future__ import annotations

import json
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from oddlens.artifact import FILES, read_artifact, write_artifact
from oddlens.errors import ArtifactError
from tests.artifact.made import listing, make, same

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text().filter(lambda key: key != "$float"), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text().filter(lambda key: key != "$float"), VALUES, max_size=4)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "new" / "bottle.oddlens"
    write_artifact(make(), path)
    assert same(read_artifact(path), make())
    assert listing(path) == sorted(FILES)
    assert listing(path.parent) == ["bottle.oddlens"]


@settings(deadline=None, max_examples=50)  # Disks are slow when others use them.
@given(OBJECTS, OBJECTS, OBJECTS)
def test_json_values_come_back_exactly(
    config: dict[str, Any], calibration: dict[str, Any], provenance: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        write_artifact(make(config=config, calibration=calibration, provenance=provenance), path)
        again = read_artifact(path)
        for one, other in (
            (again.config, config),
            (again.calibration, calibration),
            (again.provenance, provenance),
        ):
            assert repr(one) == repr(other)  # Tells -0.0 from 0.0, 1 from 1.0 and True.
        for name in ("config.json", "calibration.json"):
            json.loads((path / name).read_bytes(), parse_constant=pytest.fail)  # Strict JSON.


def test_values_that_are_not_finite_come_back(tmp_path: Path) -> None:
    provenance = {"loss": [math.nan, math.inf, {"low": -math.inf}]}
    write_artifact(make(provenance=provenance), tmp_path / "m")
    loss = read_artifact(tmp_path / "m").provenance["loss"]
    assert math.isnan(loss[0])
    assert loss[1:] == [math.inf, {"low": -math.inf}]


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor([True, False]),
        torch.tensor([1, -(2**62)]),
        torch.tensor([0.1, math.nan, math.inf], dtype=torch.bfloat16),
        torch.tensor([0.1, 1e-310], dtype=torch.float64),
        torch.tensor([1 + 2j]),
        torch.tensor([0.5, 2.0]).to(torch.float8_e4m3fn),
        torch.zeros(0, 3),
        torch.tensor(3.0),
        torch.arange(6.0).reshape(2, 3).T,
        torch.arange(10.0)[::3],
        torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.nn.Parameter(torch.ones(2)),
        torch.ones(1).expand(4),
    ],
    ids=lambda tensor: f"{tensor.dtype}-{tuple(tensor.shape)}",
)
def test_tensors_come_back_bit_for_bit(tmp_path: Path, tensor: Tensor) -> None:
    write_artifact(make(weights={"a": tensor, "tied": tensor}), tmp_path / "m")
    for again in read_artifact(tmp_path / "m").weights.values():
        assert again.dtype == tensor.dtype
        assert again.shape == tensor.shape
        assert again.is_contiguous()
        assert not again.requires_grad
        flat, flat_again = tensor.detach().contiguous().reshape(-1), again.reshape(-1)
        assert flat.view(torch.uint8).tolist() == flat_again.view(torch.uint8).tolist()


def test_the_same_detector_gives_the_same_bytes(tmp_path: Path) -> None:
    backwards = dict(reversed(make().weights.items()))
    write_artifact(make(), tmp_path / "a")
    write_artifact(make(weights=backwards), tmp_path / "b")
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert list(read_artifact(tmp_path / "b").weights) == ["conv.weight", "step"]


def test_no_weights_and_an_odd_card(tmp_path: Path) -> None:
    card = os.fsdecode(b"caf\xe9")
    write_artifact(make(weights={}, card=card), tmp_path / "m")
    again = read_artifact(tmp_path / "m")
    assert again.weights == {}
    assert again.card == card


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": {"a": [1, {"b": Path("x")}]}}, r"config\.a\[1\]\.b is a PosixPath|WindowsPath"),
        ({"provenance": {"n": torch.tensor(1)}}, r"provenance\.n is a Tensor"),
        ({"calibration": {1: 2}}, "calibration has the key 1"),
        ({"config": {"$float": "nan"}}, r"config has the key '\$float'"),
        (
            {"weights": {"a": torch.zeros(1, dtype=torch.complex128)}},
            "cannot be saved: .*complex128",
        ),
        ({"card": "\ud800"}, "cannot be saved: .*surrogates"),
    ],
)
def test_what_cannot_be_saved_is_named_before_anything_is_written(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    write_artifact(make(), tmp_path / "m")
    with pytest.raises(ArtifactError, match=message):
        write_artifact(make(**changes), tmp_path / "m")
    assert same(read_artifact(tmp_path / "m"), make())
    assert listing(tmp_path) == ["m"]
