"""Subsets of cues, measured from one fit."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from oddlens.evaluation.cue_sets import cue_set_aurocs
from oddlens.scoring import Standardiser
from tests.toys import Toy


def test_every_subset_is_fused_as_the_detector_does_and_all_of_them_in_other_ways() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(200) < 80
    cues = {name: random.normal(size=200) * size + labels for size, name in enumerate("abc", 1)}
    detector = Toy(fusion="mean")
    normal = {name: random.normal(size=100) * 3 for name in cues}
    detector.standardiser = Standardiser.fit(normal)
    found = cue_set_aurocs(detector, cues, labels)
    assert {*found} == {"a + b", "a + c", "b + c", "mean", "median", "max"}
    z = {name: (cues[name] - normal[name].mean()) / normal[name].std() for name in cues}
    assert found["a + c"] == pytest.approx(roc_auc_score(labels, z["a"] + z["c"]))
    middle = np.median(np.stack(list(z.values())), axis=0)
    assert found["median"] == pytest.approx(roc_auc_score(labels, middle))
    assert found["max"] == pytest.approx(roc_auc_score(labels, np.maximum.reduce([*z.values()])))


def test_a_single_cue_has_no_sets() -> None:
    detector = Toy()
    detector.standardiser = Standardiser.unit(["a"])
    assert cue_set_aurocs(detector, {"a": np.arange(4.0)}, np.arange(4) > 1) == {}


def test_of_many_cues_each_kind_is_measured_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(200) < 80
    cues = {name: random.normal(size=200) + labels for name in "abcdef"}
    detector = Toy(fusion="mean")
    detector.standardiser = Standardiser.unit(cues)
    assert {*cue_set_aurocs(detector, cues, labels)} == {"mean", "median", "max"}
    monkeypatch.setattr(detector, "cue_groups", lambda: [("a", "b", "c"), ("f",)])
    found = cue_set_aurocs(detector, cues, labels)
    assert {*found} == {"a + b", "a + c", "b + c", "a + b + c", "mean", "median", "max"}
    together = cues["a"] + cues["b"] + cues["c"]
    assert found["a + b + c"] == pytest.approx(roc_auc_score(labels, together))
