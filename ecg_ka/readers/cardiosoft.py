"""GE CardioSoft XML (``CardiologyXML``): the rhythm strip, or the full disclosure; never the median beats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import InvalidSamplingRate, MalformedHeader, UnreadableRecord
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given
from ecg_ka.readers.limits import check_channels
from ecg_ka.readers.provenance import age_years, device, moment
from ecg_ka.readers.stored_leads import StoredLead, check_count, to_record
from ecg_ka.readers.xml_document import parse, root_name
from ecg_ka.readers.xml_node import Node
from ecg_ka.record import EcgRecord, Source

_FORMAT = "GE CardioSoft XML"
_PER_STEP = "perlsb"
_OTHERS = ("RestingECGMeasurements/MedianSamples", "FullDisclosure")
_TIME = ("Year", "Month", "Day", "Hour", "Minute", "Second")


def recognises(data: bytes) -> bool:
    """Whether the root element is that of a CardioSoft export."""
    return root_name(data) == "CardiologyXML"


def read(files: Files, given: Given) -> EcgRecord:
    """The leads of ``StripData``, or of ``FullDisclosure`` where there is no strip.

    Raises:
        MalformedHeader: neither of them; a lead without name, unit or step; a sampling rate that is not in Hz.
        UnreadableRecord: samples that are no whole numbers, or a full disclosure whose layout cannot be told.
        TruncatedFile, NoSamples, MissingLeads, InvalidSamplingRate, RecordTooLarge: as named.
    """
    root = parse(files.data, _FORMAT)
    kind = "StripData" if root.nodes("StripData") else "FullDisclosure"
    rhythm = root.node(kind).at(kind)
    fs_hz = given.sampling_rate(_rate(rhythm))
    leads = _strip(rhythm) if kind == "StripData" else _full_disclosure(rhythm, fs_hz)
    source = Source(
        format=_FORMAT,
        sha256=sha256(files.data).hexdigest(),
        units_in="",
        device=device(*map(root.word, ("ClinicalInfo/DeviceInfo/Desc", "ClinicalInfo/DeviceInfo/SoftwareVer"))),
        acquired_at=_acquired_at(root),
        age_years=age_years(root.word("PatientInfo/Age"), root.word("PatientInfo/Age/@units")),
        notes=tuple(f"{path} was left out" for path in _OTHERS if path != kind and root.nodes(path)),
    )
    return to_record(leads, fs_hz=fs_hz, given=given, source=source)


def _rate(rhythm: Node) -> float | None:
    if not rhythm.word("SampleRate"):
        return None
    fs_hz, unit = rhythm.number("SampleRate"), rhythm.word("SampleRate/@units")
    if fs_hz <= 0 or unit.upper() != "HZ":
        raise InvalidSamplingRate(f"{rhythm.place}: SampleRate is {fs_hz:g} {unit!r}; expected a positive number of Hz")
    return fs_hz


def _strip(strip: Node) -> list[StoredLead]:
    data = strip.nodes("WaveformData")
    check_channels(len(data))
    names = [lead.word("@lead") for lead in data]
    rows = [lead.at(f"lead {name or 'without name'}").numbers() for lead, name in zip(data, names, strict=True)]
    check_count(f"{strip.place}, leads", len(rows), strip.count("NumberOfLeads"))
    for name, row in zip(names, rows, strict=True):
        check_count(f"{strip.place}, samples of lead {name}", row.size, strip.count("ChannelSampleCountTotal"))
    return _leads(strip, names, rows)


def _full_disclosure(rhythm: Node, fs_hz: float) -> list[StoredLead]:
    """The leads of blocks of one second, lead after lead in each. The file does not say so: the limb leads have to."""
    names = [name.strip() for name in rhythm.word("LeadOrder").split(",")]
    check_channels(len(names))
    data = rhythm.node("FullDisclosureData")
    samples, block = data.numbers(), round(fs_hz)
    check_count(f"{rhythm.place}, leads", len(names), rhythm.count("NumberOfChannels"))
    check_count(f"{rhythm.place}, samples", samples.size, data.count("SampleCountTotal"))
    if block < 1 or block != fs_hz or samples.size % (len(names) * block):
        raise UnreadableRecord(f"{rhythm.place}: {samples.size} samples of {len(names)} leads are not whole seconds")
    rows = samples.reshape(-1, len(names), block).swapaxes(0, 1).reshape(len(names), -1)  # (L, n)
    limb = [rows[names.index(name)] for name in ("I", "II", "III") if name in names]
    if len(limb) != 3 or np.abs(limb[0] + limb[2] - limb[1]).max() > 1:
        raise UnreadableRecord(f"{rhythm.place}: in no known layout (II is not I + III). Export it with the strip.")
    return _leads(rhythm, names, rows)


def _leads(rhythm: Node, names: Sequence[str], rows: Iterable[NDArray[np.int64]]) -> list[StoredLead]:
    step, unit = rhythm.number("Resolution"), rhythm.word("Resolution/@units")
    if unit and not unit.lower().endswith(_PER_STEP):
        raise MalformedHeader(f"{rhythm.place}: Resolution is in {unit!r}; expected uVperLsb")
    unit = unit[: -len(_PER_STEP)]
    return [StoredLead(name=name, samples=row, step=step, unit=unit) for name, row in zip(names, rows, strict=True)]


def _acquired_at(root: Node) -> datetime | None:
    return moment(" ".join(root.word(f"ObservationDateTime/{field}") for field in _TIME), ["%Y %m %d %H %M %S"])
