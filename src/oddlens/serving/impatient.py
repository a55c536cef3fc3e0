"""HTTP/1.1 as uvicorn speaks it, but for callers that never finish their headers, or never listen.

uvicorn waits for ever for the head of a request and for an answer to be taken, so that a few
hundred silent connections would take all there are. The time for a body is limited where it is read
(``uploads``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.h11_impl import H11Protocol

_SPARE = 64
"""Connections beyond uvicorn's limit that are kept to be told of it; more are cut off at once, or
silent ones would use up the files that a process may open."""


def impatient(seconds: float) -> type[H11Protocol]:
    """A protocol that ends a connection where nothing happens for so many seconds.

    That is where no request begins, or where an answer that does not fit into the system's buffers
    is not taken: of a large answer each portion (``answering``), so that slow callers get theirs.
    """

    class Impatient(H11Protocol):
        _patience: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            most = self.limit_concurrency
            if most is not None and len(self.connections) > most + _SPARE:
                transport.abort()
            else:
                self._wait()

        def handle_events(self) -> None:
            before = self.cycle
            super().handle_events()
            begun = self.cycle is not before and not self.cycle.response_complete
            # The next request may have been sent along with one whose answer is not taken yet.
            if begun and not self.flow.write_paused:
                self._stop_waiting()

        def on_response_complete(self) -> None:
            # For uvicorn an answer is complete when it is in the buffers, taken or not.
            if not self.flow.write_paused:
                # Also bounds how long the rest of a refused body is read and thrown away.
                self._wait()
            super().on_response_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._after(self.transport.abort)

        def resume_writing(self) -> None:
            self._stop_waiting()
            # There is no cycle (None) before the first request.
            if getattr(self.cycle, "response_complete", True):
                self._wait()
            super().resume_writing()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def _wait(self) -> None:
            self._after(self._hang_up)

        def _hang_up(self) -> None:
            self.transport.close()
            # Closing waits, for ever, for what is still to be written.
            self._after(self.transport.abort)

        def _after(self, end: Callable[[], None]) -> None:
            self._stop_waiting()
            self._patience = self.loop.call_later(seconds, end)

        def _stop_waiting(self) -> None:
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None

    return Impatient
