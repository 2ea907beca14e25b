"""The SR: read back with the same value, in the study of its ECG, by pydicom and by dcmtk."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from pydicom.data import get_testdata_file

from ecg_ka.errors import ExportError
from ecg_ka.estimate import Estimate
from ecg_ka.exporters.conversion import Target, converted
from ecg_ka.exporters.dicom_sr import estimate_dicom_sr
from ecg_ka.exporters.findings import ESTIMATE_CODE
from tests.ecg_ka.answers import NOW, PATIENT_TEXT, clinical, demo, hostile, saying, withheld
from tests.ecg_ka.ecgs import ecg
from tests.required import missing


@pytest.fixture(scope="module")
def dicom() -> bytes:
    """The real 12-lead ECG that pydicom carries."""
    path = get_testdata_file("waveform_ecg.dcm", download=False)
    assert isinstance(path, str)
    return Path(path).read_bytes()


def document(estimate: Estimate, source: bytes) -> Any:
    return pydicom.dcmread(BytesIO(estimate_dicom_sr(estimate, source, issued=NOW)))


def items(node: Any) -> Iterator[Any]:
    """Every content item below a node."""
    for item in node.get("ContentSequence", []):
        yield item
        yield from items(item)


def code(item: Any) -> str:
    name = item.ConceptNameCodeSequence[0]
    return str(name.get("CodeValue") or name.LongCodeValue)


def numbers(sr: Any) -> dict[str, Any]:
    return {code(item): item for item in items(sr) if item.ValueType == "NUM"}


def test_the_value_is_read_back_and_inferred_from_the_ecg(dicom: bytes) -> None:
    sr, source, estimate = document(clinical(), dicom), pydicom.dcmread(BytesIO(dicom)), clinical()
    assert sr.SOPClassUID.name == "Comprehensive SR Storage"
    assert sr.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    for name, expected in {
        ESTIMATE_CODE: estimate.potassium_mmol_l,
        "calibrated-median": estimate.median_mmol_l,
        "interval-upper": None if estimate.interval is None else estimate.interval.upper,
    }.items():
        (value,) = numbers(sr)[name].MeasuredValueSequence
        assert expected is not None
        assert float(value.NumericValue) == round(expected, 2)
        assert value.MeasurementUnitsCodeSequence[0].CodeValue == "mmol/L"
    for item in numbers(sr).values():
        (wave,) = item.ContentSequence
        assert (wave.ValueType, wave.RelationshipType) == ("WAVEFORM", "INFERRED FROM")
        assert wave.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_patient_and_study_are_those_of_the_ecg_and_nothing_else_is(dicom: bytes) -> None:
    source = pydicom.dcmread(BytesIO(dicom))
    source.PatientName, source.PatientComments = "Müller^Jürg", "of the file"
    source.InstitutionName, source.OperatorsName = "Elsewhere", "Nobody^Else"
    stream = BytesIO()
    source.save_as(stream)
    sr = document(clinical(), stream.getvalue())
    for name in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        assert sr[name].value == source[name].value
    assert sr.PatientComments == "of the file"
    assert sr.SeriesInstanceUID != source.SeriesInstanceUID
    assert "InstitutionName" not in sr
    assert "OperatorsName" not in sr
    (study,) = sr.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == source.StudyInstanceUID


def test_it_is_preliminary_and_a_demonstration_says_so_in_its_title(dicom: bytes) -> None:
    for estimate, begins in ((demo(), "DEMO "), (clinical(), "Imaging ")):
        sr = document(estimate, dicom)
        assert (sr.PreliminaryFlag, sr.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
        assert sr.ConceptNameCodeSequence[0].CodeMeaning.startswith(begins)
        assert sr.SeriesDescription.startswith("DEMO ") == (estimate is demo())
    assert b"2823-3" not in estimate_dicom_sr(clinical(), dicom, issued=NOW)


def test_a_withheld_estimate_is_a_measurement_without_a_number(dicom: bytes) -> None:
    sr = document(withheld(), dicom)
    (item,) = numbers(sr).values()
    assert len(item.MeasuredValueSequence) == 0
    assert item.NumericValueQualifierCodeSequence[0].CodeValue == "114007"
    assert any("amplitude" in str(text.TextValue) for text in items(sr) if text.ValueType == "TEXT")


def test_the_dumper_of_dcmtk_finds_no_fault(dicom: bytes, tmp_path: Path) -> None:
    dump = shutil.which("dsrdump")
    if dump is None:
        missing("validators", "dsrdump is not there; it comes with dcmtk")
    (tmp_path / "ecg.dcm").write_bytes(dicom)
    wrong = subprocess.run([dump, tmp_path / "ecg.dcm"], capture_output=True, check=False)
    assert wrong.returncode != 0
    for number, estimate in enumerate((demo(), clinical(), withheld(), saying(PATIENT_TEXT))):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(estimate_dicom_sr(estimate, dicom, issued=NOW))
        found = subprocess.run([dump, "+Pl", path], capture_output=True, check=False)
        said = [line for line in found.stderr.splitlines() if b"VR checker does not support" not in line]
        assert (found.returncode, said) == (0, [])
        assert b"inferred from WAVEFORM" in found.stdout


def test_an_object_that_cannot_be_referred_to_is_refused(dicom: bytes) -> None:
    source = pydicom.dcmread(BytesIO(dicom))
    del source.StudyInstanceUID
    stream = BytesIO()
    source.save_as(stream)
    with pytest.raises(ExportError, match="StudyInstanceUID"):
        estimate_dicom_sr(clinical(), stream.getvalue(), issued=NOW)
    with pytest.raises(ExportError):
        estimate_dicom_sr(clinical(), b"\0" * 200, issued=NOW)


def test_what_this_program_writes_as_dicom_can_be_referred_to() -> None:
    source = converted(ecg(1), Target.DICOM, "x")["x"]
    assert numbers(document(clinical(), source))[ESTIMATE_CODE]


@settings(max_examples=12, deadline=None)
@given(hostile)
def test_hostile_text_stays_text(text: str) -> None:
    path = get_testdata_file("waveform_ecg.dcm", download=False)
    assert isinstance(path, str)
    source = pydicom.dcmread(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom says that such a name is none
        source.SpecificCharacterSet = "ISO_IR 192"
        source.PatientName = source.StudyDescription = text.encode("utf-8", "ignore").decode()
        stream = BytesIO()
        source.save_as(stream)
        read = pydicom.dcmread(BytesIO(stream.getvalue()))
        sr = document(saying(text), stream.getvalue())
        assert sr.PatientName == read.PatientName
        assert [code(item) for item in items(sr)][:4] == [
            code(item) for item in items(document(saying("x"), path_bytes(path)))
        ][:4]
    for item in items(sr):
        if item.ValueType == "TEXT":
            assert str(item.TextValue).isprintable()
        assert len(item.ConceptNameCodeSequence[0].CodeMeaning) <= 64


def path_bytes(path: str) -> bytes:
    return Path(path).read_bytes()


def test_two_answers_are_two_documents_and_one_answer_is_one(dicom: bytes) -> None:
    one, same = document(clinical(), dicom), document(replace(clinical(), timing_ms=9.0), dicom)
    other = document(clinical(value=6.2), dicom)
    assert one.SOPInstanceUID == same.SOPInstanceUID != other.SOPInstanceUID
