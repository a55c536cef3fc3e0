"""Who may ask, and what a browser is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from oddlens.errors import UsageError
from oddlens.serving.app import create_app
from oddlens.serving.security import is_loopback, refuse_open_house
from oddlens.serving.settings import Settings
from tests.serving.toy import grey

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def guarded(toy: Path) -> Iterator[TestClient]:
    with TestClient(create_app([toy], Settings(token=TOKEN))) as client:
        yield client


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (None, "no_token"),
        ("", "wrong_token"),
        ("Bearer", "wrong_token"),
        ("Bearer ", "wrong_token"),
        ("Bearer wrong-token-of-length", "wrong_token"),
        (f"Bearer {TOKEN}x", "wrong_token"),
        (f"Basic {TOKEN}", "wrong_token"),
        (TOKEN, "wrong_token"),
        ("Bearer \xff", "wrong_token"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/models"), ("POST", "/v1/score"), ("GET", "/metrics")]
)
def test_no_entry_without_the_token(
    guarded: TestClient, method: str, path: str, given: str | None, code: str
) -> None:
    headers = [] if given is None else [(b"authorization", given.encode("latin-1"))]
    answer = guarded.request(method, path, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_entry_with_the_token(guarded: TestClient) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = guarded.post("/v1/score", files={"images": grey(1)}, headers=headers)
    assert answer.status_code == 200
    assert guarded.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
def test_probes_need_no_token(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code == 200


@pytest.mark.parametrize("path", ["//v1/models", "/V1/models", "/v1//models", "/x/../v1/models"])
def test_no_way_around_the_token(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code in (401, 404)


def test_a_host_that_is_none_is_no_fault_of_the_service(guarded: TestClient) -> None:
    for path in ("/nothing", "/v1/models/"):
        headers = {"Host": "[", "Authorization": f"Bearer {TOKEN}"}
        assert guarded.get(path, headers=headers).status_code == 404


@pytest.mark.parametrize(
    "token", ["fifteen letters", "x" * 15, "x" * 16 + "\ny", "ü" * 16, " " * 16]
)
def test_a_token_that_cannot_be_sent_is_refused(token: str) -> None:
    with pytest.raises(ValidationError):
        Settings(token=token)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8000", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:8000", 200),
        ("127.9.9.9", 200),
        ("[::1]", 200),
        ("[::1]:8000", 200),
        ("", 421),
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.1", 421),
        ("0.0.0.0:8000", 421),
    ],
)
def test_without_a_token_only_this_machine_is_answered(
    client: TestClient, host: str, status: int
) -> None:
    assert client.get("/v1/models", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8000", 200),
        ("https://127.0.0.1:8000", 200),
        ("http://127.0.0.1:9000", 403),
        ("http://localhost:8000", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_without_a_token_pages_from_elsewhere_are_refused(
    client: TestClient, origin: str, status: int
) -> None:
    headers = {"Host": "127.0.0.1:8000", "Origin": origin}
    answer = client.post("/v1/score", files={"images": grey(1)}, headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize("path", ["/v1/models", "/nothing", "/healthz"])
def test_browsers_are_told_to_be_strict(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers
    assert "server" not in headers


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("127.1.2.3", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.1.2.3", False),
    ],
)
def test_other_machines_only_with_a_token(host: str, own: bool) -> None:
    assert is_loopback(host) is own
    refuse_open_house(host, TOKEN)
    if own:
        refuse_open_house(host, None)
    else:
        with pytest.raises(UsageError, match="set a token"):
            refuse_open_house(host, None)
