"""Standardisation by held-out normals."""

from __future__ import annotations

import json
import math
import warnings
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from oddlens.errors import ArtifactError, DataError, UsageError
from oddlens.scoring import Fusion, Standardiser, fuse

VALUES = st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=30)


def test_held_out_values_are_kept_for_fusions_that_rank() -> None:
    values = {"a": np.array([3.0, 1.0, 2.0])}
    fitted = Standardiser.fit(values).with_reference(values)
    assert fitted.reference["a"] == tuple(sorted(fitted(values)["a"]))
    assert Standardiser.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted
    assert "reference" not in Standardiser.fit(values).to_json(), "as older versions read it"


def test_a_method_may_leave_its_cues_as_they_are() -> None:
    unit = Standardiser.unit(["a", "b"])
    values = {"a": np.array([-3.25, 1e9]), "b": np.array([0.1, -0.0])}
    for name, same in unit(values).items():
        assert np.array_equal(same, values[name])
    assert Standardiser.from_json(unit.to_json()) == unit


def test_it_agrees_with_scikit_learn() -> None:
    generator = np.random.default_rng(3)
    held_out = generator.normal(5, [1e-3, 40], size=(50, 2))
    new = generator.normal(5, 100, size=(20, 2))
    standardiser = Standardiser.fit({"a": held_out[:, 0], "b": held_out[:, 1]})
    result = standardiser({"a": new[:, 0], "b": new[:, 1]})
    expected = StandardScaler().fit(held_out).transform(new)
    np.testing.assert_allclose(np.stack([result["a"], result["b"]], axis=1), expected, rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, -1e-30, 1e6, 0.7])
@pytest.mark.parametrize("count", [1, 3, 10, 1000])
def test_a_constant_cue_is_shifted_only_and_says_so(value: float, count: int) -> None:
    with pytest.warns(UserWarning, match=f"cue 'flat' is .* for all {count} held-out") as caught:
        standardiser = Standardiser.fit({"flat": np.full(count, value)})
    assert caught[0].filename == __file__
    assert standardiser.std["flat"] == 1.0
    assert standardiser({"flat": [value + 3]})["flat"] == pytest.approx([3])


def test_a_cue_that_varies_little_is_still_scaled() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        standardiser = Standardiser.fit({"a": [1.0, 1.0 + 1e-12]})
    assert standardiser.std["a"] == pytest.approx(5e-13, rel=1e-3)


@pytest.mark.filterwarnings("ignore:cue 'a' is")
@given(VALUES, VALUES)
def test_it_never_reverses_two_images(held_out: list[float], new: list[float]) -> None:
    result = Standardiser.fit({"a": held_out})({"a": sorted(new)})["a"]
    assert (np.diff(result) >= 0).all()


@pytest.mark.filterwarnings("ignore:cue 'a' is")
@given(VALUES)
def test_json_round_trip_is_exact(held_out: list[float]) -> None:
    standardiser = Standardiser.fit({"a": held_out, "b": [1.0, 2.0]})
    text = json.dumps(standardiser.to_json(), allow_nan=False)
    assert Standardiser.from_json(json.loads(text)) == standardiser


def test_wrong_calls_are_refused() -> None:
    standardiser = Standardiser.fit({"a": [1.0, 2.0]})
    with pytest.raises(UsageError, match=r"\['b'\] were given where \['a'\]"):
        standardiser({"b": [1.0]})
    with pytest.raises(UsageError, match="no cue"):
        Standardiser.fit({})
    with pytest.raises(DataError, match="cue 'a': there is no held-out normal image"):
        Standardiser.fit({"a": []})
    with pytest.raises(DataError, match="too large"):
        Standardiser.fit({"a": [1e200, -1e200]})
    for bad in (math.nan, math.inf):
        with pytest.raises(DataError, match="cue 'a': 1 of 2 scores are not finite"):
            Standardiser.fit({"a": [1.0, bad]})
        with pytest.raises(DataError, match="cue 'a': 1 of 1 scores are not finite"):
            standardiser({"a": [bad]})


@pytest.mark.parametrize(
    "data", [{}, {"cues": {}}, {"cues": {"a": {"mean": 0.0, "std": 0.0}}}, {"cues": [1]}]
)
def test_damaged_json_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match="standardisation is damaged"):
        Standardiser.from_json(data)


@pytest.mark.parametrize("how", get_args(Fusion))
def test_one_cue_may_have_its_own_share(how: Fusion) -> None:
    random = np.random.default_rng(0)
    normal = {name: random.normal(3, 2, 60) for name in "abc"}
    new = {name: random.normal(4, 3, 9) for name in "abc"}
    plain = Standardiser.fit(normal).with_reference(normal)
    voting = plain.with_vote("b", 0.3, normal, how)
    assert np.array_equal(plain.fused(new, how), fuse(plain(new), how, plain.reference))

    def others(scores: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        return fuse({name: plain(scores)[name] for name in "ac"}, how, plain.reference)

    z = (others(new) - others(normal).mean()) / others(normal).std()
    assert np.allclose(voting.fused(new, how), 0.3 * plain(new)["b"] + 0.7 * z)
    alone = plain.with_vote("b", 1.0, normal, how)
    assert np.array_equal(alone.fused(new, how), plain(new)["b"])
    assert Standardiser.from_json(json.loads(json.dumps(voting.to_json()))) == voting


@pytest.mark.parametrize("cues", [["a"], ["b", "c"]])
def test_a_vote_of_a_cue_that_is_not_there_or_alone_is_damage(cues: list[str]) -> None:
    scores = {name: [1.0, 2.0] for name in cues}
    saved = Standardiser.fit(scores).to_json()
    vote = {"cue": "a", "weight": 0.5, "mean": 0.0, "std": 1.0}
    with pytest.raises(ArtifactError, match="'a' has a vote"):
        Standardiser.from_json({**saved, "vote": vote})
