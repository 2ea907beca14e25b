"""WFDB records of several segments, of fixed or variable layout: a header that names the records which follow in time.

Leads are put together by name. Where a segment lacks a lead, and where there is a gap, samples are missing.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import ForeignReference, InvalidSamplingRate, MalformedHeader, MissingLeads
from ecg_ka.readers import wfdb_header, wfdb_record
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given
from ecg_ka.readers.limits import check_duration, check_samples
from ecg_ka.readers.wfdb_header import Header, Segments
from ecg_ka.readers.wfdb_record import Rows
from ecg_ka.record import LEADS, EcgRecord, Source, canonical_lead

Segment = tuple[str | None, int]
"""Name (None for a gap) and frames."""


def recognises(data: bytes) -> bool:
    """Whether this is the header of a multi-segment record."""
    return wfdb_header.recognises_segments(data)


def read(files: Files, given: Given) -> EcgRecord:
    """The standard leads of all segments, one after the other.

    Its identity is the SHA-256 of the header followed by the identities of its segments, each segment once.

    Raises:
        ForeignReference: a segment was not given, or is the record itself.
        NonFiniteSamples: a gap, or a lead that some segment lacks.
        MalformedHeader: segments that differ from what the header declares, or hold segments themselves.
        Any error of :func:`ecg_ka.readers.wfdb_record.read`, on a segment.
    """
    whole = wfdb_header.parse_segments(files.data)
    n_frames = sum(n for _, n in whole.segments)
    check_samples(n_frames)
    headers = {segment: _header(files, segment, whole) for segment in whole.segments if segment[0] is not None}
    check_samples(n_frames * _widest_frame(headers))
    rows = {
        segment: wfdb_record.decoded(files, header, given) for segment, header in headers.items() if _has_leads(header)
    }
    per_frame = _samples_per_frame(rows)
    check_duration(n_frames * per_frame, fs_hz := next(iter(rows.values())).fs_hz)
    leads = _joined(whole, rows, per_frame)
    source = _source(files, whole, headers, rows, given)
    return EcgRecord.from_leads(np.stack([*leads.values()]), given.names([*leads]), fs_hz=fs_hz, source=source)


def _header(files: Files, segment: Segment, whole: Segments) -> Header:
    """The header of one segment, which may leave rate and length to the header of the record but not contradict it."""
    name, n_frames = f"{segment[0]}.hea", segment[1]
    if name == files.primary:
        raise ForeignReference(f"the WFDB header {name!r} names itself as a segment")
    if name not in files.contents:
        raise ForeignReference(f"the WFDB header names {name!r}, which was not given with it. Give all segments.")
    header = wfdb_header.parse(files.contents[name])
    if header.n_frames not in (None, n_frames):
        raise MalformedHeader(f"{name!r} declares {header.n_frames} samples and its record {n_frames}")
    if None not in (header.fs_hz, whole.fs_hz) and header.fs_hz != whole.fs_hz:
        raise InvalidSamplingRate(f"{name!r} states {header.fs_hz} Hz and its record {whole.fs_hz} Hz")
    return replace(header, n_frames=n_frames, fs_hz=header.fs_hz or whole.fs_hz)


def _widest_frame(headers: dict[Segment, Header]) -> int:
    """Samples in a frame that holds all standard leads, at the rate of the fastest signal, or all signals there are."""
    frames = [[signal.samples_per_frame for signal in header.signals] for header in headers.values()]
    return max((max(sum(frame), len(LEADS) * max(frame)) for frame in frames), default=1)


def _has_leads(header: Header) -> bool:
    return any(canonical_lead(signal.name) for signal in header.signals)


def _samples_per_frame(rows: dict[Segment, Rows]) -> int:
    if not rows:
        raise MissingLeads("no standard lead in any segment of the WFDB record; expected names such as I, II, V1")
    per_frame = {divmod(part.signal_mv.shape[1], n_frames) for (_, n_frames), part in rows.items()}
    if len(per_frame) > 1 or len({part.fs_hz for part in rows.values()}) > 1:
        raise MalformedHeader("the segments of the WFDB record differ in sampling rate; expected one rate")
    n_samples, rest = per_frame.pop()
    if rest:
        raise MalformedHeader("a segment of the WFDB record is skewed; expected leads that begin and end together")
    return int(n_samples)


def _joined(whole: Segments, rows: dict[Segment, Rows], per_frame: int) -> dict[str, NDArray[np.float32]]:
    """Leads (n,) by name, NaN where there is none."""
    total = sum(n for _, n in whole.segments) * per_frame
    leads: dict[str, NDArray[np.float32]] = {}
    start = 0
    for segment in whole.segments:
        part = rows.get(segment)
        for name, row in () if part is None else zip(part.names, part.signal_mv, strict=True):
            lead = canonical_lead(name) or name
            if lead not in leads:
                leads[lead] = np.full(total, np.nan, dtype=np.float32)
            leads[lead][start : start + row.size] = row
        start += segment[1] * per_frame
    return leads


def _source(
    files: Files, whole: Segments, headers: dict[Segment, Header], rows: dict[Segment, Rows], given: Given
) -> Source:
    digest = sha256(files.data)
    parts = []
    for segment, header in headers.items():
        digest.update(bytes.fromhex(wfdb_record.identity(Files(f"{segment[0]}.hea", files.contents), header)))
        altered = rows[segment].altered if segment in rows else ()
        parts.append(wfdb_record.source_of(header, "", given, altered))
    return Source(
        format="WFDB",
        sha256=digest.hexdigest(),
        units_in=", ".join(sorted({part.units_in for part in parts if part.units_in})),
        units_assumed=any(part.units_assumed for part in parts),
        acquired_at=whole.acquired_at,
        age_years=next(
            (age for age in (whole.age_years, *(part.age_years for part in parts)) if age is not None), None
        ),
        notes=tuple(dict.fromkeys([*whole.notes, *(note for part in parts for note in part.notes)])),
    )
