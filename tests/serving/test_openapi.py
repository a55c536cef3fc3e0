"""The service keeps what its own description promises, and the examples in it hold."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from pydantic import BaseModel, TypeAdapter
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from oddlens.serving.app import create_app
from oddlens.serving.run import server
from oddlens.serving.schemas import Fault, Limits, ModelInfo, ModelName, Result
from oddlens.serving.settings import Settings

TOKEN = "a-token-of-some-length"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def address(toy: Path) -> Iterator[str]:
    """A server in a thread."""
    limits = Settings(token=TOKEN)
    running = server(create_app([toy], limits), limits)
    running.config.port = 0
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def described(address: str) -> Any:
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v1/score", "POST"),
        ("/v1/models", "GET"),
        ("/healthz", "GET"),
        ("/readyz", "GET"),
        ("/metrics", "GET"),
    ],
)
def test_every_path_answers_as_described(
    described: Any, path: str, method: str, mode: GenerationMode
) -> None:
    @given(case=described[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=25 if method == "POST" else 5,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def check(case: Any) -> None:
        # A schema cannot say that bytes are an image; test_score.py sends some that are.
        case.call_and_validate(headers=HEADERS, excluded_checks=[positive_data_acceptance])

    try:
        check()
    except Unsatisfiable:
        assert method == "GET"  # there is nothing that could be wrong about it


def test_all_paths_are_tried(described: Any) -> None:
    assert set(described) == {"/v1/score", "/v1/models", "/healthz", "/readyz", "/metrics"}


def _examples(model: type[BaseModel]) -> dict[str, Any]:
    """An answer made of the first example of each field, as the description shows it."""
    schema = model.model_json_schema(mode="serialization")
    fields = schema["properties"]
    return {name: each["examples"][0] for name, each in fields.items() if "examples" in each}


@pytest.mark.parametrize("model", [Fault, Result, ModelName, ModelInfo, Limits])
def test_examples_are_what_they_are_examples_of(model: type[BaseModel]) -> None:
    shown = _examples(model)
    assert len(shown) >= 2
    for name, value in shown.items():
        kind: Any = model.model_fields[name].annotation
        TypeAdapter(kind).validate_python(value, strict=True)
