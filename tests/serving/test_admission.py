"""The door: so much inside at a time, and what is refused is told when to come again."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from oddlens.export.onnx_detector import OnnxDetector
from oddlens.serving.admission import Gate, Pace
from oddlens.serving.app import create_app
from oddlens.serving.faults import RefusedError
from oddlens.serving.settings import MOST_PIXELS, Settings
from tests.serving.conftest import HERE
from tests.serving.toy import grey


def test_what_has_gone_makes_room() -> None:
    gate = Gate(3, "images")
    with gate.admit(2):
        with pytest.raises(RefusedError) as refused, gate.admit(2):
            pass
        assert refused.value.status == 429
        with gate.admit(1):
            assert gate.inside == 3
    with gate.admit(3):
        pass
    assert gate.inside == 0


@pytest.mark.parametrize(("wanted", "told"), [(0.0, "1"), (1.2, "2"), (1e9, "60")])
def test_the_wait_is_whole_seconds_within_reason(wanted: float, told: str) -> None:
    with pytest.raises(RefusedError) as refused, Gate(0, "images").admit(1, retry_seconds=wanted):
        pass
    assert refused.value.headers == {"Retry-After": told}


def test_a_full_queue_is_told_at_once(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go, scored = threading.Event(), OnnxDetector.scored_pixels

    def slow(self: OnnxDetector, *args: object, **kwargs: object) -> object:
        assert may_go.wait(60)
        return scored(self, *args, **kwargs)  # type: ignore[arg-type]

    settings = Settings(queue_images=4, max_files=4)
    with (
        TestClient(create_app([toy], settings), base_url=HERE) as client,
        ThreadPoolExecutor() as pool,
    ):
        monkeypatch.setattr(OnnxDetector, "scored_pixels", slow)
        files = [("images", grey(value)) for value in (0, 51, 102)]
        first = pool.submit(client.post, "/v1/score", files=files)
        while "oddlens_waiting_images 3.0" not in client.get("/metrics").text:
            assert not first.done()
        refused = client.post("/v1/score", files=files[:2])
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "busy")
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/healthz").status_code == 200
        may_go.set()
        scores = [result["score"] for result in first.result().json()["results"]]
        assert scores == pytest.approx([0, 0.2, 0.4])
        assert client.post("/v1/score", files=files).status_code == 200


def test_the_pace_says_how_long_it_takes() -> None:
    pace = Pace()
    assert pace.seconds_for(100) == 1.0  # nothing is known yet
    for _ in range(200):
        pace.told(8, 4.0)
    assert pace.seconds_for(10) == pytest.approx(5.0)
    pace.told(8, 400.0)  # one that is slow does not change it by much
    assert 5 < pace.seconds_for(10) < 100


def test_limits_that_contradict_one_another_are_refused() -> None:
    with pytest.raises(ValidationError, match="could never be taken"):
        Settings(max_files=10, queue_images=9)
    with pytest.raises(ValidationError, match="could never be taken"):
        Settings(max_body_bytes=10, max_waiting_bytes=9)
    with pytest.raises(ValidationError, match="could never be made"):
        Settings(max_map_pixels=10, max_waiting_map_pixels=9)


@pytest.mark.parametrize(
    "settings",
    [
        {"max_pixels": MOST_PIXELS + 1},  # the decoder would refuse them
        {"answer_seconds": math.inf},
        {"receive_seconds": math.nan},
    ],
)
def test_limits_that_could_not_hold_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**settings)
