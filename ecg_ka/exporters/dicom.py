"""A record as a DICOM waveform object.

Modules and limits: DICOM PS3.3 A.34.3 (12-lead ECG), A.34.4 (General ECG), C.10.9 (Waveform); leads: PS3.16 CID 3001.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

from ecg_ka.errors import EcgError
from ecg_ka.exporters.steps import in_steps, steps_per_mv
from ecg_ka.readers.dicom import LEAD_BY_CODE
from ecg_ka.record import DERIVED_FROM_I_II, EcgRecord

if TYPE_CHECKING:
    from pydicom import Dataset

_TWELVE_LEAD, _GENERAL = "1.2.840.10008.5.1.4.1.1.9.1.1", "1.2.840.10008.5.1.4.1.1.9.1.2"
_MOST_SAMPLES_12_LEAD = 16_384
_LONGEST_TEXT = 64
_LONGEST_DESCRIPTION = 1024
_RATES_HZ = (200.0, 1000.0)
_CODE_BY_LEAD = {lead: code for code, lead in LEAD_BY_CODE.items()}
_OPTIONAL_IDENTITY = ("PatientBirthDate", "PatientSex", "ReferringPhysicianName", "StudyID", "AccessionNumber")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Whose ECG it is, as the caller says; records know no one.

    Raises:
        EcgError: an identifier or a name that DICOM cannot hold.
    """

    id_: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        for text in (self.id_, self.name):
            if len(text) > _LONGEST_TEXT or not text.isprintable() or "\\" in text:
                raise EcgError(f"{text[:80]!r} for a patient; DICOM takes up to 64 printable characters without \\")


def record_dicom(record: EcgRecord, patient: Patient | None = None) -> bytes:
    """A 12-lead ECG object, or a General ECG object when leads are missing or one lead has over 16384 samples.

    One step is the finest that 16 bits allow, from 0.05 microvolts. Leads that were computed say so, and from what.
    UIDs follow from the content: the same record gives the same ones. Without ``patient`` no one is named.

    Raises:
        EcgError: a sampling rate that these objects do not have.
    """
    low, high = _RATES_HZ
    if not low <= record.fs_hz <= high:
        raise EcgError(f"{record.fs_hz:g} Hz; ECG objects of DICOM have {low:g} to {high:g} Hz. Choose another format")
    sop_class = _GENERAL if record.leads_missing or record.signal_mv.shape[1] > _MOST_SAMPLES_12_LEAD else _TWELVE_LEAD
    whose = patient or Patient()
    dataset = _dataset(
        SpecificCharacterSet="ISO_IR 192",
        SOPClassUID=sop_class,
        SOPInstanceUID=_uid(record, f"{sop_class}{whose}"),
        StudyInstanceUID=_uid(record, "study"),
        SeriesInstanceUID=_uid(record, "series"),
        Modality="ECG",
        SeriesNumber=1,
        InstanceNumber=1,
        PatientID=whose.id_,
        PatientName=whose.name,
        **dict.fromkeys(_OPTIONAL_IDENTITY, ""),
        **_moments(record.source.acquired_at),
        **_age(record.source.age_years),
        Manufacturer=(record.source.device or "")[:_LONGEST_TEXT],
        ContributingEquipmentSequence=[_converter(record)],
        AcquisitionContextSequence=[],
        WaveformSequence=[_group(record)],
    )
    dataset.file_meta = _meta(sop_class, dataset.SOPInstanceUID)
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _dataset(**tags: Any) -> Dataset:
    from pydicom import Dataset

    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def _meta(sop_class: str, instance: str) -> Any:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def _uid(record: EcgRecord, what: str) -> str:
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=[record.source.sha256, record.signal_mv.tobytes().hex(), what]))


def _moments(acquired: datetime | None) -> Mapping[str, str]:
    """The file's own time; where it states none, the object was made now and acquired at an unknown time."""
    made = acquired or datetime.now(UTC)
    zone = f"{acquired:%z}"[:5] if acquired is not None else ""
    return {
        "AcquisitionDateTime": "" if acquired is None else f"{acquired:%Y%m%d%H%M%S}{zone}",
        "ContentDate": f"{made:%Y%m%d}",
        "ContentTime": f"{made:%H%M%S}",
        "StudyDate": "" if acquired is None else f"{acquired:%Y%m%d}",
        "StudyTime": "" if acquired is None else f"{acquired:%H%M%S}",
    }


def _age(years: float | None) -> Mapping[str, str]:
    if years is None:
        return {}
    return {"PatientAge": f"{int(years):03d}Y" if years >= 2 else f"{int(years * 12):03d}M"}


def _converter(record: EcgRecord) -> Dataset:
    origin = f"converted from {record.source.format}, SHA-256 {record.source.sha256}"
    said = " ".join("; ".join([origin, *record.source.notes]).split())
    return _dataset(
        Manufacturer="ecg_ka",
        ContributionDescription=said.encode()[:_LONGEST_DESCRIPTION].decode(errors="ignore"),
        PurposeOfReferenceCodeSequence=[_code("109102", "DCM", "Processing Equipment")],
    )


def _group(record: EcgRecord) -> Dataset:
    counts = in_steps(record)  # (L, n)
    return _dataset(
        WaveformOriginality="ORIGINAL",
        NumberOfWaveformChannels=len(counts),
        NumberOfWaveformSamples=counts.shape[1],
        SamplingFrequency=f"{record.fs_hz:.12g}",
        MultiplexGroupLabel="RHYTHM",
        ChannelDefinitionSequence=[_channel(record, lead) for lead in record.leads],
        WaveformBitsAllocated=16,
        WaveformSampleInterpretation="SS",
        WaveformData=counts.T.tobytes(),
    )


def _channel(record: EcgRecord, lead: str) -> Dataset:
    channel = _dataset(
        ChannelLabel=lead,
        ChannelSourceSequence=[_code(f"2:{_CODE_BY_LEAD[lead]}", "MDC", f"Lead {lead}")],
        ChannelSensitivity=f"{1000 / steps_per_mv(record):g}",
        ChannelSensitivityUnitsSequence=[_code("uV", "UCUM", "microvolt")],
        ChannelSensitivityCorrectionFactor="1",
        ChannelBaseline="0",
        ChannelSampleSkew="0",
        WaveformBitsStored=16,
    )
    if lead in record.leads_derived:
        a, b = DERIVED_FROM_I_II[lead]
        channel.ChannelDerivationDescription = f"computed: {a:g} x I {b:+g} x II"
    return channel


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    return _dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)
