"""SCP-ECG files (EN 1064, ISO 11073-91064), whatever way their rhythm is packed.

The structure is checked here first: every size that the file declares, against its own bytes and the limits. Then the
sections that hold the rhythm, and only these, are written into a new file for ecgdatakit's SCP-ECG parser. So nothing
that identifies the patient reaches the library, no damaged statement or measurement keeps an ECG from being read, and
memory and time are bounded by what was checked. A process of its own, at 0.3 s a file, would add nothing to that.

Samples come as they are stored. Some decoders average three neighbours outside the protected zones of a file with
reference beats; no field of the file asks for that.
"""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import MalformedHeader, RecordTooLarge, TruncatedFile, UnreadableRecord
from ecg_ka.readers.ages import AGE_NOT_UNDERSTOOD, YEARS, age_at, plausible_age
from ecg_ka.readers.dicom import LEAD_BY_CODE
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given
from ecg_ka.readers.limits import MAX_SCP_BYTES, check_bytes, check_channels, check_duration, check_samples
from ecg_ka.readers.private import private_folder
from ecg_ka.record import EcgRecord, Source

_PREAMBLE = 6  # checksum and size of the record
_HEADER = 16  # of a section: checksum, id, length, versions, reserved
_POINTER = struct.Struct("<HII")  # id, length and index (from 1) of a section
_PATIENT, _TABLES, _LEADS, _BEATS, _REFERENCE, _RHYTHM = 1, 2, 3, 4, 5, 6
_SUBTRACTED = 0x1
_MOST_BEATS_A_SECOND = 10
_AGE_UNITS = dict(enumerate("YMWDH", start=1))
_NO_ZONE = 0x7FFF


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rhythm:
    """What the file declares of its rhythm: lead names, samples a lead, microseconds a sample, which sections."""

    names: tuple[str, ...]
    n_samples: int
    interval_us: int
    needed: tuple[int, ...]


def recognises(data: bytes) -> bool:
    """Whether section 0 stands behind the preamble and begins its table with itself."""
    if len(data) < _PREAMBLE + _HEADER + _POINTER.size or data[8:10] != b"\x00\x00":
        return False
    id_, length, index = _POINTER.unpack_from(data, _PREAMBLE + _HEADER)
    return (id_, index) == (0, 7) and length == int.from_bytes(data[10:14], "little") and (length - _HEADER) % 10 == 0


def read(files: Files, given: Given) -> EcgRecord:
    """The rhythm of an SCP-ECG file: each lead by its code, in the multiplier (nV) that the file states.

    Raises:
        UnreadableRecord: no rhythm in it, packed in a way that is not read, or altered.
        MalformedHeader, TruncatedFile, RecordTooLarge, InvalidSamplingRate, MissingLeads: as named.
    """
    check_bytes(len(files.data), MAX_SCP_BYTES, "the SCP-ECG file")
    data, notes = _whole(files.data)
    sections = _sections(data)
    rhythm = _rhythm(sections)
    fs_hz = given.sampling_rate(1e6 / rhythm.interval_us)
    check_duration(rhythm.n_samples, fs_hz)
    _check_intact(sections, rhythm)
    signal_mv = _decoded(sections, rhythm)
    given.unit("uV")
    facts = _tags(sections.get(_PATIENT, b"")[_HEADER:])
    age = _age(facts)
    if age is None and facts.get(4, b"\x00\x00")[:2] != b"\x00\x00":
        notes.append(AGE_NOT_UNDERSTOOD)
    source = Source(
        format="SCP-ECG",
        sha256=sha256(files.data).hexdigest(),
        units_in="nV steps",
        device=_device(facts),
        acquired_at=_acquired_at(facts),
        age_years=age,
        notes=tuple(notes),
    )
    return EcgRecord.from_leads(signal_mv, given.names(rhythm.names), fs_hz=fs_hz, source=source)


def _whole(data: bytes) -> tuple[bytes, list[str]]:
    """The bytes that the preamble declares, and a note when their checksum is another."""
    size = int.from_bytes(data[2:6], "little")
    if size > len(data):
        raise TruncatedFile(f"the SCP-ECG file declares {size} bytes and holds {len(data)}. Send the whole file.")
    data = data[:size]
    intact = binascii.crc_hqx(data[2:], 0xFFFF) == int.from_bytes(data[:2], "little")
    return data, [] if intact else ["the checksum in the SCP-ECG file does not match its content"]


def _sections(data: bytes) -> dict[int, bytes]:
    """The sections 0 to 11 with their headers, by number."""
    end = _PREAMBLE + int.from_bytes(data[10:14], "little")
    if end > len(data):
        raise MalformedHeader(f"section 0 of the SCP-ECG file ends at byte {end} of {len(data)}")
    sections = {0: data[_PREAMBLE:end]}
    for id_, length, index in _POINTER.iter_unpack(data[_PREAMBLE + _HEADER : end]):
        if not 1 <= id_ <= 11 or length == 0:
            continue
        section = data[index - 1 : index - 1 + length] if index else b""
        if len(section) < max(length, _HEADER) or section[2:4] != id_.to_bytes(2, "little") or id_ in sections:
            raise MalformedHeader(f"section {id_} of the SCP-ECG file is not where its table says. Export it again.")
        sections[id_] = section[: max(_HEADER, min(length, int.from_bytes(section[4:8], "little")))]
    check_bytes(sum(map(len, sections.values())), MAX_SCP_BYTES, "what the SCP-ECG file declares")
    return sections


def _rhythm(sections: dict[int, bytes]) -> _Rhythm:
    for id_ in (_LEADS, _RHYTHM):
        if id_ not in sections:
            raise UnreadableRecord(f"the SCP-ECG file has no section {id_}; expected the leads and their rhythm")
    try:
        n_leads, flags = sections[_LEADS][_HEADER : _HEADER + 2]
        leads = [struct.unpack_from("<IIB", sections[_LEADS], _HEADER + 2 + 9 * lead) for lead in range(n_leads)]
        nv_a_step, interval_us, _, bimodal = struct.unpack_from("<HHBB", sections[_RHYTHM], _HEADER)
    except (struct.error, ValueError):
        raise TruncatedFile("the leads or the rhythm of the SCP-ECG file end early. Send the whole file.") from None
    check_channels(n_leads)
    if not leads or len({(start, end) for start, end, _ in leads}) > 1 or leads[0][0] != 1:
        raise MalformedHeader(
            "the leads of the SCP-ECG file do not begin and end together; expected one stretch of time"
        )
    if not nv_a_step or not interval_us:
        raise MalformedHeader("the SCP-ECG file states a step of 0 nV or 0 microseconds; expected the scale of samples")
    n_samples = leads[0][1]
    check_samples(n_samples * n_leads)
    if flags & _SUBTRACTED or bimodal:
        _check_reference(sections, n_leads, n_samples * interval_us / 1e6)
    needed = (_TABLES, _LEADS, _BEATS, _REFERENCE) if flags & _SUBTRACTED or bimodal else (_TABLES, _LEADS)
    return _Rhythm(
        names=tuple(LEAD_BY_CODE.get(code, f"SCP-ECG lead {code}") for _, _, code in leads),
        n_samples=n_samples,
        interval_us=interval_us,
        needed=tuple(id_ for id_ in (*needed, _RHYTHM) if id_ in sections),
    )


def _check_reference(sections: dict[int, bytes], n_leads: int, duration_s: float) -> None:
    """Bound the reference beat, which the library lays out for every lead, and the beats that it is added to."""
    try:
        length_ms, _, n_beats = struct.unpack_from("<HHH", sections[_BEATS], _HEADER)
        (interval_us,) = struct.unpack_from("<H", sections[_REFERENCE], _HEADER + 2)
    except (struct.error, KeyError):
        raise MalformedHeader("the SCP-ECG file lacks the reference beat that its rhythm refers to") from None
    if len(sections[_BEATS]) < _HEADER + 6 + 14 * n_beats or not interval_us:
        raise MalformedHeader("the beats of the SCP-ECG file end early. Export it again.")
    check_samples(n_leads * length_ms * 1000 // interval_us)
    if n_beats > _MOST_BEATS_A_SECOND * (duration_s + 1):
        raise RecordTooLarge(f"{n_beats} beats in {duration_s:.0f} s of the SCP-ECG file; expected a heart's rhythm")


def _check_intact(sections: dict[int, bytes], rhythm: _Rhythm) -> None:
    """Samples are stored as differences: one bit that changed alters all that follow it. 0 stands for no checksum."""
    for id_ in rhythm.needed:
        stored = int.from_bytes(sections[id_][:2], "little")
        if stored not in (0, binascii.crc_hqx(sections[id_][2:], 0xFFFF)):
            raise UnreadableRecord(f"section {id_} of the SCP-ECG file was altered: another checksum. Export it again.")


def _decoded(sections: dict[int, bytes], rhythm: _Rhythm) -> NDArray[np.float64]:
    """The rhythm (leads, n) in mV, by the library."""
    from ecgdatakit.parsing.parsers.scp_ecg import SCPECGParser

    with private_folder() as folder:
        path = folder / "rhythm.scp"
        path.write_bytes(_written(sections[0][8:10], {id_: sections[id_] for id_ in rhythm.needed}))
        try:
            leads: list[Any] = SCPECGParser().parse(path).leads
            rows = [np.asarray(lead.samples) * (float(lead.resolution) * 1e-3) for lead in leads]  # from microvolt
            signal_mv = np.stack(rows)
        except Exception:  # noqa: BLE001 - one library call; it raises whatever its parts raise
            raise UnreadableRecord("the rhythm of the SCP-ECG file cannot be decoded. Export it again.") from None
    if signal_mv.shape != (len(rhythm.names), rhythm.n_samples) or any(lead.resolution_unit != "uV" for lead in leads):
        raise UnreadableRecord(f"the SCP-ECG file decodes to {signal_mv.shape} samples; expected what it declares")
    return signal_mv


def _written(versions: bytes, sections: dict[int, bytes]) -> bytes:
    """A file of these sections and format versions, its checksums right."""
    parts = {id_: _section(id_, section[8:]) for id_, section in sections.items()}
    start = _PREAMBLE + _HEADER + _POINTER.size * (1 + len(parts))
    table = _POINTER.pack(0, start - _PREAMBLE, 7)
    for id_, part in parts.items():
        table += _POINTER.pack(id_, len(part), start + 1)
        start += len(part)
    content = start.to_bytes(4, "little") + _section(0, versions + b"SCPECG" + table) + b"".join(parts.values())
    return binascii.crc_hqx(content, 0xFFFF).to_bytes(2, "little") + content


def _section(id_: int, versions_and_body: bytes) -> bytes:
    content = struct.pack("<HI", id_, 8 + len(versions_and_body)) + versions_and_body
    return binascii.crc_hqx(content, 0xFFFF).to_bytes(2, "little") + content


def _tags(body: bytes) -> dict[int, bytes]:
    """The fields of section 1 by tag, as far as they can be followed."""
    tags: dict[int, bytes] = {}
    position = 0
    while position + 3 <= len(body) and body[position] != 255:
        end = position + 3 + int.from_bytes(body[position + 1 : position + 3], "little")
        tags.setdefault(body[position], body[position + 3 : end])
        position = end
    return tags


def _age(tags: dict[int, bytes]) -> float | None:
    """The age by tag 4, or else from the dates of birth (5) and acquisition (25)."""
    stated = tags.get(4, b"")
    if len(stated) == 3 and stated[2] in _AGE_UNITS:
        return plausible_age(int.from_bytes(stated[:2], "little") * YEARS[_AGE_UNITS[stated[2]]])
    return age_at(_day(tags.get(5, b"")), _day(tags.get(25, b"")))


def _day(value: bytes) -> datetime | None:
    try:
        return datetime(*struct.unpack("<HBB", value))
    except (struct.error, ValueError):
        return None


def _acquired_at(tags: dict[int, bytes]) -> datetime | None:
    """Date (tag 25) and time (26), in the zone (34) when it is stated."""
    day, clock, zone = _day(tags.get(25, b"")), tags.get(26, b""), tags.get(34, b"")
    if day is None or len(clock) != 3:
        return None
    try:
        at = day.replace(hour=clock[0], minute=clock[1], second=clock[2])
        minutes = int.from_bytes(zone[:2], "little", signed=True) if len(zone) >= 2 else _NO_ZONE
        return at if minutes == _NO_ZONE else at.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    except ValueError:
        return None


def _device(tags: dict[int, bytes]) -> str | None:
    model = tags.get(14, b"")[8:14].split(b"\x00")[0].decode("latin-1").strip()
    return model if model and model.isprintable() else None
