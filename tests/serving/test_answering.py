"""Answers on their way out: how large they may be, and what is held until they are sent."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send

from oddlens.serving.admission import Gate
from oddlens.serving.answering import PORTION, Portions, written
from oddlens.serving.app import create_app
from oddlens.serving.settings import Settings
from tests.serving.conftest import HERE
from tests.serving.process import PATIENCE, body_of
from tests.serving.test_impatient import ASK, Held
from tests.serving.toy import SIZE, grey

LARGE = 30_000_000
ONE = SIZE * SIZE
"""Pixels of the toy's map."""


async def nothing_more() -> Message:
    return {"type": "http.disconnect"}


def test_an_answer_is_sent_in_portions_and_whole() -> None:
    content, sent = bytes(range(256)) * 3000, list[Message]()

    async def take(message: Message) -> None:
        sent.append(message)

    asyncio.run(Portions(content, ExitStack())({}, nothing_more, take))
    start, *portions = sent
    assert (b"content-length", str(len(content)).encode()) in start["headers"]
    assert (b"content-type", b"application/json") in start["headers"]
    assert b"".join(each["body"] for each in portions) == content
    assert max(len(each["body"]) for each in portions) == PORTION
    assert [each["more_body"] for each in portions] == [True] * 3 + [False]


def test_what_is_held_is_let_go_when_the_answer_cannot_be_sent() -> None:
    gate = Gate(7, "pixels")

    async def broken(_message: Message) -> None:
        assert gate.inside == 7
        raise OSError("gone")

    async def run() -> None:
        with ExitStack() as held:
            held.enter_context(gate.admit(7))
            answer = Portions(b"{}", held.pop_all())
        await answer({}, nothing_more, broken)

    with pytest.raises(OSError, match="gone"):
        asyncio.run(run())
    assert gate.inside == 0


def test_who_takes_a_large_answer_slowly_gets_all_of_it() -> None:
    """Longer than the server's patience in all, but never so long without taking anything."""

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await Portions(bytes(LARGE), ExitStack())(scope, receive, send)

    async def run() -> None:
        held = Held(1.5, app=large)
        server, port = await held.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ASK)
        await reader.readuntil(b"\r\n\r\n")
        taken = 0
        while taken < LARGE:
            taken += len(await reader.readexactly(min(1_000_000, LARGE - taken)))
            await asyncio.sleep(0.15)
        writer.close()
        server.close()

    asyncio.run(run())


@pytest.fixture
def narrow(toy: Path) -> FastAPI:
    """A service whose answers hold two maps, and no more than two at a time."""
    return create_app([toy], Settings(max_map_pixels=2 * ONE, max_waiting_map_pixels=2 * ONE))


@pytest.mark.parametrize("maps", ["png", "float16"])
def test_the_maps_of_an_answer_are_bounded(narrow: FastAPI, maps: str) -> None:
    three = [("images", grey(value)) for value in (1, 2, 3)]
    with TestClient(narrow, base_url=HERE) as client:
        assert client.get("/v1/models").json()["limits"]["max_map_pixels"] == 2 * ONE
        answer = client.post(f"/v1/score?maps={maps}", files=three)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_many_maps")
        told = answer.json()["error"]["message"]
        assert "send 2 at a time at most, or ask with maps=none" in told
        assert client.post("/v1/score", files=three).status_code == 200
        for _ in range(4):  # what was answered has gone
            assert client.post(f"/v1/score?maps={maps}", files=three[:2]).status_code == 200


def test_a_map_that_never_fits_is_no_advice_to_send_none(toy: Path) -> None:
    with TestClient(create_app([toy], Settings(max_map_pixels=ONE - 1)), base_url=HERE) as client:
        answer = client.post("/v1/score?maps=png", files={"images": grey(1)})
        assert answer.status_code == 413
        assert "at most: ask with maps=none" in answer.json()["error"]["message"]


def test_maps_are_counted_until_they_are_taken(narrow: FastAPI) -> None:
    async def run() -> None:
        slow = Slow()
        async with asyncio.timeout(PATIENCE), alive(narrow):
            begun = asyncio.create_task(asked(narrow, 2, slow))
            await slow.offered.wait()
            status, answer = await asked(narrow, 1)
            assert (status, answer["error"]["code"]) == (429, "busy")
            slow.may_take.set()
            status, answer = await begun
            assert (status, len(answer["results"])) == (200, 2)
            assert (await asked(narrow, 2))[0] == 200

    asyncio.run(run())


class Slow:
    """A caller that takes the body of an answer no sooner than it is told."""

    def __init__(self) -> None:
        self.offered = asyncio.Event()
        self.may_take = asyncio.Event()


@asynccontextmanager
async def alive(app: FastAPI) -> AsyncIterator[None]:
    async with app.router.lifespan_context(app):
        yield


async def asked(app: FastAPI, images: int, slow: Slow | None = None) -> tuple[int, Any]:
    """Ask for the maps of so many images."""
    body = body_of(*(grey(value) for value in range(images)))
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/score",
        "raw_path": b"/v1/score",
        "query_string": b"maps=float16",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", b"multipart/form-data; boundary=x"),
            (b"content-length", str(len(body)).encode()),
        ],
    }
    sent, taken = list[Message](), list[Message]()

    async def receive() -> Message:
        if sent:
            await asyncio.Event().wait()
        sent.append({"type": "http.request", "body": body, "more_body": False})
        return sent[0]

    async def send(message: Message) -> None:
        if slow is not None and message["type"] == "http.response.body":
            slow.offered.set()
            await slow.may_take.wait()
        taken.append(message)

    await app(scope, receive, send)
    start, *portions = taken
    content = b"".join(each["body"] for each in portions)
    return start["status"], json.loads(content)


def test_answers_are_written_away_from_the_event_loop(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def noted(*arguments: Any) -> bytes:
        threads.append(threading.current_thread().name)
        return written(*arguments)

    monkeypatch.setattr("oddlens.serving.scoring.written", noted)
    assert client.post("/v1/score", files={"images": grey(1)}).status_code == 200
    assert [name.rpartition("_")[0] for name in threads] == ["oddlens-images"]
