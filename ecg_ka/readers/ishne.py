"""ISHNE Holter files of up to 12 leads: a fixed header, a block of text, then 16 bit samples (Badilini 1998)."""

from __future__ import annotations

import binascii
import struct
from datetime import datetime
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import InvalidSamplingRate, MalformedHeader, NoSamples, TruncatedFile
from ecg_ka.readers.ages import age_at
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given
from ecg_ka.readers.limits import check_duration, check_samples
from ecg_ka.record import EcgRecord, Source, canonical_lead

_MAGIC = b"ISHNE1.0"
_CHECKED_FROM = 10
_HEADER = 522
_MAX_LEADS = 12
_LEAD_FAULT = -32768
_LEADS = dict(enumerate(("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"), start=5))


def recognises(data: bytes) -> bool:
    """Whether the mark of an ISHNE ECG (not of ISHNE annotations) stands in front."""
    return data.startswith(_MAGIC)


def read(files: Files, given: Given) -> EcgRecord:
    """The leads by their codes, each in the resolution (nV) that the file states.

    Raises:
        TruncatedFile: fewer bytes than declared.
        MalformedHeader, NoSamples, InvalidSamplingRate, RecordTooLarge, MissingLeads: on the field concerned.
        NonFiniteSamples: the value that marks a lead fault stands among the samples of a lead.
    """
    data = files.data
    if len(data) < _HEADER:
        raise TruncatedFile(
            f"the ISHNE file holds {len(data)} bytes; its header alone takes {_HEADER}. Send all of it."
        )
    names = _names(data)
    text_end, start = _blocks(data, len(names))
    fs_hz = given.sampling_rate(_rate(data))
    frames, notes = _frames(data, start, len(names))
    check_samples(frames.size)
    check_duration(len(frames), fs_hz)
    signal_mv = _millivolts(frames, names, data)
    given.unit("uV")
    acquired_at = _date(data, 138, 150)
    source = Source(
        format="ISHNE",
        sha256=sha256(data).hexdigest(),
        units_in="nV steps",
        acquired_at=acquired_at,
        age_years=age_at(_date(data, 132), acquired_at),
        notes=(*notes, *_altered(data, text_end)),
    )
    return EcgRecord.from_leads(signal_mv, given.names(names), fs_hz=fs_hz, source=source)


def _blocks(data: bytes, n_leads: int) -> tuple[int, int]:
    """Where the text ends and where the samples start: as stated, or behind the text where that is not stated.

    A gap between the two is believed only where the declared number of samples fills the rest of the file.
    """
    text_size, declared, _, stated = struct.unpack_from("<4i", data, 10)
    text_end = _HEADER + text_size
    if not _HEADER <= text_end <= len(data):
        raise MalformedHeader(f"a text block of {text_size} bytes in an ISHNE file of {len(data)}. Export it again.")
    if stated <= 0 or stated == text_end:
        return text_end, text_end
    if stated < text_end or len(data) - stated not in (2 * declared, 2 * declared * n_leads):
        raise MalformedHeader(
            f"the ISHNE header lets the samples start at byte {stated} and its text end at {text_end};"
            f" {declared} samples in {len(data)} bytes settle neither. Export it again."
        )
    return text_end, stated


def _names(data: bytes) -> list[str]:
    n_leads, *codes = struct.unpack_from("<13h", data, 156)
    if not 1 <= n_leads <= _MAX_LEADS:
        raise MalformedHeader(f"{n_leads} leads in the ISHNE header; expected 1 to {_MAX_LEADS}")
    return [_LEADS.get(code, f"ISHNE lead {code}") for code in codes[:n_leads]]


def _rate(data: bytes) -> float:
    (fs_hz,) = struct.unpack_from("<h", data, 272)
    if fs_hz <= 0:
        raise InvalidSamplingRate(f"the sampling rate is {fs_hz} Hz in the ISHNE header; expected a positive one")
    return float(fs_hz)


def _frames(data: bytes, start: int, n_leads: int) -> tuple[NDArray[np.int16], list[str]]:
    """The samples (n, leads), and a note where the header declares another number.

    The declared size counts the samples of one lead, or with some writers those of all leads.
    """
    (declared,) = struct.unpack_from("<i", data, 14)
    held, odd = divmod(len(data) - start, 2 * n_leads)
    if held == 0:
        raise NoSamples("the ISHNE file holds 0 samples; expected at least 5 s of ECG. Check the export.")
    frames: NDArray[np.int16] = np.frombuffer(data, "<i2", held * n_leads, start).reshape(held, n_leads)
    if not odd and declared in (held, held * n_leads):
        return frames, []
    if odd or declared > held:
        raise TruncatedFile(
            f"the ISHNE header declares {declared} samples a lead, the file holds {held}. Send all of it."
        )
    return frames, [f"the ISHNE header declares {declared} samples a lead; the file holds {held}, all were read"]


def _millivolts(frames: NDArray[np.int16], names: list[str], data: bytes) -> NDArray[np.float64]:
    """Rows (leads, n) in mV; rows that are no standard lead stay at 0."""
    resolutions_nv = struct.unpack_from(f"<{len(names)}h", data, 206)
    signal_mv = np.zeros(frames.T.shape)
    for row, name, samples, nv in zip(signal_mv, names, frames.T, resolutions_nv, strict=True):
        if canonical_lead(name) is None:
            continue
        if nv <= 0:
            raise MalformedHeader(
                f"a resolution of {nv} nV of lead {name} in the ISHNE header; expected nV in one step"
            )
        row[:] = np.where(samples == _LEAD_FAULT, np.nan, samples * (nv * 1e-6))
    return signal_mv


def _altered(data: bytes, text_end: int) -> list[str]:
    """A note when the checksum of header and text, in either byte order, is another; 0 stands for none."""
    stored = data[8:10]
    computed = binascii.crc_hqx(data[_CHECKED_FROM:text_end], 0xFFFF).to_bytes(2, "little")
    if stored in (b"\x00\x00", computed, computed[::-1]):
        return []
    return ["the checksum in the ISHNE header does not match the header"]


def _date(data: bytes, day_at: int, clock_at: int | None = None) -> datetime | None:
    """A date as day, month and year, with the time of day when that stands somewhere."""
    day, month, year = struct.unpack_from("<3h", data, day_at)
    clock = (0, 0, 0) if clock_at is None else struct.unpack_from("<3h", data, clock_at)
    try:
        return datetime(year, month, day, *clock)
    except ValueError:
        return None
