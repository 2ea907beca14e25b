"""Real files of the formats that are read: what each says, and the field's own libraries as oracles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import wfdb

from ecg_ka import errors
from ecg_ka.readers import read
from ecg_ka.record import EcgRecord, canonical_lead

pytestmark = pytest.mark.shared

# file, format, Hz, leads, seconds, peak to peak of lead II (or the only lead) in mV as the file states it.
# E* and HR* state wrong gains: too small and too large come out, and the quality check flags them.
READ = [
    ("cinc2020/E00009.hea", "WFDB", 500, 12, 10.0, 0.116),
    ("cinc2020/E00015.hea", "WFDB", 500, 12, 10.0, 0.166),
    ("cinc2020/E00018.hea", "WFDB", 500, 12, 10.0, 0.156),
    ("cinc2020/HR00599.hea", "WFDB", 500, 12, 10.0, 5.290),
    ("cinc2020/Q0001.hea", "WFDB", 500, 12, 10.0, 0.737),
    ("cinc2020/Q0012.hea", "WFDB", 500, 12, 10.0, 0.643),
    ("cinc2020/Q0022.hea", "WFDB", 500, 12, 41.7, 1.069),
    ("formats/dicom/ecgprocess-example-DICOM1.dcm", "DICOM", 500, 12, 10.0, 0.937),
    ("formats/dicom/pydicom-waveform_ecg.dcm", "DICOM", 1000, 12, 10.0, 1.346),
    ("formats/scp/test.scp", "SCP-ECG", 500, 12, 10.0, 1.080),
    ("formats/scp/test.dat", "WFDB", 500, 12, 10.0, 1.055),
    ("formats/scp/test.hea", "WFDB", 500, 12, 10.0, 1.055),
    ("formats/wfdb/100.hea", "WFDB", 360, 1, 1805.6, 3.690),
    ("formats/wfdb/a103l.hea", "WFDB", 250, 1, 330.0, 3.471),
    ("formats/wfdb/s0010_re.hea", "WFDB", 1000, 12, 38.4, 1.235),
    ("ptbxl/records100/00001_lr.hea", "WFDB", 100, 12, 10.0, 0.575),
    ("ptbxl/records500/00001_hr.hea", "WFDB", 500, 12, 10.0, 0.681),
]

REFUSED = [
    ("formats/wfdb/03700181.hea", errors.MissingLeads, "MCL1"),
    ("formats/wfdb/binformats.hea", errors.MissingLeads, "sig 0"),
    ("formats/wfdb/test01_00s.hea", errors.MissingLeads, "ECG 1"),
    ("formats/wfdb/mixedsignals.hea", errors.NonFiniteSamples, "II"),
    ("formats/wfdb/v102s.hea", errors.NonFiniteSamples, "II"),
    ("formats/wfdb/100_3chan.dat", errors.UnknownFormat, "Read are"),
    ("cinc2020", errors.UnreadableRecord, "7 records"),
]


@pytest.mark.parametrize(("file", "format_", "fs_hz", "n_leads", "seconds", "lead_ii_mv"), READ)
def test_what_a_file_says(
    shared_data: Path, file: str, format_: str, fs_hz: float, n_leads: int, seconds: float, lead_ii_mv: float
) -> None:
    record = read(shared_data / file)
    assert (record.source.format, record.fs_hz, len(record.leads)) == (format_, fs_hz, n_leads)
    assert round(record.duration_s, 1) == seconds
    lead = record.lead("II") if "II" in record.leads else record.signal_mv[0]
    assert float(np.ptp(lead)) == pytest.approx(lead_ii_mv, abs=5e-4)


@pytest.mark.parametrize(("file", "error", "words"), REFUSED)
def test_what_is_refused(shared_data: Path, file: str, error: type[errors.EcgError], words: str) -> None:
    with pytest.raises(errors.EcgError, match=words) as caught:
        read(shared_data / file)
    assert caught.type is error


def _wfdb_oracle(header: Path, tmp_path: Path) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Samples (n,) in the header's unit and one ADC step of every standard lead, by the wfdb package."""
    lines = header.read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    lines[first] = lines[first].replace(f"{header.stem}.mat ", f"{header.stem} ").split("-May-")[0]  # its one dialect
    (tmp_path / header.name).write_text("\n".join(lines) + "\n")
    for file in header.parent.glob(f"{header.stem}*"):
        if file.suffix != ".hea":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    names = wfdb.rdheader(str(tmp_path / header.stem)).sig_name
    channels = [number for number, name in enumerate(names) if canonical_lead(name)]
    record = wfdb.rdrecord(str(tmp_path / header.stem), channels=channels, smooth_frames=False)
    leads = [canonical_lead(name) or "" for name in record.sig_name]
    steps = dict(zip(leads, (1 / gain for gain in record.adc_gain), strict=True))
    return dict(zip(leads, record.e_p_signal, strict=True)), steps


def _agrees(record: EcgRecord, oracle: dict[str, np.ndarray], steps: dict[str, float]) -> None:
    assert set(record.leads) - set(record.leads_derived) == set(oracle)
    for lead, samples in oracle.items():
        assert float(np.abs(record.lead(lead) - samples).max()) < steps[lead] / 10


@pytest.mark.parametrize("file", [row[0] for row in READ if row[0].endswith(".hea")])
def test_wfdb_agrees(shared_data: Path, tmp_path: Path, file: str) -> None:
    _agrees(read(shared_data / file), *_wfdb_oracle(shared_data / file, tmp_path))


def test_wfdb_agrees_on_all_of_ptb_xl(shared_data: Path, tmp_path: Path) -> None:
    headers = sorted((shared_data / "ptbxl").glob("records*/*.hea"))
    assert len(headers) == 220
    for header in headers[::6]:
        _agrees(read(header), *_wfdb_oracle(header, tmp_path))
    for header in headers:
        record = read(header)
        assert (len(record.leads), record.duration_s, record.source.notes) == (12, 10, ())


@pytest.mark.parametrize("file", ["mixedsignals.hea", "v102s.hea"])
def test_what_is_refused_for_gaps_has_gaps(shared_data: Path, tmp_path: Path, file: str) -> None:
    header = shared_data / "formats" / "wfdb" / file
    for signals in header.parent.glob("mixedsignals_*"):
        (tmp_path / signals.name).write_bytes(signals.read_bytes())
    oracle, _ = _wfdb_oracle(header, tmp_path)
    assert any(np.isnan(samples).any() for samples in oracle.values())


def test_every_storage_format_of_the_field_agrees(shared_data: Path, tmp_path: Path) -> None:
    """The signals of ``binformats`` are no leads: each gets the name of one and is read on its own."""
    folder = shared_data / "formats" / "wfdb"
    lines = (folder / "binformats.hea").read_text().splitlines()[1:]
    for number, line in enumerate(lines):
        file, storage, *rest = line.split(None, 8)[:8]
        text = f"one 1 200 499\n{' '.join([file, storage, *rest])} II\n"
        (tmp_path / "one.hea").write_text(text)
        (tmp_path / file).write_bytes((folder / file).read_bytes())
        oracle = wfdb.rdrecord(str(tmp_path / "one")).p_signal[:, 0]
        record = read({"one.hea": text.encode(), file: (folder / file).read_bytes()})
        assert record.source.notes == (), (number, storage)
        np.testing.assert_allclose(record.signal_mv[0], oracle, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("file", ["ecgprocess-example-DICOM1.dcm", "pydicom-waveform_ecg.dcm"])
def test_dicom_agrees(shared_data: Path, file: str) -> None:
    path = shared_data / "formats" / "dicom" / file
    oracle_uv = pydicom.dcmread(path).waveform_array(0).T
    record = read(path)
    assert oracle_uv.shape == record.signal_mv.shape
    order = [record.leads.index(lead) for lead in ("I", "II", "III", "aVR", "aVL", "aVF")]
    assert order == list(range(6))
    np.testing.assert_allclose(record.signal_mv, oracle_uv * 1e-3, atol=1e-5)
    assert record.source.device


def test_ages(shared_data: Path) -> None:
    ages = {"cinc2020/E00009.hea": 76, "formats/scp/test.hea": 49, "formats/wfdb/s0010_re.hea": 81}
    for file, age in ages.items():
        assert read(shared_data / file).source.age_years == age
    assert read(shared_data / "formats/dicom/pydicom-waveform_ecg.dcm").source.age_years == 42
