"""The formats that are read, and which of them some files are. A new format is a file and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ecg_ka.errors import EmptyFile, UnknownFormat, UnreadableRecord
from ecg_ka.readers import (
    aecg,
    archive,
    cardiosoft,
    csv_text,
    dicom,
    edf,
    ishne,
    json_text,
    mat,
    muse,
    npy,
    philips,
    scp,
    wfdb_header,
    wfdb_record,
    wfdb_segments,
)
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given
from ecg_ka.record import EcgRecord


@dataclass(frozen=True, slots=True)
class Format:
    """One format: what it is in words, whether bytes are of it (by content, never by name), and how it is read."""

    what: str
    recognises: Callable[[bytes], bool]
    read: Callable[[Files, Given], EcgRecord]


FORMATS = (
    Format(dicom.WHAT, dicom.recognises, dicom.read),
    Format(scp.WHAT, scp.recognises, scp.read),
    Format(ishne.WHAT, ishne.recognises, ishne.read),
    Format(edf.WHAT, edf.recognises, edf.read),
    Format(mat.WHAT, mat.recognises, mat.read),
    Format(npy.WHAT, npy.recognises, npy.read),
    Format(muse.WHAT, muse.recognises, muse.read),
    Format(cardiosoft.WHAT, cardiosoft.recognises, cardiosoft.read),
    Format(philips.WHAT, philips.recognises, philips.read),
    Format(aecg.WHAT, aecg.recognises, aecg.read),
    Format(json_text.WHAT, json_text.recognises, json_text.read),
    Format(wfdb_segments.WHAT, wfdb_segments.recognises, wfdb_segments.read),
    Format(wfdb_record.WHAT, wfdb_record.recognises, wfdb_record.read),
    Format(csv_text.WHAT, csv_text.recognises, csv_text.read),
)
"""In the order in which they are tried: the certain marks first."""


def recognise(data: bytes) -> Format | None:
    """The format of one file's content, or None."""
    return next((kind for kind in FORMATS if kind.recognises(data)), None)


def pick(contents: Mapping[str, bytes]) -> tuple[Format, Files]:
    """The one record among some files; files of no known format beside it are not looked at.

    Raises:
        EmptyFile: there is no byte in any file.
        UnknownFormat: no file is of a known format.
        UnreadableRecord: there are several records.
    """
    if not any(contents.values()):
        raise EmptyFile("the file is empty (0 bytes); expected an ECG. Export it again.")
    known = {name: kind for name, data in contents.items() if (kind := recognise(data)) is not None}
    for name in _companions(contents) | npy.companions(contents):
        known.pop(name, None)
    if not known:
        raise UnknownFormat(f"the content is of no known format. Read are: {'; '.join(_what_is_read())}.")
    if len(known) > 1:
        raise UnreadableRecord(f"{len(known)} records ({sorted(known)!r:.120}); expected one at a time")
    ((name, kind),) = known.items()
    return kind, Files(primary=name, contents=contents)


def _companions(contents: Mapping[str, bytes]) -> set[str]:
    """Signal files and segments that a header among the files names: they belong to it, whatever they look like."""
    headers = {name: data for name, data in contents.items() if wfdb_header.recognises(data)}
    named = {file for name, data in headers.items() for file in wfdb_header.signal_files(data) if file != name}
    return {file for file in named if not wfdb_header.recognises_segments(contents.get(file, b""))}


def _what_is_read() -> list[str]:
    return [*(kind.what for kind in FORMATS), archive.WHAT]
