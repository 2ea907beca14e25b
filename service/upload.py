"""The multipart body of a request for an estimate, read into memory and never onto a disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from service.errors import InvalidRequest, MalformedBody, UnsupportedBody, UploadTimeout
from service.schemas import PredictFields
from service.settings import Settings
from service.state import LoadedEstimator

MAX_FILES = 64
MAX_FIELDS = 16
MAX_FIELD_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What was sent: one file, or several by their names, and the fields beside it."""

    source: bytes | Mapping[str, bytes]
    fields: PredictFields


class _InMemoryParser(MultiPartParser):
    spool_max_size = 0  # for a spooled file this means: never onto the disk

    def __init__(self, request: Request) -> None:
        limits = {"max_files": MAX_FILES, "max_fields": MAX_FIELDS, "max_part_size": MAX_FIELD_BYTES}
        super().__init__(request.headers, self._to_the_end(request), **limits)
        self._is_complete = False

    def on_end(self) -> None:
        self._is_complete = True

    async def _to_the_end(self, request: Request) -> AsyncGenerator[bytes, None]:
        async for chunk in request.stream():
            yield chunk
        if not self._is_complete:
            raise MultiPartException("The multipart body ends before its closing boundary.")


async def receive_upload(request: Request, _: LoadedEstimator) -> AsyncIterator[Upload]:
    """Read the body, then keep a place for the estimate until the answer is made.

    Raises:
        NotReady: before a byte of the body is read.
        Overloaded: before that too, or when no place is free once the body is there.
        UnsupportedBody, MalformedBody, BodyTooLarge, UploadTimeout, InvalidRequest: as named.
    """
    _refuse_other_requests(request)
    with request.state["uploads"].entered():
        upload = await _upload(request)
    with request.state["estimates"].entered():
        yield upload


ReceivedUpload = Annotated[Upload, Depends(receive_upload)]


def _refuse_other_requests(request: Request) -> None:
    if request.query_params:
        raise InvalidRequest(
            "the address holds a query; expected none. Send level, output and the like as form fields."
        )
    media_type, options = parse_options_header(request.headers.get("content-type"))
    if media_type != b"multipart/form-data":
        raise UnsupportedBody("the body is not multipart/form-data; send the ECG as a form upload in the field 'file'.")
    if options.get(b"charset", b"utf-8").lower() != b"utf-8":
        raise UnsupportedBody("the form states a charset other than utf-8; send it in utf-8.")


async def _upload(request: Request) -> Upload:
    form = await _parse(request)
    try:
        return Upload(source=await _source(form), fields=_fields(form))
    finally:
        await form.close()


async def _parse(request: Request) -> FormData:
    settings: Settings = request.state["settings"]
    parser = _InMemoryParser(request)
    try:
        async with asyncio.timeout(settings.upload_timeout_s):
            return await parser.parse()
    except TimeoutError:
        raise UploadTimeout(f"the body did not arrive within {settings.upload_timeout_s:g} s; send it again.") from None
    except MultiPartException as error:
        raise MalformedBody(f"{error.message} Expected up to {MAX_FILES} files and {MAX_FIELDS} fields.") from None


async def _source(form: FormData) -> bytes | Mapping[str, bytes]:
    files = form.getlist("file")
    if not files:
        raise InvalidRequest("there is no field 'file'; expected the ECG file, or several files of one ECG, in it.")
    contents: dict[str, bytes] = {}
    for file in files:
        if not isinstance(file, UploadFile):
            raise InvalidRequest("the field 'file' is text; expected an upload with a file name.")
        name = file.filename or ""
        if name in contents:
            raise InvalidRequest("two files have one name; expected the files of one ECG, each under its own name.")
        contents[name] = await file.read()
    # the name of a single file says nothing: formats are known by content
    return contents if len(contents) > 1 else next(iter(contents.values()))


def _fields(form: FormData) -> PredictFields:
    items = [(name, value) for name, value in form.multi_items() if name != "file"]
    values = dict(items)
    if len(values) < len(items):
        raise InvalidRequest("a form field was sent twice; expected each once, except 'file'.")
    try:
        return PredictFields.model_validate(values)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))[:40]}: {fault['msg']}" for fault in error.errors())
        known = ", ".join(PredictFields.model_fields)
        raise InvalidRequest(f"{faults}. Expected 'file' and, optionally, {known}.") from None
