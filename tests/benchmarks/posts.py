"""POST /v1/predict to the application in this process: what the service takes for a request, without a client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from service.app import create_app
from service.settings import Settings


@contextmanager
def posted(name: str, data: bytes) -> Iterator[Callable[[], int]]:
    """A call that sends one file and takes the answer in; it gives the status."""
    request = httpx2.Request("POST", "http://localhost/v1/predict", files={"file": (name, data)})
    body, app, loop = request.read(), create_app(Settings()), asyncio.new_event_loop()
    running = app.router.lifespan_context(app)
    scope = _scope(request, loop.run_until_complete(running.__aenter__()))

    async def call() -> int:
        sent: list[Any] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await app({**scope, "state": dict(scope["state"])}, receive, send)
        return int(sent[0]["status"])

    try:
        yield lambda: loop.run_until_complete(call())
    finally:
        loop.run_until_complete(running.__aexit__(None, None, None))
        loop.close()


def _scope(request: httpx2.Request, state: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": request.url.path,
        "raw_path": request.url.raw_path,
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "state": state,
    }
