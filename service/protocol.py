"""HTTP/1.1 as uvicorn speaks it, with what it lacks: a time-out for the headers of a request, and refusals that are
problem documents."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import h11
from starlette.datastructures import MutableHeaders
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.errors import MalformedRequest, response_of
from service.middleware import add_headers


class TimedHeaders(H11Protocol):
    """Closes a connection on which no whole request header has arrived within ``header_timeout_s``.

    The time runs from the connection, and later from the first byte of another request on it; between requests the
    ``timeout_keep_alive`` of uvicorn holds.
    """

    header_timeout_s = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None
        self._counted, self.app = self.app, self._count
        self._max_connections, self.limit_concurrency = self.limit_concurrency, None

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

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - ours says more
        """Refuse what is no HTTP, and close; once an answer is under way there is no place for a refusal."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            request_id = uuid.uuid4().hex
            error = MalformedRequest("this is no valid request, or its headers are too long; expected HTTP/1.1.")
            response = response_of(error, request_id)
            headers = MutableHeaders(raw=list(response.raw_headers))
            add_headers(headers, {"request_id": request_id})
            for event in (
                h11.Response(status_code=response.status_code, headers=headers.raw, reason=b"Bad Request"),
                h11.Data(data=bytes(response.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell the application of one connection too many: uvicorn would answer in plain text."""
        if self._max_connections is not None and len(self.connections) >= self._max_connections:
            scope["state"]["is_one_too_many"] = True
        await self._counted(scope, receive, send)

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
