"""Records in other formats: what is written reads back, gives the same estimate, and names no one unasked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
import wfdb

from ecg_ka.errors import EcgError
from ecg_ka.estimator import Estimator
from ecg_ka.exporters import Patient, Target, converted
from ecg_ka.readers import read
from ecg_ka.record import LEADS, EcgRecord, Source
from tests.ecg_ka.ecgs import ecg
from tests.ecg_ka.test_cli import ecg_ka
from tests.ecg_ka.writers import counts_uv, wfdb_pair
from tests.ecg_ka.xml_writers import muse, muse_waveform

STEP_MV = 5e-5
NAMES = {Target.WFDB: "out", Target.CSV: "out.csv", Target.NPY: "out.npy", Target.DICOM: "out.dcm"}


def again(record: EcgRecord, target: Target) -> EcgRecord:
    facts = {"fs_hz": record.fs_hz, "units": "mV", "leads": record.leads} if target is Target.NPY else {}
    return read(converted(record, target, NAMES[target]), **facts)  # type: ignore[arg-type]


def changed(
    record: EcgRecord, signal_mv: np.ndarray | None = None, fs_hz: float = 500.0, **source: object
) -> EcgRecord:
    about = replace(record.source, **source)  # type: ignore[arg-type]
    return EcgRecord.from_leads(
        record.signal_mv if signal_mv is None else signal_mv, record.leads, fs_hz=fs_hz, source=about
    )


@pytest.mark.parametrize("target", Target)
def test_what_is_written_reads_back_and_gives_the_same_estimate(target: Target) -> None:
    record = ecg(3, 6.1)
    back = again(record, target)
    assert float(np.abs(back.signal_mv - record.signal_mv).max()) <= (STEP_MV if target in ("wfdb", "dicom") else 0)
    assert (back.leads, back.fs_hz) == (record.leads, record.fs_hz)
    estimator = Estimator.load()
    one, other = estimator.estimate(record), estimator.estimate(back)
    assert one.potassium_mmol_l is not None
    assert other.potassium_mmol_l == pytest.approx(one.potassium_mmol_l, abs=0.01)


@pytest.mark.parametrize("target", Target)
def test_every_real_ecg_reads_back(shared_data: Path, target: Target) -> None:
    for file in ("muse/braveheart-example1.xml", "aecg/fda-example-aecg.xml", "scp/test.scp", "wfdb/s0010_re.hea"):
        record = read(shared_data / "formats" / file, units="mV" if file.startswith("wfdb") else None)
        assert float(np.abs(again(record, target).signal_mv - record.signal_mv).max()) <= STEP_MV


@pytest.mark.parametrize("target", Target)
@pytest.mark.parametrize("leads", [("II",), ("I", "II"), ("V1", "V6")])
def test_fewer_leads_read_back(target: Target, leads: tuple[str, ...]) -> None:
    record = read(wfdb_pair(counts_uv(n_leads=len(leads)), leads=leads))
    back = again(record, target)
    assert back.leads == record.leads
    np.testing.assert_allclose(back.signal_mv, record.signal_mv, atol=STEP_MV)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("target", [Target.WFDB, Target.DICOM])
def test_the_step_is_as_fine_as_16_bits_allow(target: Target, scale: float) -> None:
    record = changed(ecg(), ecg().signal_mv * scale)
    largest = float(np.abs(record.signal_mv).max())
    error = float(np.abs(again(record, target).signal_mv - record.signal_mv).max())
    assert error <= max(STEP_MV / 2, largest / 32767 * 1.3) + largest * 1e-6


def test_what_cannot_be_carried_is_refused() -> None:
    for fs_hz, target in ((100.0, Target.DICOM), (257.1, Target.CSV)):
        with pytest.raises(EcgError, match=f"{fs_hz:g} Hz"):
            again(changed(ecg(), fs_hz=fs_hz), target)
    assert again(changed(ecg(), fs_hz=257.1), Target.WFDB).fs_hz == 257.1
    with pytest.raises(EcgError, match="16 bits"):
        again(changed(ecg(), ecg().signal_mv * 1e4), Target.WFDB)
    with pytest.raises(EcgError, match="no name of a WFDB record"):
        converted(ecg(), Target.WFDB, "a b.hea")


def test_an_assumed_unit_is_never_written_as_if_it_were_stated() -> None:
    unstated = wfdb_pair(counts_uv(), gain="1000")
    with pytest.raises(EcgError, match="--units"):
        again(read(unstated), Target.CSV)
    assert not again(read(unstated, units="mV"), Target.CSV).source.units_assumed


def test_what_the_record_notes_goes_along() -> None:
    record = changed(ecg(), notes=("left out\nx", "ä" * 2000))
    assert b"# note: left out x\n" in converted(record, Target.WFDB, "a")["a.hea"]
    dataset = pydicom.dcmread(BytesIO(converted(record, Target.DICOM, "x")["x"]))
    description = dataset.ContributingEquipmentSequence[0].ContributionDescription
    assert f"SHA-256 {record.source.sha256}; left out x; ää" in description
    assert again(record, Target.WFDB).source.notes == ()


def test_wfdb_is_what_the_wfdb_package_reads(tmp_path: Path) -> None:
    record = ecg(2)
    for name, data in converted(record, Target.WFDB, "a.hea").items():
        (tmp_path / name).write_bytes(data)
    oracle = wfdb.rdrecord(str(tmp_path / "a"))
    assert oracle.sig_name == list(LEADS)
    np.testing.assert_allclose(oracle.p_signal.T, record.signal_mv, atol=STEP_MV)
    digital = wfdb.rdrecord(str(tmp_path / "a"), physical=False)
    assert [(a - b) % 2**16 for a, b in zip(digital.calc_checksum(), digital.checksum, strict=True)] == [0] * 12
    assert digital.init_value == digital.d_signal[0].tolist()


def test_dicom_is_what_pydicom_reads() -> None:
    record = ecg(2)
    dataset = pydicom.dcmread(BytesIO(converted(record, Target.DICOM, "x")["x"]))
    assert dataset.SOPClassUID.name == "12-lead ECG Waveform Storage"
    np.testing.assert_allclose(dataset.waveform_array(0).T * 1e-3, record.signal_mv, atol=STEP_MV)
    channels = dataset.WaveformSequence[0].ChannelDefinitionSequence
    codes = [channel.ChannelSourceSequence[0] for channel in channels]
    assert [code.CodeValue for code in codes] == [f"2:{n}" for n in (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8)]
    assert {code.CodingSchemeDesignator for code in codes} == {"MDC"}
    assert not any("ChannelDerivationDescription" in channel for channel in channels)
    assert converted(record, Target.DICOM, "x")["x"].count(dataset.SOPInstanceUID.encode()) == 2


def test_long_and_incomplete_records_are_general_ecg_objects() -> None:
    for counts, name in (
        (counts_uv(16_384), "12-lead"),
        (counts_uv(16_385), "General"),
        (counts_uv(n_leads=6), "General"),
    ):
        written = converted(read(wfdb_pair(counts)), Target.DICOM, "x")["x"]
        dataset = pydicom.dcmread(BytesIO(written))
        assert dataset.SOPClassUID.name.startswith(name)


def test_leads_that_were_computed_say_so() -> None:
    record = read(muse(muse_waveform(counts_uv(n_leads=8))))
    dataset = pydicom.dcmread(BytesIO(converted(record, Target.DICOM, "x")["x"]))
    said = [c.get("ChannelDerivationDescription") for c in dataset.WaveformSequence[0].ChannelDefinitionSequence]
    assert said[:6] == [None, None, "computed: -1 x I +1 x II", "computed: -0.5 x I -0.5 x II",
                        "computed: 1 x I -0.5 x II", "computed: -0.5 x I +1 x II"]  # fmt: skip
    assert b"computed from I and II: III, aVR, aVL, aVF" in converted(record, Target.WFDB, "a")["a.hea"]


@pytest.mark.parametrize("zone", [None, UTC, timezone(timedelta(hours=-5, minutes=-30))])
def test_time_and_age_are_kept(zone: timezone | None) -> None:
    at = datetime(2019, 3, 31, 14, 5, 6, tzinfo=zone)
    record = changed(ecg(), acquired_at=at, age_years=67.0)
    assert (again(record, Target.DICOM).source.acquired_at, again(record, Target.DICOM).source.age_years) == (at, 67)
    wfdb_back = again(record, Target.WFDB).source
    assert (wfdb_back.acquired_at, wfdb_back.age_years) == (at.replace(tzinfo=None), 67)
    unknown = again(changed(ecg(), acquired_at=None, age_years=None), Target.DICOM).source
    assert (unknown.acquired_at, unknown.age_years, unknown.notes) == (None, None, ())


def test_a_patient_is_named_only_when_given() -> None:
    written = converted(ecg(), Target.DICOM, "x", Patient(id_="4711", name="Muster^Ärika"))["x"]
    dataset = pydicom.dcmread(BytesIO(written))
    assert (dataset.PatientID, str(dataset.PatientName)) == ("4711", "Muster^Ärika")
    unnamed = pydicom.dcmread(BytesIO(converted(ecg(), Target.DICOM, "x")["x"]))
    assert not any(unnamed[tag].value for tag in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex"))
    for wrong in ("a" * 65, "a\\b", "a\nb"):
        with pytest.raises(EcgError, match="printable"):
            Patient(id_=wrong)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    for name, data in wfdb_pair(counts_uv()).items():
        (tmp_path / name).write_bytes(data)
    return tmp_path / "a.hea"


def test_nothing_is_overwritten_without_force_and_the_ecg_never(pair: Path) -> None:
    before = {path: path.read_bytes() for path in pair.parent.iterdir()}
    for ecg_file in (pair, pair.with_suffix(".dat"), pair.parent):
        assert "belongs to the ECG" in ecg_ka("convert", ecg_file, "--to", "wfdb", "-o", pair, "--force", code=2)
    assert "belongs to the ECG" in ecg_ka("convert", pair, "--to", "npy", "-o", pair.with_suffix(".dat"), code=2)
    assert before == {path: path.read_bytes() for path in pair.parent.iterdir()}
    out = pair.parent / "out.npy"
    assert "--fs-hz 500 --units mV" in ecg_ka("convert", pair, "--to", "npy", "-o", out)
    out.write_bytes(b"precious")
    assert "--force" in ecg_ka("convert", pair, "--to", "npy", "-o", out, code=2)
    assert out.read_bytes() == b"precious"
    ecg_ka("convert", pair, "--to", "npy", "-o", out, "--force")
    np.testing.assert_array_equal(np.load(out), read(pair).signal_mv)


def test_the_command_writes_what_the_command_reads(pair: Path) -> None:
    ecg_ka("convert", pair, "--to", "dicom", "-o", pair.parent / "out.dcm", "--patient-id", "4711")
    ecg_ka("convert", pair.parent / "out.dcm", "--to", "wfdb", "-o", pair.parent / "copy")
    np.testing.assert_allclose(read(pair.parent / "copy.hea").signal_mv, read(pair).signal_mv, atol=STEP_MV)
    assert ecg_ka("convert", pair, "--to", "csv", "-o", pair.parent / "x.csv", "--patient-id", "4711", code=2)
    assert ecg_ka("convert", pair, "--to", "csv", "-o", pair.parent / "nowhere" / "x.csv", code=2)


def test_formats_lists_what_the_message_lists() -> None:
    from ecg_ka.readers import registry

    text = ecg_ka("formats")
    for kind in registry.FORMATS:
        assert kind.name in text
        assert kind.name in registry.what_is_read()
        assert kind.limits in text


def test_a_source_without_notes_is_enough() -> None:
    record = EcgRecord.from_leads(
        ecg().signal_mv, LEADS, fs_hz=500, source=Source(format="x", sha256="0" * 64, units_in="mV")
    )
    assert set(converted(record, Target.WFDB, "a")) == {"a.hea", "a.dat"}
