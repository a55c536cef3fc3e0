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
