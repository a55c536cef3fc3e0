"""What nobody expected: answered like every other refusal, and told in the log."""

from __future__ import annotations

import logging
import uuid

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oddlens.serving.faults import RefusedError
from oddlens.serving.security import BROWSER_HEADERS

log = logging.getLogger("oddlens.serving")
_MESSAGE = "a fault of the service, which its log describes"


class LastResort:
    """ASGI middleware around all others, so that their faults are answered as well.

    What theirs add to every answer it adds to its own: headers for browsers, and the request's id.
    (The framework's own handler of unexpected errors would answer with neither, and not as JSON.)

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
            # The journal gives ids, unless it is the journal that failed.
            request_id = scope.get("state", {}).get("request_id") or uuid.uuid4().hex
            log.exception("request failed", extra={"request_id": request_id})
            answer = RefusedError("failed", _MESSAGE).answer
            headers = BROWSER_HEADERS | {"X-Request-ID": request_id}
            await JSONResponse(answer.model_dump(), 500, headers)(scope, receive, send)
