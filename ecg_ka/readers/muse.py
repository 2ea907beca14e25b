"""GE MUSE XML (``RestingECG``): the Rhythm waveform, never the Median; I, II, V1-V6 stored, the other four derived."""

from __future__ import annotations

from hashlib import sha256
from zlib import crc32

from ecg_ka.errors import InvalidSamplingRate, MalformedHeader, UnreadableRecord
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given
from ecg_ka.readers.limits import check_channels
from ecg_ka.readers.provenance import age_years, day, device, moment, plain
from ecg_ka.readers.stored_leads import StoredLead, check_count, to_record
from ecg_ka.readers.xml_document import parse, root_name
from ecg_ka.readers.xml_node import Node
from ecg_ka.record import EcgRecord, Source

_FORMAT = "GE MUSE XML"
_DATES = ("%m-%d-%Y", "%Y-%m-%d")
_TIMES = tuple(f"{date} {clock}" for date in _DATES for clock in ("%H:%M:%S", "%H:%M"))
_ACQUIRED = ("TestDemographics/AcquisitionDate", "TestDemographics/AcquisitionTime")
_DEVICE = ("TestDemographics/AcquisitionDevice", "TestDemographics/AcquisitionSoftwareVersion")
_AGE, _AGE_UNIT = "PatientDemographics/PatientAge", "PatientDemographics/AgeUnits"
_BORN = "PatientDemographics/DateofBirth"
_OFFSETS = ("LeadTimeOffset", "LeadOffsetFirstSample", "FirstSampleBaseline")


def recognises(data: bytes) -> bool:
    """Whether the root element is that of a MUSE export."""
    return root_name(data) == "RestingECG"


def read(files: Files, given: Given) -> EcgRecord:
    """The leads of the one Rhythm waveform, each with its own step and unit.

    Raises:
        MalformedHeader: not exactly one Rhythm; a lead without name, unit or step, or with an offset, which GE does not
            explain.
        UnreadableRecord: samples that are no base64, or not those of the checksum beside them.
        TruncatedFile, NoSamples, MissingLeads, InvalidSamplingRate, RecordTooLarge: as named.
    """
    root = parse(files.data, _FORMAT)
    rhythm, notes = _rhythm(root)
    stored = rhythm.nodes("LeadData")
    check_channels(len(stored))
    leads = [_lead(lead.at(f"Rhythm lead {lead.word('LeadID') or 'without LeadID'}")) for lead in stored]
    check_count(f"{_FORMAT}, Rhythm, leads", len(leads), rhythm.count("NumberofLeads"))
    off = [plain(lead.word("LeadID")) for lead in stored if lead.word("LeadOff").upper() == "TRUE"]
    if off:
        notes.append(f"leads off, by the cart: {', '.join(off)}")
    acquired_at = moment(" ".join(map(root.word, _ACQUIRED)), _TIMES)
    source = Source(
        format=_FORMAT,
        sha256=sha256(files.data).hexdigest(),
        units_in="",
        device=device(*map(root.word, _DEVICE)),
        acquired_at=acquired_at,
        age_years=age_years(root.word(_AGE), root.word(_AGE_UNIT), day(root.word(_BORN), _DATES), acquired_at),
        notes=(*notes, _checksums(stored)),
    )
    return to_record(leads, fs_hz=given.sampling_rate(_rate(rhythm)), given=given, source=source)


def _rhythm(root: Node) -> tuple[Node, list[str]]:
    """The one Rhythm waveform, and what else there is."""
    kinds = [(waveform, plain(waveform.word("WaveformType")).capitalize()) for waveform in root.nodes("Waveform")]
    rhythms = [waveform for waveform, kind in kinds if kind == "Rhythm"]
    if len(rhythms) != 1:
        held = ", ".join(kind or "unnamed" for _, kind in kinds[:9]) or "none"
        raise MalformedHeader(f"{_FORMAT}: waveforms {held}; expected one Rhythm. Export it with the rhythm waveform.")
    if (sampled := rhythms[0].word("SampleType")) not in ("", "CONTINUOUS_SAMPLES"):
        raise MalformedHeader(f"{_FORMAT}: samples of type {sampled!r}; expected CONTINUOUS_SAMPLES")
    version = plain(root.word("MuseInfo/MuseVersion"))
    notes = [f"exported by MUSE {version}"] if version else []
    others = [kind or "without type" for _, kind in kinds if kind != "Rhythm"]
    return rhythms[0], [*notes, *(f"the waveform {kind} was left out" for kind in others[:9])]


def _rate(rhythm: Node) -> float | None:
    """Samples a second: SampleBase times ten to the SampleExponent."""
    if not rhythm.word("SampleBase"):
        return None
    base = rhythm.number("SampleBase")
    exponent = rhythm.number("SampleExponent") if rhythm.word("SampleExponent") else 0.0
    if not (0 < base < 1e6 and -6 <= exponent <= 6):
        raise InvalidSamplingRate(
            f"{_FORMAT}: SampleBase {base:g}, SampleExponent {exponent:g}; expected 250 or 500, 0"
        )
    return float(base * 10.0**exponent)


def _lead(lead: Node) -> StoredLead:
    for field in _OFFSETS:
        if lead.word(field) and lead.number(field) != 0:
            raise MalformedHeader(f"{lead.place}: {field} is {lead.word(field)}; only 0 has a known meaning")
    if lead.word("LeadSampleSize") not in ("", "2"):
        raise MalformedHeader(f"{lead.place}: LeadSampleSize is {lead.word('LeadSampleSize')!r}; expected 2 bytes")
    samples = lead.node("WaveFormData").packed_samples()
    check_count(f"{lead.place}, bytes", samples.nbytes, lead.count("LeadByteCountTotal"))
    check_count(f"{lead.place}, samples", samples.size, lead.count("LeadSampleCountTotal"))
    if (stated := lead.count("LeadDataCRC32")) and stated != crc32(samples.tobytes()):
        raise UnreadableRecord(f"{lead.place}: the samples are not those of the CRC-32 beside them. Export it again.")
    return StoredLead(
        name=lead.word("LeadID"),
        samples=samples,
        step=lead.number("LeadAmplitudeUnitsPerBit"),
        unit=lead.word("LeadAmplitudeUnits"),
    )


def _checksums(stored: list[Node]) -> str:
    checked = sum(bool(lead.count("LeadDataCRC32")) for lead in stored)
    others = ", the others state none" if checked < len(stored) else ""
    return f"the CRC-32 of the samples agrees in {checked} leads{others}" if checked else "the file states no checksums"
