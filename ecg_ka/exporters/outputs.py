"""One estimate in the languages that other systems speak."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ecg_ka.errors import DemoExport, ExportError
from ecg_ka.estimate import Estimate
from ecg_ka.explanation import Explanation
from ecg_ka.exporters.caption import estimate_page
from ecg_ka.exporters.dicom_sr import estimate_dicom_sr
from ecg_ka.exporters.fhir import estimate_fhir
from ecg_ka.exporters.hl7v2 import estimate_hl7v2
from ecg_ka.exporters.identity import Identity
from ecg_ka.exporters.page_pdf import page_pdf
from ecg_ka.flags import Flag
from ecg_ka.readers import EcgSource, files_of
from ecg_ka.record import EcgRecord


class Output(StrEnum):
    """What an estimate can be written as."""

    JSON = "json"
    FHIR = "fhir"
    DICOM_SR = "dicom-sr"
    HL7V2 = "hl7v2"
    PDF = "pdf"
    SVG = "svg"

    @property
    def goes_into_records(self) -> bool:
        """Whether it is made to be filed by a record system."""
        return self in (Output.FHIR, Output.DICOM_SR, Output.HL7V2)

    @property
    def names_patients(self) -> bool:
        """Whether an identity that the caller gives has a place in it; an SR has that of its ECG, the others none."""
        return self in (Output.FHIR, Output.HL7V2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One answered ECG: the estimate, what it was made from (``source`` as :func:`ecg_ka.read` takes bytes), for whom,
    and when. ``demo_allowed``: whether numbers of a demonstration may go out in the form of records, marked as test.
    ``explanation`` shades the waves on a page."""

    estimate: Estimate
    record: EcgRecord
    source: EcgSource
    issued: datetime
    identity: Identity = field(default_factory=Identity)
    demo_allowed: bool = False
    explanation: Explanation | None = None


def exported(answered: Answered, output: Output) -> bytes:
    """The answer as ``output``; text is in UTF-8.

    Raises:
        DemoExport: a demonstration's number, asked for as a record without leave.
        ExportError: an SR for an ECG that is no DICOM object, or an identity for an output that holds none.
        MissingDependency: the extra ``exports`` is not installed.
    """
    check_demo(output, is_demo=Flag.DEMO_MODEL in answered.estimate.flags, demo_allowed=answered.demo_allowed)
    if answered.identity != Identity() and not output.names_patients:
        raise ExportError(f"the output {output} holds no identity given by the caller; leave it out, or take fhir")
    match output:
        case Output.JSON:
            return answered.estimate.to_json()
        case Output.FHIR:
            return estimate_fhir(answered.estimate, identity=answered.identity, issued=answered.issued)
        case Output.HL7V2:
            return estimate_hl7v2(answered.estimate, identity=answered.identity, issued=answered.issued)
        case Output.DICOM_SR:
            return estimate_dicom_sr(answered.estimate, _dicom(answered), issued=answered.issued)
        case Output.SVG:
            return _page(answered).encode()
        case Output.PDF:
            return page_pdf(_page(answered))


def check_demo(output: Output, *, is_demo: bool, demo_allowed: bool) -> None:
    """Keep the numbers of a demonstration out of records.

    Raises:
        DemoExport: unless it is allowed.
    """
    if is_demo and output.goes_into_records and not demo_allowed:
        raise DemoExport(
            f"the model was trained on simulated ECGs only, and its numbers do not go into records ({output}). "
            "Use another bundle; to test an interface, allow demo exports: they are marked as test data"
        )


def _page(answered: Answered) -> str:
    return estimate_page(answered.record, answered.estimate, answered.explanation)


def _dicom(answered: Answered) -> bytes:
    if answered.estimate.ecg.format != "DICOM":
        raise ExportError(f"an SR refers to a DICOM ECG, and this one is {answered.estimate.ecg.format}; take fhir")
    return files_of(answered.source).data
