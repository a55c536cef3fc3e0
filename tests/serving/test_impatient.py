"""Connections that hold on without a word; of the whole program: test_process.py."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from unittest.mock import Mock

import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from oddlens.serving.impatient import impatient

LARGE = 30_000_000
ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
Application = Callable[..., Awaitable[None]]


async def never(scope: object, receive: object, send: object) -> None:
    """An application that is not asked."""


def connected(transport: Mock) -> H11Protocol:
    transport.get_extra_info.return_value = None
    transport.is_closing.return_value = False
    protocol = impatient(0.03)(
        uvicorn.Config(never, lifespan="off"), ServerState(), {}, asyncio.get_running_loop()
    )
    protocol.connection_made(transport)
    return protocol


def test_an_answer_that_is_not_taken_ends_the_connection() -> None:
    async def run() -> None:
        transport = Mock()
        connected(transport).pause_writing()
        await asyncio.sleep(0.1)
        transport.abort.assert_called_once_with()
        transport.close.assert_not_called()

    asyncio.run(run())


def test_an_answer_that_is_taken_late_does_not() -> None:
    async def run() -> None:
        transport = Mock()
        protocol = connected(transport)
        protocol.cycle = Mock(response_complete=False)  # there is more of it to come
        protocol.pause_writing()
        protocol.resume_writing()
        await asyncio.sleep(0.1)
        transport.abort.assert_not_called()

    asyncio.run(run())


def test_a_silent_connection_is_closed_and_a_lost_one_is_forgotten() -> None:
    async def run() -> None:
        silent, lost = Mock(), Mock()
        connected(silent)
        connected(lost).connection_lost(ConnectionError())
        await asyncio.sleep(0.1)
        silent.close.assert_called_once_with()
        lost.close.assert_not_called()

    asyncio.run(run())


class Held:
    """The protocol over real connections; ``generous`` where no other application is given."""

    def __init__(
        self, seconds: float, most: int | None = None, app: Application | None = None
    ) -> None:
        self.state = ServerState()
        self._config = uvicorn.Config(
            app or generous, lifespan="off", log_config=None, ws="none", limit_concurrency=most
        )
        self._protocol = impatient(seconds)

    async def start(self) -> tuple[asyncio.Server, int]:
        loop = asyncio.get_running_loop()
        self._config.load()
        server = await loop.create_server(
            lambda: self._protocol(self._config, self.state, {}, loop), "127.0.0.1", 0
        )
        port: int = server.sockets[0].getsockname()[1]
        return server, port

    async def until(self, count: int) -> None:
        """Until so many connections are held."""
        async with asyncio.timeout(30):
            while len(self.state.connections) != count:
                await asyncio.sleep(0.01)


async def generous(scope: object, receive: object, send: Callable[..., Awaitable[None]]) -> None:
    """An application whose answers do not fit into the system's buffers."""
    length = str(LARGE).encode()
    headers = [(b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(LARGE)})


@pytest.mark.parametrize("requests", [1, 3])
def test_an_answer_that_is_never_taken_is_not_held(requests: int) -> None:
    async def run() -> None:
        held = Held(0.05)
        server, port = await held.start()
        with socket.create_connection(("127.0.0.1", port)) as silent:
            silent.sendall(ASK * requests)
            await held.until(1)
            await held.until(0)
        server.close()

    asyncio.run(run())


def test_who_has_taken_a_large_answer_may_not_dawdle_over_the_next_request() -> None:
    async def run() -> None:
        held = Held(0.5)
        server, port = await held.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(ASK)
        await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(LARGE) == bytes(LARGE)
        writer.write(ASK[:5])
        await held.until(0)
        writer.close()
        server.close()

    asyncio.run(run())


def test_far_too_many_connections_are_cut_off() -> None:
    async def run() -> None:
        held, most = Held(60, most=1), 1 + 64
        server, port = await held.start()
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(most)]
        await held.until(most)
        with socket.create_connection(("127.0.0.1", port)) as late:
            late.settimeout(20)
            with suppress(ConnectionError):
                assert await asyncio.to_thread(late.recv, 10) == b""
        assert len(held.state.connections) == most
        for each in silent:
            each.close()
        await held.until(0)
        server.close()

    asyncio.run(run())
