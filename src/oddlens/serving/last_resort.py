"""What nobody expected: answered like every other refusal, and told in the log."""

from __future__ import annotations

import logging

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oddlens.serving.faults import RefusedError

log = logging.getLogger("oddlens.serving")
_MESSAGE = "a fault of the service, which its log describes"


class LastResort:
    """ASGI middleware inside all others, so that its answer gets what theirs get.

    The framework's own handler of unexpected errors stands outside all: its answers would bear
    neither the headers for browsers nor a request's id.

    Args:
        app: what comes behind.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception:
            if scope["type"] != "http" or begun:
                raise  # what is half sent can only be cut off
            request_id = scope.get("state", {}).get("request_id")
            log.exception("request failed", extra={"request_id": request_id})
            answer = RefusedError("failed", _MESSAGE).answer
            await JSONResponse(answer.model_dump(), 500)(scope, receive, send)
