"""One-vs-all, and what all protocols share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlens.errors import UsageError
from oddlens.evaluation.protocols import PROTOCOLS, TestSet, Trial, get_protocol
from oddlens.evaluation.protocols.base import limited
from oddlens.images.catalogue import ClassData, Images, LabelledImages


def some_data() -> ClassData:
    def part(labels: list[int]) -> LabelledImages:
        pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None] + np.zeros((1, 4, 4), "u1")
        return LabelledImages(pixels, np.array(labels, np.int64))

    return ClassData("made", ("a", "b", "c"), "unknown", part([0, 1, 1, 2]), part([2, 1, 0, 1]))


def values(images: Images) -> list[int]:
    assert isinstance(images, np.ndarray)
    return [int(value) for value in images[:, 0, 0]]


def test_one_class_is_learned_and_all_are_tested() -> None:
    protocol = get_protocol("one-vs-all")
    data = some_data()
    assert list(protocol.targets(data)) == ["a", "b", "c"]
    images = protocol.images(data, "b", seed=0)
    assert values(images.train) == [1, 2]
    assert values(images.test.images) == [0, 1, 2, 3]
    assert images.test.labels.tolist() == [True, False, True, False]
    assert list(images.test.kinds) == ["c", "b", "a", "b"]
    assert images.anomalies is None


def test_an_unknown_class_and_protocol_are_refused() -> None:
    with pytest.raises(UsageError, match="made has no class 'd': a, b, c"):
        get_protocol("one-vs-all").images(some_data(), "d", seed=0)
    with pytest.raises(UsageError, match="did you mean one-vs-all"):
        get_protocol("one-vs-al")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_is_known_by_its_own_name(name: str) -> None:
    assert get_protocol(name).name == name


@given(st.integers(2, 30), st.integers(2, 60), st.integers(4, 100))
def test_a_limit_keeps_some_of_both_kinds_in_order_and_always_the_same(
    normal: int, anomalous: int, limit: int
) -> None:
    labels = np.array([False] * normal + [True] * anomalous)
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None]
    test = TestSet(images, labels, [str(at) for at in range(len(labels))])
    part = limited(test, limit)
    assert len(part.labels) == len(part.images) == min(limit, len(labels))
    assert part.labels.sum() >= 2
    assert (~part.labels).sum() >= 2
    indices = values(part.images)
    assert indices == sorted(set(indices))
    assert part.labels.tolist() == labels[indices].tolist()
    assert list(part.kinds) == [str(at) for at in indices]
    again = limited(test, limit)
    assert values(again.images) == indices
    assert limited(test, None) is test


CALL: dict[str, Any] = {
    "protocol": "one-vs-all",
    "data": "digits",
    "root": None,
    "data_sha256": "0f",
    "target": "1",
    "method": "ssm",
    "options": {"a": (1, 2), "b": 1},
    "seed": 0,
    "minutes": 1,
}


@pytest.mark.parametrize(
    "other",
    [
        {"protocol": "x"},
        {"data_sha256": "1f"},
        {"target": "2"},
        {"method": "x"},
        {"options": {"a": (1, 2)}},
        {"seed": 1},
        {"minutes": 2.0},
        {"minutes": None, "epochs": 1},
        {"test_limit": 10},
    ],
)
def test_what_makes_another_measurement_makes_another_key(other: dict[str, Any]) -> None:
    assert Trial(**{**CALL, **other}).key != Trial(**CALL).key


@pytest.mark.parametrize(
    "other",
    [
        {"root": Path("elsewhere")},
        {"device": "cuda"},
        {"minutes": 1.0},
        {"options": {"b": 1, "a": [1, 2]}},
    ],
)
def test_where_it_runs_and_how_it_is_written_do_not(other: dict[str, Any]) -> None:
    assert Trial(**{**CALL, **other}).key == Trial(**CALL).key
    json.loads(Trial(**CALL).key)
