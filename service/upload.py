"""The body of a request for an estimate, a form or an ECG as JSON, read into memory and never onto a disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ecg_ka import Estimator
from service.errors import InvalidRequest, MalformedBody, UnsupportedBody, UploadTimeout
from service.json_body import is_json, read_json
from service.packing import fingerprint_of, packed
from service.settings import Settings
from service.state import PATIENCE_S, LoadedEstimator

F = TypeVar("F", bound=BaseModel)
F_co = TypeVar("F_co", bound=BaseModel, covariant=True)  # more fields are no less

MAX_FILES = 64
MAX_FIELDS = 16
MAX_FIELD_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload(Generic[F_co]):
    """What was sent: one file, or several by their names, and the fields beside it."""

    source: bytes | Mapping[str, bytes]
    fields: F_co

    @property
    def content(self) -> bytes:
        """The bytes of the ECG, in one piece."""
        return self.source if isinstance(self.source, bytes) else packed(self.source)

    @property
    def fingerprint(self) -> str:
        """The hash of all that was sent."""
        return fingerprint_of(self.fields, [self.content])


class InMemoryParser(MultiPartParser):
    """A parser that never writes to the disk and refuses a body without its end."""

    spool_max_size = 0  # for a spooled file this means: never onto the disk

    def __init__(self, request: Request, max_files: int, max_field_bytes: int) -> None:
        limits = {"max_files": max_files, "max_fields": MAX_FIELDS, "max_part_size": max_field_bytes}
        super().__init__(request.headers, self._to_the_end(request), **limits)
        self._is_complete = False

    def on_end(self) -> None:
        """The closing boundary came."""
        self._is_complete = True

    async def _to_the_end(self, request: Request) -> AsyncGenerator[bytes, None]:
        async for chunk in request.stream():
            yield chunk
        if not self._is_complete:
            raise MultiPartException("The multipart body ends before its closing boundary.")


def upload_of(kind: type[F]) -> Callable[[Request, Estimator], AsyncIterator[Upload[F]]]:
    """The dependency that receives one ECG with fields of this kind."""

    async def receive(request: Request, _: LoadedEstimator) -> AsyncIterator[Upload[F]]:
        """Read the body, then keep a place for the estimate until the answer is made.

        Raises:
            NotReady: before a byte of the body is read.
            Overloaded: before that too, or when no place gets free for seconds once the body is there.
            UnsupportedBody, MalformedBody, BodyTooLarge, UploadTimeout, InvalidRequest: as named.
        """
        refuse_query(request)
        if not is_json(request):
            refuse_other_bodies(request)
        async with AsyncExitStack() as place:
            with request.state["uploads"].entered():
                upload = await _upload(request, kind)
                await place.enter_async_context(request.state["estimates"].entered_in_turn(PATIENCE_S))
            yield upload

    return receive


def refuse_other_requests(request: Request) -> None:
    """Let nothing but a form pass.

    Raises:
        UnsupportedBody, InvalidRequest: as named.
    """
    refuse_query(request)
    refuse_other_bodies(request)


def refuse_query(request: Request) -> None:
    """Let nothing pass that says more in its address.

    Raises:
        InvalidRequest: there is a query.
    """
    if request.query_params:
        raise InvalidRequest(
            "the address holds a query; expected none. Send level, output and the like as form fields."
        )


def refuse_other_bodies(request: Request) -> None:
    """Let nothing but a form pass.

    Raises:
        UnsupportedBody: it says of its body that it is another thing.
    """
    media_type, options = parse_options_header(request.headers.get("content-type"))
    if media_type != b"multipart/form-data":
        raise UnsupportedBody("the body is not multipart/form-data; send the ECG as a form upload in the field 'file'.")
    if options.get(b"charset", b"utf-8").lower() != b"utf-8":
        raise UnsupportedBody("the form states a charset other than utf-8; send it in utf-8.")


async def _upload(request: Request, kind: type[F]) -> Upload[F]:
    if is_json(request):
        settings: Settings = request.state["settings"]
        return Upload(source=await read_json(request, settings.max_upload_bytes), fields=kind())
    form = await parse_form(request, MAX_FILES)
    try:
        return Upload(source=source_of(await files_of(form, "file")), fields=fields_of(form, kind))
    finally:
        await form.close()


async def parse_form(request: Request, max_files: int, max_field_bytes: int = MAX_FIELD_BYTES) -> FormData:
    """The form, once all of it is there.

    Raises:
        MalformedBody, BodyTooLarge, UploadTimeout: as named.
    """
    settings: Settings = request.state["settings"]
    parser = InMemoryParser(request, max_files, max_field_bytes)
    try:
        async with asyncio.timeout(settings.upload_timeout_s):
            return await parser.parse()
    except TimeoutError:
        raise UploadTimeout(f"the body did not arrive within {settings.upload_timeout_s:g} s; send it again.") from None
    except MultiPartException as error:
        raise MalformedBody(f"{error.message} Expected up to {max_files} files and {MAX_FIELDS} fields.") from None


async def files_of(form: FormData, field: str) -> dict[str, bytes]:
    """The files in one field, by their names.

    Raises:
        InvalidRequest: there is none, one is text, or two have one name.
    """
    contents: dict[str, bytes] = {}
    for file in form.getlist(field):
        if not isinstance(file, UploadFile):
            raise InvalidRequest(f"the field {field!r} is text; expected an upload with a file name.")
        name = file.filename or ""
        if name in contents:
            raise InvalidRequest("two files have one name; expected the files of one ECG, each under its own name.")
        contents[name] = await file.read()
    if not contents:
        raise InvalidRequest(f"there is no field {field!r}; expected an ECG file, or several files of one ECG, in it.")
    return contents


def source_of(contents: Mapping[str, bytes]) -> bytes | Mapping[str, bytes]:
    """The files of one ECG. The name of a single file says nothing: formats are known by content."""
    return contents if len(contents) > 1 else next(iter(contents.values()))


def fields_of(form: FormData, kind: type[F], files: tuple[str, ...] = ("file",)) -> F:
    """The fields beside those that hold files.

    Raises:
        InvalidRequest: one is unknown, given twice, or out of range.
    """
    items = [(name, value) for name, value in form.multi_items() if name not in files]
    values = dict(items)
    if len(values) < len(items):
        raise InvalidRequest("a form field was sent twice; expected each once, except those that hold files.")
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))[:40]}: {fault['msg']}" for fault in error.errors())
        known = ", ".join(kind.model_fields)
        raise InvalidRequest(f"{faults}. Expected {', '.join(files)} and, as far as they apply, {known}.") from None
