"""What surrounds every request: its id, its log line, the headers of every answer, the last resort, the size limit."""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs
from service.errors import BodyTooLarge, response_of

_LOG = logging.getLogger("service")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Envelope:
    """Gives a request its id, answers what nothing else caught, and writes one log line."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status: int | None = None

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(MutableHeaders(scope=message), request_id)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001 - the last resort: a bug must not take the server or its secrets along
            _report(error, request_id)
            scope["problem"] = type(error).__name__
            if status is None:
                await response_of(error, request_id)(scope, receive, send_with_headers)
        _log(scope, request_id, status, time.perf_counter() - started)


class BodyLimit:
    """Refuses a body over ``max_bytes``: at once when the header says so, else when one byte too many has come."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        declared = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        if declared.isdecimal() and int(declared) > self.max_bytes:
            scope["problem"] = BodyTooLarge.__name__
            await response_of(self._error(), scope["state"]["request_id"])(scope, receive, send)
            return
        n_bytes = 0

        async def receive_counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self.max_bytes:
                raise self._error()
            return message

        await self.app(scope, receive_counted, send)

    def _error(self) -> BodyTooLarge:
        return BodyTooLarge(
            f"the request body has more than {self.max_bytes} bytes; expected at most that many. "
            "Ten seconds of 12 leads take about 120,000 bytes: send one ECG."
        )


def _request_id(given: str | None) -> str:
    return given if given and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _add_headers(headers: MutableHeaders, request_id: str) -> None:
    headers["X-Request-ID"] = request_id
    headers["Cache-Control"] = "no-store"
    headers["X-Content-Type-Options"] = "nosniff"


def _report(error: Exception, request_id: str) -> None:
    data = {"request_id": request_id, "error": type(error).__name__, "places": logs.places(error.__traceback__)}
    _LOG.error("unexpected error", extra={"data": data})


def _log(scope: Scope, request_id: str, status: int | None, seconds: float) -> None:
    data = {
        "request_id": request_id,
        "method": scope["method"],
        "route": getattr(scope.get("route"), "path", None),  # as declared: a path as sent may hold anything
        "status": status,
        "problem": scope.get("problem"),
        "duration_ms": round(1000 * seconds, 1),
    }
    _LOG.info("request", extra={"data": data})
