"""Every request leaves one line in the log, and its mark in the metrics."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Collection
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oddlens.serving.metrics import Metrics

log = logging.getLogger("oddlens.serving")
_QUIET = ("/healthz", "/readyz", "/metrics")


class Journal:
    """ASGI middleware around all others but the last resort.

    Answers bear ``X-Request-ID``, by which their line is found.

    Args:
        app: what comes behind.
        metrics: told of every answer.
        paths: those that have a mark of their own; what else is asked for shares one.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Collection[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, request_id, status = time.perf_counter(), uuid.uuid4().hex, 0
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            seconds = time.perf_counter() - started
            path = scope["path"] if scope["path"] in self._paths else "other"
            self._metrics.answered(path, status or 500, seconds)
            if path not in _QUIET:
                log.info("request", extra=_line(scope, request_id, path, status, seconds))


def note(scope: Scope, **facts: Any) -> None:
    """Add to the line of a request; nothing of an image but counts."""
    scope.setdefault("state", {}).setdefault("facts", {}).update(facts)


def _line(scope: Scope, request_id: str, path: str, status: int, seconds: float) -> dict[str, Any]:
    client = scope.get("client")
    return {
        "request_id": request_id,
        "method": scope["method"][:16],  # callers may invent some
        "path": path,
        "status": status or 500,
        "ms": round(1000 * seconds, 1),
        "client": client[0] if client else None,
        **scope.get("state", {}).get("facts", {}),
    }
