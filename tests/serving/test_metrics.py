"""What Prometheus reads, and what the log tells."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from oddlens.serving.app import create_app
from oddlens.serving.logs import JsonLines
from oddlens.serving.metrics import Metrics
from oddlens.serving.models import load_model
from tests.serving.conftest import HERE
from tests.serving.toy import grey, write_toy


@pytest.fixture
def fresh(toy: Path) -> Iterator[TestClient]:
    with TestClient(create_app([toy]), base_url=HERE) as client:
        yield client


def samples(client: TestClient) -> dict[tuple[str, ...], float]:
    """Values by name and labels' values."""
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def send(client: TestClient, *contents: bytes) -> None:
    client.post("/v1/score", files=[("images", content) for content in contents])


def test_images_scores_and_the_share_flagged_are_counted(fresh: TestClient) -> None:
    send(fresh, grey(255), grey(25), grey(38), b"no image")
    send(fresh, grey(51))
    seen = samples(fresh)
    assert seen["oddlens_images_total", "toy", "scored"] == 4
    assert seen["oddlens_images_total", "toy", "not_an_image"] == 1
    assert seen["oddlens_flagged_total", "toy"] == 1
    assert seen["oddlens_flagged_share", "toy"] == pytest.approx(0.25)
    assert seen["oddlens_score_count", "toy"] == 4
    assert seen["oddlens_score_sum", "toy"] == pytest.approx((255 + 25 + 38 + 51) / 255)
    assert seen["oddlens_p_value_count", "toy"] == 4
    assert seen["oddlens_waiting_images",] == 0


def test_buckets_of_scores_are_quantiles_of_held_out_normals(fresh: TestClient) -> None:
    send(fresh, grey(25), grey(76), grey(255))
    seen = samples(fresh)
    buckets = {
        float(key[-1] if key[1] == "toy" else key[1]): value
        for key, value in seen.items()
        if key[0] == "oddlens_score_bucket"
    }
    bounds = sorted(buckets)
    assert bounds[0] == pytest.approx(0.1)
    assert 0.5 in bounds
    assert bounds[-1] == float("inf")
    assert buckets[bounds[0]] == 1  # 25 / 255 is below the lowest
    assert buckets[0.5] == 2
    assert buckets[float("inf")] == 3
    assert [buckets[bound] for bound in bounds] == sorted(buckets.values())


def test_late_scores_of_a_model_that_was_replaced_are_not_the_new_ones(
    toy: Path, tmp_path: Path
) -> None:
    old, new = load_model(toy), load_model(write_toy(tmp_path / "toy.onnx", added=5.0))
    metrics = Metrics()
    for model in (old, new):
        metrics.serve(model)
        metrics.scored(old, 0.3, 0.5, flagged=False)
    metrics.scored(new, 5.3, 0.01, flagged=True)
    page = metrics.page().decode()
    assert 'oddlens_score_count{model="toy"} 1.0' in page
    assert 'oddlens_score_sum{model="toy"} 5.3' in page
    assert 'oddlens_flagged_share{model="toy"} 1.0' in page
    assert 'oddlens_images_total{model="toy",outcome="scored"} 3.0' in page
    assert page.count("oddlens_model_info{") == 1


def test_a_method_that_is_made_up_fills_no_log(
    fresh: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "oddlens.serving"):
        fresh.request("X" * 5000, "/v1/models")
    (record,) = [each for each in caplog.records if each.message == "request"]
    assert len(JsonLines().format(record)) < 1000


def test_requests_are_counted_by_path_and_status(fresh: TestClient) -> None:
    send(fresh, grey(1))
    send(fresh, b"")
    fresh.get("/v1/models")
    fresh.get("/never/heard/of")
    fresh.get("/nor/of/this")
    seen = samples(fresh)
    assert seen["oddlens_requests_total", "/v1/score", "200"] == 1
    assert seen["oddlens_requests_total", "/v1/score", "422"] == 1
    assert seen["oddlens_requests_total", "/v1/models", "200"] == 1
    assert seen["oddlens_requests_total", "other", "404"] == 2
    assert seen["oddlens_request_seconds_count", "/v1/score"] == 2


def test_a_request_is_one_line_without_its_images(
    fresh: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "oddlens.serving"):
        answer = fresh.post(
            "/v1/score", files=[("images", ("secret.png", grey(255))), ("images", b"secret text")]
        )
    (record,) = [each for each in caplog.records if each.message == "request"]
    line = json.loads(JsonLines().format(record))
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["path"], line["status"], line["model"]) == ("/v1/score", 200, "toy")
    assert (line["images"], line["anomalous"], line["bad"]) == (2, 1, 1)
    assert "secret" not in JsonLines().format(record)


def test_every_record_is_one_line_of_json() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.Logger("made")
    logger.addHandler(handler)
    try:
        raise ValueError("of two\nlines")
    except ValueError:
        logger.exception("it %s", "failed", extra={"path": Path("a")})
    (line,) = stream.getvalue().splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["path"]) == ("it failed", "error", "a")
    assert "ValueError" in entry["traceback"]
