"""From a command line to a service that listens, reloads and ends as it should."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from oddlens.errors import UsageError
from oddlens.serving.app import create_app
from oddlens.serving.impatient import impatient
from oddlens.serving.logs import log_to
from oddlens.serving.registry import Registry
from oddlens.serving.security import refuse_open_house
from oddlens.serving.settings import Settings

log = logging.getLogger("oddlens.serving")
_KEEP_ALIVE = 15
_BACKLOG = 512


def serve(models: Sequence[Path], host: str, port: int, settings: Settings) -> None:
    """Serve models until SIGTERM or SIGINT; then finish what was taken, and return.

    SIGHUP loads anew what has changed.

    Args:
        models: see ``create_app``.
        host: the interface.
        port: 0 for any that is free; the log tells which.
        settings: limits and token.

    Raises:
        UsageError: a host that others reach without a token, or a port that is taken.
        ArtifactError: a model cannot be loaded.
    """
    refuse_open_house(host, settings.token)
    if hasattr(signal, "SIGHUP"):
        # Would end the program until somebody listens; what is loaded now is fresh anyway.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    log_to()
    app = create_app(models, settings)
    with _listening(host, port) as listener:
        address, number = listener.getsockname()[:2]
        log.info(
            "serving", extra={"host": address, "port": number, "models": list(map(str, models))}
        )
        asyncio.run(_run(server(app, settings), app.state.registry, settings, listener))
    log.info("stopped")


def server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    """uvicorn, with the limits that the application itself cannot hold."""
    config = uvicorn.Config(
        app,
        http=impatient(settings.receive_seconds),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=_KEEP_ALIVE,
        # Who has begun to send may end, and is answered.
        timeout_graceful_shutdown=int(settings.receive_seconds + settings.answer_seconds) + 1,
    )
    return _Server(config)


class _Server(uvicorn.Server):
    """uvicorn raises the signal that ended it again, which is an error to the caller."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wanted = (signal.SIGINT, signal.SIGTERM)
        before = {each: signal.signal(each, self.handle_exit) for each in wanted}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


async def _run(
    running: uvicorn.Server, registry: Registry, settings: Settings, listener: socket.socket
) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = set()

        def reload() -> None:
            task = group.create_task(registry.reload())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        if hasattr(signal, "SIGHUP"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
        watching = group.create_task(_watch(registry, settings.reload_seconds))
        await running.serve(sockets=[listener])
        watching.cancel()


async def _watch(registry: Registry, seconds: float) -> None:
    """Reload what has changed, every so many seconds; never for 0."""
    while seconds:
        await asyncio.sleep(seconds)
        await registry.reload()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"--port {port} at {host}: {reason}; choose another one") from error
    # The event loop does it only for sockets that say they are TCP, which this one does not. Else
    # the body of an answer waits for the receipt of its head: 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listener:
        yield listener
