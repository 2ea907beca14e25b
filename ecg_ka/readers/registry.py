"""The formats that are read, and which of them some files are. A new format is a file and an entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ecg_ka.errors import EmptyFile, UnknownFormat, UnreadableRecord
from ecg_ka.readers import (
    aecg,
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
from ecg_ka.readers.limits import (
    MAX_CHANNELS,
    MAX_DICOM_BYTES,
    MAX_DURATION_S,
    MAX_INPUT_BYTES,
    MAX_JSON_BYTES,
    MAX_SCP_BYTES,
    MAX_XML_BYTES,
)
from ecg_ka.record import FS_RANGE_HZ, EcgRecord

_XML = f"{MAX_XML_BYTES / 1e6:g} MB of XML; "


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format: in words for whoever asks what is read, and as functions for the bytes.

    ``known_by`` tells what bytes are recognised by (the content, never the name), ``to_give`` what the caller has to
    add where the file does not say it, ``limits`` what of the format is read.
    """

    name: str
    known_by: str
    to_give: str = "nothing"
    limits: str
    recognises: Callable[[bytes], bool]
    read: Callable[[Files, Given], EcgRecord]


FORMATS = (
    Format(
        name="DICOM",
        known_by="DICM behind a preamble of 128 bytes",
        to_give="units, where a channel states none",
        limits=f"{MAX_DICOM_BYTES / 1e6:g} MB; implicit or explicit little endian; the longest original waveform "
        "group; linear samples of 8, 16 or 32 bits",
        recognises=dicom.recognises,
        read=dicom.read,
    ),
    Format(
        name="SCP-ECG",
        known_by="the pointers of section 0",
        limits=f"{MAX_SCP_BYTES / 1e3:g} kB; leads that begin and end together",
        recognises=scp.recognises,
        read=scp.read,
    ),
    Format(
        name="ISHNE",
        known_by="ISHNE1.0 at the beginning",
        limits="the leads that the header names as standard ones",
        recognises=ishne.recognises,
        read=ishne.read,
    ),
    Format(
        name="EDF and EDF+",
        known_by="version 0 and the length of its header",
        to_give="units, where a signal states none",
        limits="continuous files (EDF+C); one sampling rate for all leads",
        recognises=edf.recognises,
        read=edf.read,
    ),
    Format(
        name="MATLAB .mat",
        known_by="the header of version 5",
        to_give="fs_hz, units and leads, where the file holds none",
        limits="version 5; a table called val, or the only one; beside it rate, unit and lead names",
        recognises=mat.recognises,
        read=mat.read,
    ),
    Format(
        name="NumPy .npy and .npz",
        known_by="\\x93NUMPY at the beginning; an .npz is a zip of them",
        to_give="fs_hz for .npy; units, unless it is mV; leads, unless they are the standard 12 or 8",
        limits="plain numbers, no pickles; in an .npz signal (signal_mv, signal_uv), rate, unit, lead names",
        recognises=npy.recognises,
        read=npy.read,
    ),
    Format(
        name="GE MUSE XML",
        known_by="the element RestingECG",
        limits=_XML + "the waveform Rhythm, never Median",
        recognises=muse.recognises,
        read=muse.read,
    ),
    Format(
        name="GE CardioSoft XML",
        known_by="the element CardiologyXML",
        limits=_XML + "StripData, or else FullDisclosure; never MedianSamples",
        recognises=cardiosoft.recognises,
        read=cardiosoft.read,
    ),
    Format(
        name="Philips Sierra XML",
        known_by="the element restingecgdata",
        limits=_XML + "versions 1.03 to 1.04.02; XLI or plain samples of 16 bits; the calibration pulse is taken off",
        recognises=philips.recognises,
        read=philips.read,
    ),
    Format(
        name="HL7 aECG",
        known_by="the element AnnotatedECG",
        limits=_XML + "one series RHYTHM, never derived ones",
        recognises=aecg.recognises,
        read=aecg.read,
    ),
    Format(
        name="JSON",
        known_by="a { at the beginning",
        to_give="fs_hz and leads, where it holds none",
        limits=f'{MAX_JSON_BYTES / 1e6:g} MB; {{"fs_hz": ..., "leads": [...], "signal_mv" or "signal_uv": '
        "[[...], ...]}",
        recognises=json_text.recognises,
        read=json_text.read,
    ),
    Format(
        name="WFDB of several segments",
        known_by="a header whose record line counts segments",
        limits="segments among the given files; no gap in a lead",
        recognises=wfdb_segments.recognises,
        read=wfdb_segments.read,
    ),
    Format(
        name="WFDB",
        known_by="a record line and one line a signal",
        to_give="the signal files with the header; fs_hz, where the header states none",
        limits=f"storage formats {str(wfdb_header.FORMATS)[1:-1]}; one sampling rate for all leads",
        recognises=wfdb_record.recognises,
        read=wfdb_record.read,
    ),
    Format(
        name="CSV",
        known_by="a first line that names a standard lead",
        to_give="fs_hz, where there is no time column; units, where II_uV or II (mV) do not say them",
        limits="comma, semicolon or tab; one unit for all leads",
        recognises=csv_text.recognises,
        read=csv_text.read,
    ),
)
"""In the order in which they are tried: the certain marks first."""

ARCHIVE = "a zip of one of these"

LIMITS = (
    f"At most {MAX_INPUT_BYTES / 1e6:g} MB, {MAX_CHANNELS} channels, {MAX_DURATION_S:g} s; "
    f"{FS_RANGE_HZ[0]:g} to {FS_RANGE_HZ[1]:g} Hz."
)
"""Of every format."""


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
    beside = _companions(contents) | npy.companions(contents)
    alone = {name: recognise(data) for name, data in contents.items() if name not in beside}
    known = {name: kind for name, kind in alone.items() if kind is not None}
    if not known:
        raise UnknownFormat(f"the content is of no known format. Read are: {what_is_read()}.")
    if len(known) > 1:
        first = ", ".join(f"{name!r:.40}" for name in sorted(known)[:3])
        more = " and more" if len(known) > 3 else ""
        raise UnreadableRecord(f"{len(known)} records ({first}{more}); expected one. Give them one at a time.")
    ((name, kind),) = known.items()
    return kind, Files(primary=name, contents=contents)


def _companions(contents: Mapping[str, bytes]) -> set[str]:
    """Signal files and segments that a header among the files names: they belong to it, whatever they look like."""
    headers = {name: data for name, data in contents.items() if wfdb_header.recognises(data)}
    named = {file for name, data in headers.items() for file in wfdb_header.signal_files(data) if file != name}
    return {file for file in named if not wfdb_header.recognises_segments(contents.get(file, b""))}


def what_is_read() -> str:
    """The names of all formats in one line."""
    return ", ".join([*(kind.name for kind in FORMATS), ARCHIVE])
