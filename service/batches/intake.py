"""The body of a batch: many files, or zips of them, told apart into ECGs.

One ECG is: a file on its own; a WFDB header with the files of the same name beside it; a zip within a zip, and an .npz.
Hidden files are left out, as archivers add them. Names stay in the answer to this request: they may name a patient.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from service.errors import InvalidRequest, MalformedBody
from service.fields import EcgFields
from service.packing import fingerprint_of, packed
from service.settings import Settings
from service.state import OpenedStore
from service.upload import fields_of, parse_form, refuse_other_requests

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_FILES_PER_ECG = 4
_MAX_EXPANSION = 10  # unpacked bytes beside the largest body
_ENCRYPTED = 0x1
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError, struct.error)


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    size: int
    read: Callable[[], bytes]

    @property
    def folder_and_stem(self) -> tuple[str, str]:
        folder, _, last = self.name.replace("\\", "/").rpartition("/")
        return folder, last.rpartition(".")[0] or last

    @property
    def is_hidden(self) -> bool:
        return any(part.startswith((".", "__MACOSX")) for part in self.name.replace("\\", "/").split("/"))


@dataclass(frozen=True, slots=True)
class Submission:
    """What was sent: ``ecgs`` are the files of each ECG, ``fingerprint`` is the hash of all of it."""

    fields: EcgFields
    ecgs: list[list[_File]]
    fingerprint: str

    @property
    def names(self) -> list[list[str]]:
        """The names of the files of each ECG."""
        return [[file.name for file in files] for files in self.ecgs]

    def contents(self) -> Iterator[bytes]:
        """Each ECG as one file, unpacked one after the other.

        Raises:
            MalformedBody: a file in a zip is damaged.
        """
        for files in self.ecgs:
            yield files[0].read() if len(files) == 1 else packed({file.name: file.read() for file in files})


async def receive_batch(request: Request, _: OpenedStore) -> AsyncIterator[Submission]:
    """Read the body, and keep its place until it is in the spool.

    Raises:
        StorageOff, Overloaded: before a byte of the body is read.
        UnsupportedBody, MalformedBody, BodyTooLarge, UploadTimeout, InvalidRequest: as named.
    """
    refuse_other_requests(request)
    settings: Settings = request.state["settings"]
    with request.state["batches"].entered():
        form = await parse_form(request, _FILES_PER_ECG * settings.max_batch_ecgs)
        try:
            yield await run_in_threadpool(_submission, settings, await _sent(form), fields_of(form, EcgFields))
        finally:
            await form.close()


ReceivedBatch = Annotated[Submission, Depends(receive_batch)]


async def _sent(form: FormData) -> list[tuple[str, bytes]]:
    sent: list[tuple[str, bytes]] = []
    for file in form.getlist("file"):
        if not isinstance(file, UploadFile):
            raise InvalidRequest("the field 'file' is text; expected an upload with a file name.")
        sent.append((file.filename or "", await file.read()))
    return sent


def _submission(settings: Settings, sent: list[tuple[str, bytes]], fields: EcgFields) -> Submission:
    files: list[_File] = []
    for name, data in sent:
        members = _members(data, settings) if data.startswith(_ZIP) else None
        files += members if members is not None else [_File(name, len(data), partial(_same, data))]
    ecgs = _told_apart([file for file in files if not file.is_hidden])
    if not ecgs:
        raise InvalidRequest("there is no ECG in the field 'file'; expected files, or zips of them.")
    if len(ecgs) > settings.max_batch_ecgs:
        raise InvalidRequest(f"there are {len(ecgs)} ECGs; expected at most {settings.max_batch_ecgs} in a batch.")
    if sum(file.size for file in files) > _MAX_EXPANSION * settings.batch_upload_bytes:
        raise InvalidRequest(f"the zips unpack to more than {_MAX_EXPANSION} times the largest body; send fewer ECGs.")
    whole = [part for name, data in sent for part in (name.encode("utf-8", "replace"), data)]
    return Submission(fields, ecgs, fingerprint_of(fields, whole))


def _same(data: bytes) -> bytes:
    return data


def _members(data: bytes, settings: Settings) -> list[_File] | None:
    """The files in a zip; None when the zip is one ECG itself."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _ZIP_ERRORS:
        raise MalformedBody("a zip has no readable directory. Send the whole file.") from None
    members = [member for member in archive.infolist() if not member.is_dir()]
    if members and all(member.filename.endswith(".npy") for member in members):
        return None
    for member in members:
        _check(member, settings.max_upload_bytes)
    return [_File(member.filename, member.file_size, partial(_unpacked, archive, member)) for member in members]


def _check(member: zipfile.ZipInfo, max_bytes: int) -> None:
    if member.flag_bits & _ENCRYPTED or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise MalformedBody("a file in a zip is encrypted or packed by another method than deflate.")
    if member.file_size > max_bytes:
        raise MalformedBody(f"a file in a zip has {member.file_size} bytes; expected at most {max_bytes}, one ECG.")


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(member) as stream:
            content = stream.read(member.file_size + 1)  # its checksum is compared at the end of what it declares
    except _ZIP_ERRORS:
        raise MalformedBody("a file in a zip is damaged. Pack it again.") from None
    if len(content) != member.file_size:
        raise MalformedBody("a file in a zip has another size than its directory says. Pack it again.")
    return content


def _told_apart(files: list[_File]) -> list[list[_File]]:
    headers = {file.folder_and_stem for file in files if file.name.lower().endswith(".hea")}
    ecgs: dict[object, list[_File]] = {}
    for number, file in enumerate(files):
        key = file.folder_and_stem if file.folder_and_stem in headers else number
        ecgs.setdefault(key, []).append(file)
    for together in ecgs.values():
        names = {file.name.replace("\\", "/").rpartition("/")[2] for file in together}
        if len(names) < len(together):
            raise InvalidRequest("two files of one ECG have one name; expected each under its own name.")
    return list(ecgs.values())
