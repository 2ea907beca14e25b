"""Real ECG files to load the service with."""

from __future__ import annotations

from pathlib import Path

from pydicom.data import get_testdata_file

FORMATS = (
    "muse/braveheart-example1.xml",
    "muse/braveheart-example2.xml",
    "cardiosoft/ecgprocess-example-XML1.xml",
    "philips/sierra-1_03-129DYPRG.xml",
    "philips/sierra-1_04-ad4d3d80.xml",
    "dicom/ecgprocess-example-DICOM1.dcm",
    "aecg/fda-example-aecg.xml",
    "scp/test.scp",
)


def wfdb_ecgs(shared_data: Path, n_ecgs: int) -> list[dict[str, bytes]]:
    """The first records of PTB-XL at 500 Hz: of all files the quickest to read."""
    headers = sorted((shared_data / "ptbxl" / "records500").rglob("*.hea"))[:n_ecgs]
    return [{path.name: path.read_bytes() for path in (header, header.with_suffix(".dat"))} for header in headers]


def mixed_ecgs(shared_data: Path) -> list[dict[str, bytes]]:
    """One file of each maker and format, pydicom's too, and as many records of PTB-XL."""
    paths = [shared_data / "formats" / name for name in FORMATS]
    paths.append(Path(str(get_testdata_file("waveform_ecg.dcm", download=False))))
    singles = [{path.name: path.read_bytes()} for path in paths]
    return [ecg for pair in zip(singles, wfdb_ecgs(shared_data, len(singles)), strict=True) for ecg in pair]


def dicom_ecg(shared_data: Path) -> bytes:
    """One ECG in one file."""
    return (shared_data / "formats" / "dicom" / "ecgprocess-example-DICOM1.dcm").read_bytes()
