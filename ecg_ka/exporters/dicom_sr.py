"""An estimate as a DICOM Comprehensive SR beside the ECG that it comes from.

Templates: DICOM PS3.16 TID 1500 (Measurement Report), 1501 (Measurement Group), 300 (Measurement), 4019 (Algorithm);
reasons for a missing number: CID 42.
"""

from __future__ import annotations

from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ecg_ka.errors import ExportError, MissingDependency
from ecg_ka.estimate import Estimate
from ecg_ka.exporters.content_id import content_id, dicom_uid, model_id
from ecg_ka.exporters.findings import (
    ESTIMATE_CODE,
    ESTIMATE_TEXT,
    SCHEME,
    Concept,
    Quantity,
    estimate_value,
    findings,
    plain,
    worded,
)
from ecg_ka.flags import Flag

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept, Measurement, MeasurementReport
    from pydicom import Dataset

_MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
_REFERRED_BY = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_LONGEST_MEANING = 64
_BOUND = {None: "", "<": " (less than)", ">": " (more than)"}  # an SR number has no comparator
_UNICODE = "ISO_IR 192"
_SERIES_NUMBER = 9900
"""Far from the numbers that carts give: an SR is a series of its own in the study."""


def estimate_dicom_sr(estimate: Estimate, ecg: bytes, *, issued: datetime) -> bytes:
    """A preliminary, unverified Comprehensive SR for the DICOM file ``ecg`` that was estimated.

    Patient and study are those of the file; no other identity enters. A demonstration's document has a title of its
    own that begins with DEMO. A withheld estimate is a measurement without a number.

    Raises:
        ExportError: the file lacks the UIDs of a stored object, or its patient or study cannot be copied.
        MissingDependency: the extra ``exports`` is not installed.
    """
    try:
        from highdicom.sr import ComprehensiveSR
    except ImportError as error:
        raise MissingDependency("DICOM SR needs highdicom; pip install 'ecg-ka[exports]'") from error
    source = _source(ecg)
    report, measurements = _report(estimate)
    document = ComprehensiveSR(
        evidence=[_nobodys(source)],
        content=report[0],
        series_instance_uid=dicom_uid(content_id("DICOM series", estimate, issued)),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=dicom_uid(content_id("DICOM instance", estimate, issued)),
        instance_number=1,
        manufacturer="ecg-ka",
        manufacturer_model_name=_meaning(worded(estimate.model.name)),
        software_versions=_meaning(worded(estimate.model.version)),
        series_description=f"{'DEMO ' * (Flag.DEMO_MODEL in estimate.flags)}Potassium estimated from ECG",
        content_date=issued.date(),
        content_time=issued.time(),
        specific_character_set=_UNICODE,
        is_complete=True,
    )
    for measurement in measurements:  # only now: highdicom copies no tree that holds waveforms, or lacks numbers
        measurement[0].ContentSequence = _waveform(source)
    if estimate.potassium_mmol_l is None:
        measurements[0][0].MeasuredValueSequence = []
    stream = BytesIO()
    try:
        document.copy_patient_and_study_information(source)
        document.save_as(stream, enforce_file_format=True)
    except Exception:  # noqa: BLE001 - pydicom writes what it read, and raises whatever that makes its parts raise
        raise ExportError("patient or study of the DICOM file cannot be copied. Export the ECG again.") from None
    return stream.getvalue()


def _source(ecg: bytes) -> Dataset:
    """The ECG object without its samples, every element decoded."""
    import pydicom

    try:
        dataset = pydicom.dcmread(BytesIO(ecg))
        dataset.pop("WaveformSequence")
        dataset.decode()
        missing = [name for name in _REFERRED_BY if not dataset.get(name)]
    except Exception:  # noqa: BLE001 - pydicom parses on access and raises whatever its parts raise
        raise ExportError("a value in the DICOM file is damaged and cannot be copied. Export the ECG again.") from None
    if missing:
        raise ExportError(f"the DICOM file states no {', '.join(missing)}; an SR has to refer to it")
    return dataset


def _nobodys(source: Dataset) -> Dataset:
    """What an SR refers to, with nobody's name: patient and study are copied afterwards as they stand, where highdicom
    would judge names and dates that are not ours."""
    from pydicom import Dataset

    reference = Dataset()
    for name in _REFERRED_BY:
        setattr(reference, name, source.get(name))
    for name in _MAY_BE_EMPTY:
        setattr(reference, name, "")
    return reference


def _report(estimate: Estimate) -> tuple[MeasurementReport, list[Measurement]]:
    from highdicom.sr import MeasurementReport, MeasurementsAndQualitativeEvaluations, TrackingIdentifier

    measurements = [_measurement(estimate), *_measurements(estimate)]
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=dicom_uid(content_id("DICOM tracking", estimate)), identifier=ESTIMATE_CODE
        ),
        algorithm_id=_algorithm(estimate),
        measurements=measurements,
        qualitative_evaluations=_evaluations(estimate),
    )
    group[0].ContentSequence.extend(_comments(estimate))
    report = MeasurementReport(
        observation_context=_context(estimate),
        procedure_reported=_coded("29303009", "SCT", "Electrocardiographic procedure"),
        imaging_measurements=[group],
        title=_title(estimate),
    )
    return report, measurements


def _title(estimate: Estimate) -> CodedConcept:
    """A demonstration has a title that no system takes for that of a report."""
    if Flag.DEMO_MODEL in estimate.flags:
        return _coded("demo-measurement-report", SCHEME, "DEMO Measurement Report, test only")
    return _coded("126000", "DCM", "Imaging Measurement Report")


def _context(estimate: Estimate) -> Any:
    from highdicom.sr import DeviceObserverIdentifyingAttributes, ObservationContext, ObserverContext
    from pydicom.sr.codedict import codes

    model = estimate.model
    observer = DeviceObserverIdentifyingAttributes(
        uid=dicom_uid(model_id("DICOM device", estimate)),
        name=worded(model.name),
        manufacturer_name="ecg-ka",
        model_name=worded(f"{model.name} {model.version}"),
        serial_number=worded(model.sha256),
    )
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=codes.cid270.Device, observer_identifying_attributes=observer
        )
    )


def _algorithm(estimate: Estimate) -> Any:
    from highdicom.sr import AlgorithmIdentification

    model = estimate.model
    said = (f"SHA-256 {model.sha256}", f"trained on {model.trained_on}", model.intended_use)
    return AlgorithmIdentification(
        name=worded(model.name),
        version=worded(model.version),
        parameters=[plain(text) for text in said if plain(text)],
    )


def _measurement(estimate: Estimate) -> Measurement:
    """The estimate; or an item with the reason of CID 42 for having none, whose number is yet to be taken away."""
    from highdicom.sr import Measurement

    name, unit = _coded(ESTIMATE_CODE, SCHEME, ESTIMATE_TEXT), _coded("mmol/L", "UCUM", "mmol/L")
    value = estimate_value(estimate)
    if value is not None:
        return Measurement(name=name, value=float(value.value), unit=unit)
    reason = _coded("114007", "DCM", "Measurement not attempted")
    return Measurement(name=name, value=0, unit=unit, qualifier=reason)


def _measurements(estimate: Estimate) -> list[Measurement]:
    from highdicom.sr import Measurement

    return [
        Measurement(
            name=_coded(finding.code, SCHEME, f"{finding.display}{_BOUND[finding.comparator]}"),
            value=float(finding.value),
            unit=_coded(finding.unit, "UCUM", "no units" if finding.unit == "1" else finding.unit),
        )
        for finding in findings(estimate)
        if isinstance(finding, Quantity)
    ]


def _evaluations(estimate: Estimate) -> list[Any]:
    from highdicom.sr import QualitativeEvaluation

    return [
        QualitativeEvaluation(
            name=_coded(finding.code, SCHEME, finding.display),
            value=_coded(
                finding.value, SCHEME, finding.text if _is_short(finding) else finding.value.replace("_", " ")
            ),
        )
        for finding in findings(estimate)
        if isinstance(finding, Concept)
    ]


def _comments(estimate: Estimate) -> list[Any]:
    """What is too long for the meaning of a code: disclaimer, reasons, sentences."""
    from highdicom.sr import RelationshipTypeValues, TextContentItem

    concepts = (finding for finding in findings(estimate) if isinstance(finding, Concept))
    long = (f"{finding.value}: {finding.text}" for finding in concepts if not _is_short(finding))
    reasons = (f"Withheld: {reason}." for reason in estimate.abstain_reasons)
    return [
        TextContentItem(_coded("121106", "DCM", "Comment"), plain(text), RelationshipTypeValues.CONTAINS)
        for text in (estimate.disclaimer, *reasons, *long)
    ]


def _waveform(source: Dataset) -> Any:
    """The ECG, from which the parent item is inferred."""
    from highdicom.sr import ContentSequence, RelationshipTypeValues, WaveformContentItem

    item = WaveformContentItem(
        name=_coded("121112", "DCM", "Source of Measurement"),
        referenced_sop_class_uid=source.SOPClassUID,
        referenced_sop_instance_uid=source.SOPInstanceUID,
        relationship_type=RelationshipTypeValues.INFERRED_FROM,
    )
    return ContentSequence([item])


def _is_short(finding: Concept) -> bool:
    return len(finding.text) <= _LONGEST_MEANING


def _coded(value: str, scheme: str, meaning: str) -> CodedConcept:
    from highdicom.sr import CodedConcept

    return CodedConcept(value, scheme, _meaning(meaning))


def _meaning(text: str) -> str:
    """The meaning of a code has up to 64 characters and no backslash."""
    short = plain(text).replace("\\", "/")
    return short if len(short) <= _LONGEST_MEANING else f"{short[: _LONGEST_MEANING - 3]}..."
