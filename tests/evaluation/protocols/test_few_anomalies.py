"""Few labelled anomalies: how many, of which classes, and never of the test split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddlens.errors import DataError, UsageError
from oddlens.evaluation.protocols import get_protocol
from oddlens.evaluation.protocols.few_anomalies import GAMMAS, FewAnomalies, settings
from oddlens.evaluation.records import Record
from oddlens.images.catalogue import ClassData, Images, LabelledImages
from tests.evaluation.made_records import made

CLASSES = 4


def some_data(each: int = 20) -> ClassData:
    """Images that say their place: training ones 0, 1, ..., test ones from 200 on."""

    def part(start: int, count: int) -> LabelledImages:
        labels = np.arange(count * CLASSES) % CLASSES
        pixels = start + np.arange(len(labels), dtype=np.uint8)
        return LabelledImages(pixels[:, None, None] + np.zeros((1, 4, 4), "u1"), labels)

    return ClassData("made", tuple("abcd"), "unknown", part(0, each), part(200, 3))


def values(images: Images | None) -> list[int]:
    assert isinstance(images, np.ndarray)
    return [int(value) for value in images[:, 0, 0]]


@given(
    st.sampled_from([0.05, 0.1, 0.2, 0.5]), st.sampled_from(["all", "single"]), st.integers(0, 9)
)
def test_anomalies_are_training_images_of_other_classes(gamma: float, draw: Any, seed: int) -> None:
    data = some_data()
    found = FewAnomalies(gamma, draw).images(data, "b", seed)
    odd = values(found.anomalies)
    assert len(set(odd)) == len(odd) == round(gamma * 20 / (1 - gamma))
    assert max(odd) < 200 <= min(values(found.test.images))
    kinds = {value % CLASSES for value in odd}
    assert 1 not in kinds
    if draw == "single":
        assert len(kinds) == 1
    assert values(FewAnomalies(gamma, draw).images(data, "b", seed).anomalies) == odd
    more = values(FewAnomalies(0.5, draw).images(data, "b", seed).anomalies)
    assert more[: len(odd)] == odd


def test_the_seed_decides_which_single_class() -> None:
    kinds = {
        values(FewAnomalies(0.1, "single").images(some_data(), "b", seed).anomalies)[0] % CLASSES
        for seed in range(30)
    }
    assert kinds == {0, 2, 3}


def test_gamma_zero_is_one_vs_all() -> None:
    few, plain = (
        get_protocol(name).images(some_data(), "c", 0) for name in ("few-anomalies", "one-vs-all")
    )
    assert few.anomalies is None
    assert values(few.train) == values(plain.train)
    assert few.test.labels.tolist() == plain.test.labels.tolist()


@pytest.mark.parametrize(
    ("gamma", "draw"), [(-0.1, "all"), (0.6, "all"), (0.1, "none"), (0.0, "all"), (0.1, "some")]
)
def test_settings_out_of_range(gamma: float, draw: str) -> None:
    with pytest.raises(UsageError, match="gamma"):
        get_protocol("few-anomalies", {"gamma": gamma, "anomalies": draw})


@pytest.mark.parametrize(("gamma", "draw"), [(0.01, "all"), (0.5, "single")])
def test_none_at_all_and_more_than_there_are(gamma: float, draw: Any) -> None:
    data = some_data()
    few = LabelledImages(np.zeros((23, 4, 4), "u1"), np.array([0] * 20 + [1, 2, 3]))
    with pytest.raises(DataError, match="from 1 to"):
        FewAnomalies(gamma, draw).images(ClassData("x", data.classes, "unknown", few, few), "a", 0)


def test_a_sweep_has_gamma_zero_once() -> None:
    found = settings([0, 0.1], ["all", "single"])
    assert [(each["gamma"], each["anomalies"]) for each in found] == [
        (0, "none"),
        (0.1, "all"),
        (0.1, "single"),
    ]
    assert len(settings(GAMMAS, ["all"])) == len(GAMMAS)
    with pytest.raises(UsageError, match="use all or single"):
        settings([0.1], ["sngle"])


def test_records_without_a_setting_keep_their_key() -> None:
    old = made().model_dump(mode="json")
    del old["setting"]
    assert Record.model_validate(old).key == made().key
    assert "setting" not in made().key
    assert made(setting={"gamma": 0.1, "anomalies": "all"}).key != made().key
