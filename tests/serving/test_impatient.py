"""Connections that hold on without a word; over real ones: test_process.py."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from oddlens.serving.impatient import impatient


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
