"""What surrounds every request: its id, its log line, the headers of every answer, the last resort, the size limit."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs
from service.errors import (
    METHODS,
    BodyTooLarge,
    HeadersTooLarge,
    MalformedRequest,
    ServiceError,
    TooManyConnections,
    response_of,
)

_LOG = logging.getLogger("service")
_SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Of every answer that does not say otherwise itself, as a page has to."""

_MAX_HEADER_BYTES = 32_000
_ONCE = ("host", "content-length", "content-type", "authorization", "x-api-key", "idempotency-key", "x-request-id")
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
                add_headers(MutableHeaders(scope=message), scope["state"])
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001 - the last resort: a bug must not take the server or its secrets along
            _report(error, request_id)
            scope["problem"] = type(error).__name__
            if status is None:
                await response_of(error, request_id)(scope, receive, send_with_headers)
        seconds = time.perf_counter() - started
        _log(scope, request_id, status, seconds)
        if "meter" in scope["state"]:
            scope["state"]["meter"].count_request(_method(scope), _route(scope), status, seconds)


class Admission:
    """Refuses what nothing else should look at: a request on one connection too many, and one with headers that a
    proxy in front could have understood differently."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        error = _refusal(scope) if scope["type"] == "http" else None
        if error is None:
            await self.app(scope, receive, send)
            return
        scope["problem"] = type(error).__name__
        await response_of(error, scope["state"]["request_id"])(scope, receive, send)


class BodyLimit:
    """Refuses a body over ``max_bytes``, or another number for its path: at once when the header says so, else when one
    byte too many has come."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, max_bytes_of: Mapping[str, int]) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.max_bytes_of = max_bytes_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        max_bytes = self.max_bytes_of.get(scope.get("path", ""), self.max_bytes)
        declared = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        if declared.isdecimal() and int(declared) > max_bytes:
            scope["problem"] = BodyTooLarge.__name__
            await response_of(_too_large(max_bytes), scope["state"]["request_id"])(scope, receive, send)
            return
        n_bytes = 0

        async def receive_counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > max_bytes:
                raise _too_large(max_bytes)
            return message

        await self.app(scope, receive_counted, send)


def _refusal(scope: Scope) -> ServiceError | None:
    if scope["state"].get("is_one_too_many"):
        return TooManyConnections("as many connections as allowed are open. Try again in 1 s.")
    headers = Headers(scope=scope)
    n_bytes = len(scope["raw_path"]) + len(scope["query_string"]) + sum(len(k) + len(v) for k, v in headers.raw)
    if n_bytes > _MAX_HEADER_BYTES:  # h11 has such a limit for what comes in pieces alone
        return HeadersTooLarge(f"address and headers have {n_bytes} bytes; expected at most {_MAX_HEADER_BYTES}.")
    twice = [name for name in _ONCE if len(headers.getlist(name)) > 1]
    if twice:
        return MalformedRequest(f"the header {twice[0]} came twice; expected it once.")
    if "transfer-encoding" in headers and "content-length" in headers:
        return MalformedRequest("both Transfer-Encoding and Content-Length came; expected one of them.")
    return None


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the request body has more than {max_bytes} bytes; expected at most that many. "
        "Ten seconds of 12 leads take about 120,000 bytes: send one ECG, or fewer of them in a batch."
    )


def _request_id(given: str | None) -> str:
    return given if given and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def add_headers(headers: MutableHeaders, state: Mapping[str, Any]) -> None:
    """Those of every answer."""
    headers["X-Request-ID"] = state["request_id"]
    if "estimate_id" in state:
        headers["X-Estimate-ID"] = state["estimate_id"]
    for name, value in _SECURITY_HEADERS.items():
        headers.setdefault(name, value)


def _report(error: Exception, request_id: str) -> None:
    data = {"request_id": request_id, "error": type(error).__name__, "places": logs.places(error.__traceback__)}
    _LOG.error("unexpected error", extra={"data": data})


def _log(scope: Scope, request_id: str, status: int | None, seconds: float) -> None:
    data = {
        "request_id": request_id,
        "method": _method(scope),
        "route": _route(scope),
        "status": status,
        "problem": scope.get("problem"),
        "duration_ms": round(1000 * seconds, 1),
    }
    caller = scope["state"].get("caller")
    data["caller"] = caller.name if caller else None
    _LOG.info("request", extra={"data": data})


def _method(scope: Scope) -> str:
    """The method, if it is one: it may be any word."""
    return scope["method"] if scope["method"] in METHODS else "other"


def _route(scope: Scope) -> str | None:
    """The route as declared: a path as sent may hold anything."""
    return getattr(scope.get("route"), "path", None)
