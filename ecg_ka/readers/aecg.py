"""HL7 aECG (``AnnotatedECG``, FDA): the rhythm series, never a derived one such as the representative beat.

ANSI/HL7 V3 ECG, R1-2004: the times are a GLIST of head and increment, a lead is an SLIST of origin, scale and digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from ecg_ka.errors import InvalidSamplingRate, MalformedHeader, MissingLeads
from ecg_ka.readers.files import Files
from ecg_ka.readers.given import Given, known_unit, mv_per
from ecg_ka.readers.limits import check_channels
from ecg_ka.readers.provenance import age_years, day, device, moment, plain
from ecg_ka.readers.stored_leads import StoredLead, to_record
from ecg_ka.readers.xml_document import parse, root_name
from ecg_ka.readers.xml_node import Node
from ecg_ka.record import EcgRecord, Source

_FORMAT = "HL7 aECG"
_LEAD = "_ECG_LEAD_"
_REPORTED_AGE = "21612-7"  # LOINC
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_MACHINE = "author/seriesAuthor/manufacturedSeriesDevice"
_DEVICE = (
    "author/seriesAuthor/manufacturerOrganization/name",
    f"{_MACHINE}/manufacturerModelName",
    f"{_MACHINE}/softwareName",
)
_SUBJECT = "componentOf/timepointEvent/componentOf/subjectAssignment/subject/trialSubject/subjectDemographicPerson"
_MOMENTS = ("%Y%m%d%H%M%S.%f%z", "%Y%m%d%H%M%S%z", "%Y%m%d%H%M%S.%f", "%Y%m%d%H%M%S", "%Y%m%d%H%M%z", "%Y%m%d%H%M")


def recognises(data: bytes) -> bool:
    """Whether the root element is that of an annotated ECG."""
    return root_name(data) == "AnnotatedECG"


def read(files: Files, given: Given) -> EcgRecord:
    """The one sequence set with leads in the one series of rhythm.

    Raises:
        MissingLeads: no rhythm with leads.
        MalformedHeader: several of them; a lead without code, unit or scale, or of another kind than a list of digits.
        InvalidSamplingRate: no increment of time, or in an unknown unit.
        UnreadableRecord: digits that are no whole numbers.
        TruncatedFile, NoSamples, RecordTooLarge: as named.
    """
    root = parse(files.data, _FORMAT)
    rhythm, notes = _rhythm(root)
    acquired_at = moment(rhythm.series.word("effectiveTime/low/@value") or rhythm.head(), _MOMENTS)
    born = day(root.word(f"{_SUBJECT}/birthTime/@value")[:8], ["%Y%m%d"])
    source = Source(
        format=_FORMAT,
        sha256=sha256(files.data).hexdigest(),
        units_in="",
        device=device(*map(rhythm.series.word, _DEVICE)),
        acquired_at=acquired_at,
        age_years=age_years(*_age(root), born, acquired_at),
        notes=notes,
    )
    fs_hz = given.sampling_rate(_rate(rhythm.times))
    check_channels(len(rhythm.leads))
    return to_record([_lead(lead) for lead in rhythm.leads], fs_hz=fs_hz, given=given, source=source)


@dataclass(frozen=True, slots=True)
class _Rhythm:
    """A series and the sequences of one of its sets: those of time, and the leads (one without a code, too)."""

    series: Node
    times: list[Node]
    leads: list[Node]

    @classmethod
    def of(cls, series: Node, sequence_set: Node) -> _Rhythm:
        times: list[Node] = []
        leads: list[Node] = []
        for sequence in sequence_set.nodes("component/sequence"):
            (times if sequence.word("code/@code").upper().startswith("TIME_") else leads).append(sequence)
        return cls(series, times, leads)

    def head(self) -> str:
        """The first time, as the file spells it."""
        return next((time.word("value/head/@value") for time in self.times), "")


def _rhythm(root: Node) -> tuple[_Rhythm, tuple[str, ...]]:
    """The one rhythm with leads, and a note of what else there is."""
    every = root.nodes("component/series")
    series = [found for found in every if found.word("code/@code").upper() == "RHYTHM"]
    sets = [_Rhythm.of(found, sequences) for found in series for sequences in found.nodes("component/sequenceSet")]
    rhythms = [rhythm for rhythm in sets if rhythm.leads]
    if not rhythms:
        codes = ", ".join(plain(found.word("code/@code")) or "without code" for found in every[:9]) or "none"
        raise MissingLeads(f"{_FORMAT}: no leads in a series of code RHYTHM (series: {codes}). Export the waveforms.")
    if len(rhythms) > 1:
        raise MalformedHeader(
            f"{_FORMAT}: {len(rhythms)} sets of leads in rhythm series; expected one. Send one alone."
        )
    left_out = len(every) - 1 + len(rhythms[0].series.nodes("derivation/derivedSeries"))
    return rhythms[0], (f"{left_out} other or derived series were left out",) if left_out else ()


def _rate(times: list[Node]) -> float | None:
    if not times:
        return None
    if len(times) > 1:
        raise InvalidSamplingRate(f"{_FORMAT}: {len(times)} sequences of time in the rhythm; expected one")
    step, unit = times[0].number("value/increment/@value"), times[0].word("value/increment/@unit")
    fs_hz = 1 / seconds if (seconds := step * _SECONDS.get(unit, 0)) > 0 else 0.0
    if not 0 < fs_hz < 1e9:
        raise InvalidSamplingRate(
            f"{_FORMAT}: a time increment of {step:g} {unit!r}; expected a positive one in s or ms"
        )
    return float(round(fs_hz)) if abs(fs_hz - round(fs_hz)) < 1e-6 * fs_hz else fs_hz  # 1 / 0.002 is not quite 500


def _lead(sequence: Node) -> StoredLead:
    code = sequence.word("code/@code")
    value = sequence.node("value").at(f"lead {code or 'without code'}")
    if value.word("@type").rpartition(":")[2] != "SLIST_PQ":
        raise MalformedHeader(f"{value.place}: values of type {value.word('@type')!r}; expected SLIST_PQ")
    unit, origin_unit = value.word("scale/@unit"), value.word("origin/@unit")
    origin = value.number("origin/@value")
    known, known_origin = known_unit(unit), known_unit(origin_unit)
    if origin and known != known_origin:
        if known is None or known_origin is None:
            raise MalformedHeader(f"{value.place}: origin in {origin_unit!r}, scale in {unit!r}; expected uV or mV")
        origin *= mv_per(known_origin) / mv_per(known)
    return StoredLead(
        name=code.upper().rpartition(_LEAD)[2] if _LEAD in code.upper() else code,
        samples=value.node("digits").numbers(),
        step=value.number("scale/@value"),
        unit=unit,
        origin=origin,
    )


def _age(root: Node) -> tuple[str, str]:
    """The reported age and its unit; empty where there is none."""
    for observation in root.nodes("controlVariable/relatedObservation"):
        if observation.word("code/@code") == _REPORTED_AGE:
            return observation.word("value/@value"), observation.word("value/@unit")
    return "", ""
