"""The service in this process, around the toy model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from oddlens.serving.app import create_app
from oddlens.serving.settings import Settings
from tests.serving.toy import write_toy

HERE = "http://127.0.0.1"


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy(tmp_path_factory.mktemp("models") / "toy.onnx")


@pytest.fixture(scope="module")
def client(toy: Path) -> Iterator[TestClient]:
    settings = Settings(max_files=6, max_body_bytes=400_000, max_image_bytes=200_000)
    with TestClient(create_app([toy], settings), base_url=HERE) as served:
        yield served
