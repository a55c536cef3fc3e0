"""Whatever is sent: the right refusal, and the service goes on."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.testclient import TestClient

from oddlens.serving.app import create_app
from oddlens.serving.settings import Settings
from oddlens.serving.uploads import announced_bytes, harmless_name
from tests.serving.conftest import HERE
from tests.serving.toy import grey


def bomb(side: int) -> bytes:
    """A PNG of a few bytes that says it is ``side`` pixels wide and high."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.fixture(autouse=True)
def _goes_on(client: TestClient) -> Iterator[None]:
    """After each of these tests the service scores as before."""
    yield
    answer = client.post("/v1/score", files={"images": grey(51)})
    assert answer.json()["results"][0]["score"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 422, "empty"),
        (b"hello", 415, "not_an_image"),
        (bytes(range(256)) * 9, 415, "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "not_an_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "not_an_image"),
        (grey(7)[:-30], 422, "damaged"),
        (grey(7, side=64, kind="JPEG")[:400], 422, "damaged"),
        (bomb(100_000), 413, "too_many_pixels"),
        (bomb(9_500), 413, "too_many_pixels"),
        (bytes(200_001), 413, "too_many_bytes"),
        (bytes(400_001), 413, "too_many_bytes"),
    ],
)
def test_a_single_bad_image(client: TestClient, content: bytes, status: int, code: str) -> None:
    answer = client.post("/v1/score", files={"images": ("a.png", content)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]


def test_the_limit_of_pixels_is_its_own(toy: Path) -> None:
    settings = Settings(max_pixels=400)
    with TestClient(create_app([toy], settings), base_url=HERE) as client:
        assert client.post("/v1/score", files={"images": grey(1, side=20)}).status_code == 200
        answer = client.post("/v1/score", files={"images": grey(1, side=21)})
        assert answer.status_code == 413
        assert "400 pixels" in answer.json()["error"]["message"]


BOUNDARY = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="images"; filename="a"\r\n\r\n'


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({}, 415, "not_multipart"),
        ({"json": {"images": []}}, 415, "not_multipart"),
        ({"data": {"images": "x"}}, 415, "not_multipart"),
        ({"content": grey(1), "headers": {"Content-Type": "image/png"}}, 415, "not_multipart"),
        ({"files": {"image": grey(1)}}, 422, "wrong_field"),
        ({"files": {"images": grey(1)}, "data": {"rate": "0.1"}}, 422, "wrong_field"),
        ({"files": {"images": (None, "text")}}, 422, "wrong_field"),
        ({"files": {"images": (None, "x" * 5000)}}, 422, "wrong_field"),
        ({"files": [("images", grey(1))] * 7}, 413, "too_many_files"),
        ({"content": b"--x--\r\n", "headers": {"Content-Type": BOUNDARY}}, 422, "no_images"),
        ({"content": b"", "headers": {"Content-Type": BOUNDARY}}, 400, "bad_request"),
        ({"content": PART + b"cut", "headers": {"Content-Type": BOUNDARY}}, 400, "bad_request"),
        (  # the second image is cut off, and the first one alone would be half an answer
            {
                "content": PART + grey(9) + b"\r\n" + PART + grey(9)[:50],
                "headers": {"Content-Type": BOUNDARY},
            },
            400,
            "bad_request",
        ),
        ({"content": b"rubbish", "headers": {"Content-Type": BOUNDARY}}, 400, "bad_request"),
        (
            {"content": PART, "headers": {"Content-Type": "multipart/form-data"}},
            400,
            "bad_request",
        ),
        (
            {"content": b"--x\r\nA: b\r\n\r\n--x--", "headers": {"Content-Type": BOUNDARY}},
            400,
            "bad_request",
        ),
    ],
)
def test_a_wrong_body(client: TestClient, sent: dict[str, Any], status: int, code: str) -> None:
    answer = client.post("/v1/score", **sent)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    "query",
    [
        "false_alarm_rate=0",
        "false_alarm_rate=1",
        "false_alarm_rate=-1",
        "false_alarm_rate=nan",
        "false_alarm_rate=inf",
        "false_alarm_rate=much",
        "maps=jpeg",
    ],
)
def test_a_wrong_query(client: TestClient, query: str) -> None:
    answer = client.post(f"/v1/score?{query}", files={"images": grey(1)})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "wrong_query")
    assert query.partition("=")[0] in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/score", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/docs", 404),
        ("GET", "/v1/models/", 404),
    ],
)
def test_a_wrong_path(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["code"]


def test_a_body_that_does_not_say_its_length_is_cut_off(client: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        yield PART
        for _ in range(1000):
            yield bytes(4000)

    answer = client.post("/v1/score", content=endless(), headers={"Content-Type": BOUNDARY})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_many_bytes")


def test_a_body_in_chunks_counts_in_full_whatever_length_it_says() -> None:
    headers = [(b"content-type", BOUNDARY.encode()), (b"content-length", b"1")]
    chunked = [*headers, (b"transfer-encoding", b"chunked")]
    settings = Settings(max_body_bytes=1000)
    for sent, announced in ((headers, 1), (chunked, 1000)):
        request = Request({"type": "http", "headers": sent})
        assert announced_bytes(request, settings) == announced


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("/abs/olute.png", "olute.png"),
        ("..", "image"),
        ("a/..", "image"),
        ("nul\x00byte.png", "nulbyte.png"),
        ("line\nbreak.png", "linebreak.png"),
        ("x" * 999, "x" * 255),
        ("Füße 1.png", "Füße 1.png"),
        ("", "image"),
    ],
)
def test_tricks_in_a_file_name(client: TestClient, name: str, shown: str) -> None:
    assert harmless_name(name) == shown
    if name and not {"\x00", "\n"} & set(name):
        answer = client.post("/v1/score", files={"images": (name, grey(9))})
        assert answer.json()["results"][0]["file_name"] == shown


@given(st.text())
def test_no_name_is_a_path(name: str) -> None:
    shown = harmless_name(name)
    assert shown not in ("", ".", "..")
    assert not {"/", "\\", "\x00", "\n", "\r"} & set(shown)
    assert len(shown) <= 255
