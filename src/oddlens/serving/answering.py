"""Answers on their way out: written away from the event loop, and sent as they are taken."""

from __future__ import annotations

from contextlib import ExitStack

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from oddlens.serving.faults import RefusedError
from oddlens.serving.models import Model
from oddlens.serving.schemas import Maps, ScoreAnswer
from oddlens.serving.settings import Settings

PORTION = 2**18
"""Bytes that are sent at a time. The server's patience with a caller (``impatient``) begins anew
with each, so that a slow one may take long over a large answer, as long as it takes something."""


def map_pixels(model: Model, images: int, maps: Maps, settings: Settings) -> int:
    """How many pixels the maps of an answer have; 0 where none are sent.

    Raises:
        RefusedError: more than one answer may hold ("too_many_maps").
    """
    if maps == "none":
        return 0
    wanted = images * model.map_pixels
    if wanted > settings.max_map_pixels:
        fitting = settings.max_map_pixels // model.map_pixels
        way_out = f"send {fitting} at a time at most, or ask" if fitting else "ask"
        raise RefusedError(
            "too_many_maps",
            f"the maps that are asked for have {wanted:,} pixels, and an answer holds "
            f"{settings.max_map_pixels:,} at most: {way_out} with maps=none",
        )
    return wanted


def written(answer: ScoreAnswer) -> bytes:
    """The answer as JSON."""
    return answer.model_dump_json().encode()


class Portions(Response):
    """An answer that is sent in portions, each when the one before is taken but for a rest.

    A large one would else lie in the server's buffers as a whole, where nobody counts it.

    Args:
        content: JSON.
        held: closed when the answer is sent, or can be sent no more.
    """

    media_type = "application/json"

    def __init__(self, content: bytes, held: ExitStack) -> None:
        super().__init__(content)
        self._content = content
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        del scope, receive
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        with self._held:
            await send(start)
            for at in range(0, len(self._content), PORTION):
                portion = self._content[at : at + PORTION]
                await send({"type": "http.response.body", "body": portion, "more_body": True})
            # The server takes this one when it has got rid of the others.
            await send({"type": "http.response.body", "body": b"", "more_body": False})
