"""Ensembles of toys, fitted and not."""

from __future__ import annotations

import numpy as np
import pytest

import oddlens.detectors
from oddlens import Ensemble
from tests.ensemble.members import members
from tests.toys import noise


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return noise(60, size=40)


@pytest.fixture(scope="module")
def fitted(images: np.ndarray) -> Ensemble:
    return Ensemble(members()).fit(images, epochs=1, holdout=0.5, seed=3, device="cpu")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(oddlens.detectors.METHODS, "toy", "tests.toys:Toy")
    monkeypatch.setitem(oddlens.detectors.METHODS, "plain", "tests.ensemble.members:Plain")
