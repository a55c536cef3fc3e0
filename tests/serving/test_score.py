"""What the service says of images, and that it is what `oddlens score` says of the same bytes."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from oddlens.cli import app as program
from oddlens.serving.app import create_app
from oddlens.serving.journal import Journal
from oddlens.serving.rates import ranks_offered
from oddlens.serving.security import Doorkeeper
from tests.serving.conftest import HERE
from tests.serving.toy import (
    CALIBRATION,
    HELD_OUT,
    SCALES,
    THRESHOLD,
    grey,
    half_bright,
    write_toy,
)


def posted(client: TestClient, *contents: bytes, query: str = "") -> dict[str, Any]:
    files = [("images", (f"{at}.png", content)) for at, content in enumerate(contents)]
    answer = client.post(f"/v1/score{query}", files=files)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_each_image_gets_its_own_answer_in_order(client: TestClient) -> None:
    contents = [grey(value) for value in (200, 10, 77)]
    answer = posted(client, *contents)
    assert [result["index"] for result in answer["results"]] == [0, 1, 2]
    assert [result["file_name"] for result in answer["results"]] == ["0.png", "1.png", "2.png"]
    for content, value, result in zip(contents, (200, 10, 77), answer["results"], strict=True):
        assert result["sha256"] == hashlib.sha256(content).hexdigest()
        assert result["score"] == pytest.approx(value / 255, abs=1e-12)
        assert result["p_value"] == CALIBRATION.p_values([value / 255])[0]
        assert result["anomalous"] is (value / 255 > THRESHOLD)
        assert result["cues"] == pytest.approx({"bright": value / 255, "dark": 1 - value / 255})
        assert (result["width"], result["height"], result["error"]) == (16, 16, None)


def test_the_answer_names_the_model_and_the_threshold(client: TestClient, toy: Path) -> None:
    answer = posted(client, grey(1))
    assert answer["model"] == {
        "name": "toy",
        "method": "toy",
        "version": "0.0.1",
        "sha256": hashlib.sha256(toy.read_bytes()).hexdigest(),
    }
    assert (answer["threshold"], answer["held_out"]) == (THRESHOLD, HELD_OUT)
    assert (answer["false_alarm_rate"], answer["guaranteed_rate"]) == (0.01, 0.01)
    assert answer["pixel_threshold"] == pytest.approx(0.6)
    assert answer["message"] is None


def test_a_wanted_rate_moves_the_threshold(client: TestClient) -> None:
    value = int(255 * 0.45)
    assert posted(client, grey(value))["results"][0]["anomalous"] is False
    wide = posted(client, grey(value), query="?false_alarm_rate=0.3")
    assert wide["results"][0]["anomalous"] is True
    assert wide["threshold"] == CALIBRATION.threshold(0.3).value
    narrow = posted(client, grey(value), query="?false_alarm_rate=0.001")
    assert "needs 999 held-out" in narrow["message"]
    assert narrow["guaranteed_rate"] == pytest.approx(1 / (HELD_OUT + 1))


def test_the_strongest_cue_is_the_one_farthest_above_its_usual(client: TestClient) -> None:
    bright, dark = posted(client, grey(250), grey(3))["results"]
    assert (bright["strongest_cue"], dark["strongest_cue"]) == ("bright", "dark")
    mean, std = SCALES["bright"]
    assert bright["standings"]["bright"] == pytest.approx((250 / 255 - mean) / std)


def test_a_bad_image_among_good_ones_is_an_error_of_its_own(client: TestClient) -> None:
    answer = posted(client, grey(20), b"no image at all", grey(30)[:-30], b"", grey(40))
    errors = [result["error"] and result["error"]["code"] for result in answer["results"]]
    assert errors == [None, "not_an_image", "damaged", "empty", None]
    scores = [result["score"] for result in answer["results"]]
    assert scores == pytest.approx([20 / 255, None, None, None, 40 / 255])
    bad = answer["results"][1]
    assert bad["sha256"] == hashlib.sha256(b"no image at all").hexdigest()
    assert [bad[name] for name in ("p_value", "anomalous", "cues", "map")] == [None] * 4


def test_maps_lie_over_the_image_and_show_what_is_above_the_threshold(client: TestClient) -> None:
    assert posted(client, half_bright())["results"][0]["map"] is None
    uri = posted(client, half_bright(), query="?maps=png")["results"][0]["map"]
    head, _, code = uri.partition(",")
    assert head == "data:image/png;base64"
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(code))))
    assert picture.shape == (16, 16, 4)
    assert (picture[:, :8, 3] == 0).all()
    assert (picture[:, 8:, 3] > 128).all()


def test_maps_come_as_values_for_programs_that_draw_themselves(client: TestClient) -> None:
    result = posted(client, half_bright(), query="?maps=float16")["results"][0]
    assert result["map"] is None
    found = result["map_values"]
    values = np.frombuffer(base64.b64decode(found["data"]), "<f2")
    assert (found["width"], found["height"], values.size) == (16, 16, 256)
    wanted = np.repeat(np.array([[0, 1]], np.float32), 8, axis=1).repeat(16, axis=0)
    assert np.array_equal(values.reshape(16, 16), wanted)
    assert posted(client, half_bright(), query="?maps=png")["results"][0]["map_values"] is None


def test_models_tells_the_pixel_threshold_at_every_rate_to_choose(client: TestClient) -> None:
    (model,) = client.get("/v1/models").json()["models"]
    assert model["ranks"] == ranks_offered(HELD_OUT)
    for k, told in zip(model["ranks"], model["pixel_thresholds"], strict=True):
        rate = k / (HELD_OUT + 1)
        answer = posted(client, grey(1), query=f"?false_alarm_rate={rate}")
        assert answer["guaranteed_rate"] == rate
        assert told == answer["pixel_threshold"]


@pytest.mark.parametrize("query", ["false_alarm_rat=0.1", "maps=png&Model=toy", "maps%20=png"])
def test_an_unknown_parameter_is_no_silent_default(client: TestClient, query: str) -> None:
    answer = client.post(f"/v1/score?{query}", files={"images": grey(1)})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "wrong_query"
    wrong = {"false_alarm_rat=0.1": "'false_alarm_rat'", "maps%20=png": "'maps '"}
    assert wrong.get(query, "'Model'") in error["message"]
    assert error["message"].endswith("there are model, false_alarm_rate, maps")


def test_what_nobody_expected_is_answered_like_the_rest(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from oddlens.serving.scoring import Desk

    async def broken(*_: object) -> None:
        raise RuntimeError("out of luck")

    wanted = client.get("/healthz").headers
    with monkeypatch.context() as patch, caplog.at_level("ERROR", "oddlens.serving"):
        patch.setattr(Desk, "score", broken)
        answer = client.post("/v1/score", files={"images": grey(1)})
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "failed"
    assert "luck" not in answer.text
    assert set(wanted) <= set(answer.headers)
    for name in ("content-security-policy", "x-content-type-options", "referrer-policy"):
        assert answer.headers[name] == wanted[name]
    (record,) = caplog.records
    assert record.exc_info is not None
    assert vars(record)["request_id"] == answer.headers["x-request-id"]
    assert posted(client, grey(51))["results"][0]["score"] == pytest.approx(0.2)


@pytest.mark.parametrize("layer", [Doorkeeper, Journal])
def test_a_fault_before_the_paths_is_answered_like_the_rest(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, layer: type
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("out of luck")

    wanted = client.get("/healthz").headers
    with monkeypatch.context() as patch:
        patch.setattr(layer, "__call__", broken)
        answer = client.get("/v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "failed")
    assert "luck" not in answer.text
    assert set(wanted) <= set(answer.headers)


def test_scores_are_those_of_oddlens_score(
    client: TestClient, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(1)
    files = []
    for name, mode in (("a.png", "RGB"), ("b.jpg", "L"), ("c.bmp", "RGB"), ("d.webp", "RGBA")):
        shape = (37, 53, len(mode)) if len(mode) > 1 else (37, 53)
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / name)
        files.append(tmp_path / name)
    found = posted(client, *(file.read_bytes() for file in files))["results"]
    with pytest.raises(SystemExit) as end:
        program.app(["score", str(toy), *map(str, files), "--quiet"])
    assert end.value.code == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [float(row["score"]) for row in rows] == pytest.approx(
        [result["score"] for result in found], rel=1e-12
    )
    assert [float(row["p_value"]) for row in rows] == [result["p_value"] for result in found]


def test_several_models_are_asked_by_name(toy: Path, tmp_path: Path) -> None:
    other = write_toy(tmp_path / "other.onnx", added=7.0)
    with TestClient(create_app([toy, other]), base_url=HERE) as client:
        served = client.get("/v1/models").json()
        assert served["default"] == "toy"
        assert [model["name"] for model in served["models"]] == ["toy", "other"]
        assert posted(client, grey(51))["results"][0]["score"] == pytest.approx(0.2)
        found = posted(client, grey(51), query="?model=other")
        assert found["model"]["name"] == "other"
        assert found["results"][0]["score"] == pytest.approx(7.2)
        missing = client.post("/v1/score?model=third", files={"images": grey(1)})
        assert missing.status_code == 404
        assert missing.json()["error"]["code"] == "no_such_model"


def test_models_tells_what_a_page_needs(client: TestClient) -> None:
    answer = client.get("/v1/models").json()
    (model,) = answer["models"]
    assert answer["limits"]["max_files"] == 6
    assert model["kind"] == "onnx"
    assert (model["image_sizes"], model["cues"]) == ([16], ["bright", "dark"])
    assert (model["localizes"], model["held_out"]) == (True, HELD_OUT)
    assert (model["threshold"], model["guaranteed_rate"]) == (THRESHOLD, 0.01)


def test_a_fault_while_scoring_is_told_and_the_service_goes_on(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oddlens.export.onnx_detector import OnnxDetector

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("out of luck")

    with monkeypatch.context() as patch:
        patch.setattr(OnnxDetector, "scored_pixels", broken)
        answer = client.post("/v1/score", files={"images": grey(1)})
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "failed"
        assert "luck" not in answer.text
    assert posted(client, grey(51))["results"][0]["score"] == pytest.approx(0.2)


def test_what_takes_too_long_is_given_up(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    from oddlens.export.onnx_detector import OnnxDetector
    from oddlens.serving.settings import Settings

    settings = Settings(answer_seconds=0.05)
    with TestClient(create_app([toy], settings), base_url=HERE) as client:
        monkeypatch.setattr(OnnxDetector, "scored_pixels", lambda *_, **__: time.sleep(0.3))
        answer = client.post("/v1/score", files={"images": grey(1)})
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "took_too_long"
        assert int(answer.headers["retry-after"]) >= 1
