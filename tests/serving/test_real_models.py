"""Artifacts and ensembles are served with torch, and say what they say in Python."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import oddlens
from oddlens.export.write import cue_scales
from oddlens.serving.app import create_app
from tests.export.models import fitted, odd_pictures
from tests.serving.conftest import HERE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("real")
    fitted("multitask").save(root / "parts.oddlens")
    fitted("ensemble").save(root / "joined.oddlens")
    for index, picture in enumerate(odd_pictures(5, seed=3)):
        Image.fromarray(picture).save(root / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    app = create_app([folder / "parts.oddlens", folder / "joined.oddlens"])
    with TestClient(app, base_url=HERE) as served:
        yield served


@pytest.mark.parametrize("name", ["parts", "joined"])
def test_answers_are_those_of_predict(client: TestClient, folder: Path, name: str) -> None:
    files = sorted(folder.glob("*.png"))
    detector = oddlens.load(folder / f"{name}.oddlens")
    wanted = detector.predict([str(file) for file in files], false_alarm_rate=0.2)
    sent = [("images", (file.name, file.read_bytes())) for file in files]
    answer = client.post(f"/v1/score?model={name}&false_alarm_rate=0.2&maps=png", files=sent).json()
    results = answer["results"]
    assert answer["threshold"] == wanted.threshold.value
    assert [each["score"] for each in results] == pytest.approx(wanted.scores, rel=1e-5, abs=1e-6)
    assert [each["p_value"] for each in results] == list(wanted.p_values)
    assert [each["anomalous"] for each in results] == list(wanted.is_anomaly)
    for cue, values in wanted.cues.items():
        assert [each["cues"][cue] for each in results] == pytest.approx(values, rel=1e-4, abs=1e-5)
    assert all((each["map"] is None) is (wanted.maps is None) for each in results)
    standings = detector.standings(wanted.cues)
    for at, each in enumerate(results):
        assert each["strongest_cue"] == max(standings, key=lambda cue: standings[cue][at])


def test_models_tells_of_artifacts(client: TestClient) -> None:
    parts, joined = client.get("/v1/models").json()["models"]
    assert (parts["kind"], parts["method"], parts["image_sizes"]) == ("artifact", "multitask", [24])
    assert parts["version"] == oddlens.__version__
    assert (joined["method"], joined["image_sizes"]) == ("ensemble", [24, 32])
    assert joined["cues"] == ["anomem", "anomem-2", "multitask"]
    assert (parts["localizes"], joined["localizes"]) == (False, True)


@pytest.mark.parametrize("name", ["parts", "joined"])
def test_a_file_would_know_the_standings(folder: Path, name: str) -> None:
    detector = oddlens.load(folder / f"{name}.oddlens")
    cues = detector.predict(odd_pictures(3, seed=1)).cues
    scales = cue_scales(detector)
    assert list(scales) == list(cues)
    for cue, standing in detector.standings(cues).items():
        mean, std = scales[cue]
        assert np.allclose((cues[cue] - mean) / std, standing)
