"""Zip archives that hold one record. Nothing is written to disk and no declared size is trusted."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping

from ecg_ka.errors import ForeignReference, RecordTooLarge, TruncatedFile, UnreadableRecord
from ecg_ka.readers.limits import MAX_COMPRESSION_RATIO, MAX_FILES, MAX_INPUT_BYTES, check_bytes

_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")
_ENTRY_MARK = b"PK\x01\x02"
_ENCRYPTED = 0x1
_RATIO_MATTERS_FROM_BYTES = 1_000_000
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OSError, struct.error, OverflowError)
"""What the standard library raises at damaged archives."""


def is_zip(data: bytes) -> bool:
    """Whether these are the bytes of a zip archive."""
    return data.startswith(_MAGICS)


def unpack(data: bytes) -> Mapping[str, bytes]:
    """The files of an archive by their path in it; folders are left out.

    Raises:
        ForeignReference: a member that is a link or a device, or whose name leads out of the archive.
        RecordTooLarge: more members or bytes than the limits allow.
        TruncatedFile: the directory at the end is missing.
        UnreadableRecord: encrypted, damaged, of another compression, or an archive within the archive.
    """
    if data.count(_ENTRY_MARK) > MAX_FILES:
        raise RecordTooLarge(f"the zip holds more than {MAX_FILES} files; expected one ECG")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except ZIP_ERRORS:
        raise TruncatedFile("the zip has no readable directory. Send the whole file.") from None
    with archive:
        for member in archive.infolist():
            check_member(member)
        members = [member for member in archive.infolist() if not member.is_dir()]
        check_bytes(sum(member.file_size for member in members), MAX_INPUT_BYTES, "the unpacked zip")
        contents: dict[str, bytes] = {}
        room = MAX_INPUT_BYTES
        for member in members:
            contents[member.filename] = read_member(archive, member, room)
            room -= len(contents[member.filename])
    return contents


def check_member(member: zipfile.ZipInfo) -> None:
    """Refuse what no archive of ECGs needs.

    Raises:
        ForeignReference: a link or a device, or a name that leads out of the archive.
        RecordTooLarge: it unpacks to far more than any ECG does.
        UnreadableRecord: encrypted, or of another compression.
    """
    name = member.orig_filename
    if (
        not member.filename
        or name.startswith(("/", "\\"))
        or ".." in name.replace("\\", "/").split("/")
        or ":" in name
        or "\x00" in name
    ):
        raise ForeignReference(f"the zip holds {name[:60]!r}, which leads out of it; expected plain names")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise ForeignReference(f"{name[:60]!r} in the zip is a link or a device; expected plain files")
    if member.flag_bits & _ENCRYPTED:
        raise UnreadableRecord(f"{name[:60]!r} in the zip is encrypted. Send it without a password.")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UnreadableRecord(f"{name[:60]!r} in the zip is packed by another method than deflate")
    ratio = member.file_size / max(1, member.compress_size)
    if member.file_size > _RATIO_MATTERS_FROM_BYTES and ratio > MAX_COMPRESSION_RATIO:
        raise RecordTooLarge(f"{name[:60]!r} in the zip unpacks to {ratio:.0f} times its size; no ECG does")


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, room: int) -> bytes:
    """The bytes of a member, at most ``room``.

    Raises:
        RecordTooLarge: it has more.
        UnreadableRecord: it is damaged, or a zip itself.
    """
    try:
        with archive.open(member) as stream:
            content = stream.read(room + 1)
    except ZIP_ERRORS:
        raise UnreadableRecord(f"{member.filename[:60]!r} in the zip is damaged. Pack it again.") from None
    check_bytes(len(content), room, f"{member.filename[:60]!r} in the zip")
    if is_zip(content):
        raise UnreadableRecord(f"{member.filename[:60]!r} is a zip within the zip; expected one ECG, packed once")
    return content
