"""The JSON body of a request, read within limits of size and time, once it is known who calls.

FastAPI would read a declared body before any dependency runs: of anyone, and for as long as it takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header

from service.errors import BodyTooLarge, InvalidRequest, UnsupportedBody, UploadTimeout
from service.settings import Settings

F = TypeVar("F", bound=BaseModel)

MAX_BYTES = 1_000_000


def json_body(kind: type[F]) -> Callable[[Request], Awaitable[F]]:
    """The dependency that reads a body of this kind."""

    async def receive(request: Request) -> F:
        body = await read_json(request, MAX_BYTES)
        try:
            return kind.model_validate_json(body)
        except ValidationError as error:
            faults = (f"{'.'.join(map(str, fault['loc']))[:40]}: {fault['msg']}" for fault in error.errors())
            raise InvalidRequest(f"{'; '.join(faults)}. Expected {', '.join(kind.model_fields)}.") from None

    return receive


def is_json(request: Request) -> bool:
    """Whether the request says so of its body."""
    return parse_options_header(request.headers.get("content-type"))[0] == b"application/json"


async def read_json(request: Request, max_bytes: int) -> bytes:
    """The body, once all of it is there.

    Raises:
        UnsupportedBody, BodyTooLarge, UploadTimeout: as named.
    """
    settings: Settings = request.state["settings"]
    if not is_json(request):
        raise UnsupportedBody("the body is not application/json; send it as JSON.")
    body = bytearray()
    try:
        async with asyncio.timeout(settings.upload_timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise BodyTooLarge(f"the request body has more than {max_bytes} bytes; expected at most that many.")
    except TimeoutError:
        raise UploadTimeout(f"the body did not arrive within {settings.upload_timeout_s:g} s; send it again.") from None
    return bytes(body)
