"""HTTP/1.1 as uvicorn speaks it, with a time-out that it lacks: for the headers of a request."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol


class TimedHeaders(H11Protocol):
    """Closes a connection on which no whole request header has arrived within ``header_timeout_s``.

    The time runs from the connection, and later from the first byte of another request on it; between requests the
    ``timeout_keep_alive`` of uvicorn holds.
    """

    header_timeout_s = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        """Start the clock."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Stop the clock once the headers are whole; start it when some of them are there."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.header_timeout_s, self.transport.close)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def timed_headers(timeout_s: float) -> type[TimedHeaders]:
    """The protocol with this time-out, as a class, which is what uvicorn takes."""
    return type("TimedHeaders", (TimedHeaders,), {"header_timeout_s": timeout_s})
