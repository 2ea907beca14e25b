"""One ECG in every format that is read: real files where there are some, else made by the writers of the tests."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page

from tests.ecg_ka import writers
from tests.ecg_ka.ecgs import csv_bytes, ecg

_DROP = """([files]) => {
    const carried = new DataTransfer();
    for (const [name, content] of files)
        carried.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))], name));
    return carried;
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The files of one ECG by name, and what its user has to add."""

    files: Mapping[str, bytes]
    fields: Mapping[str, str] = field(default_factory=dict)


def drop(page: Page, files: Mapping[str, bytes]) -> None:
    """Drop files on the page as a hand does."""
    content = [[name, base64.b64encode(data).decode()] for name, data in files.items()]
    carried = page.evaluate_handle(_DROP, [content])
    page.dispatch_event("#drop", "drop", {"dataTransfer": carried})


def high() -> Sample:
    """A simulated ECG with an estimate in the upper few-shot region."""
    return Sample(files={"ecg.csv": csv_bytes(ecg(2, 7.4))})


def withheld(shared: Path) -> Sample:
    """A real ECG whose header states a wrong gain."""
    return _real(shared / "cinc2020", "HR00599.hea", "HR00599.mat")


def _real(folder: Path, *names: str) -> Sample:
    return Sample(files={name: (folder / name).read_bytes() for name in names})


def _uv() -> NDArray[np.int16]:
    """(12, 5000) microvolt at 500 Hz."""
    return np.rint(1000 * ecg(3).signal_mv).astype(np.int16)


def _segments() -> Sample:
    files = {"m.hea": b"m/2 12 500 5000\na 2000\nb 3000\n"}
    for name, part in (("a", _uv()[:, :2000]), ("b", _uv()[:, 2000:])):
        pair = writers.wfdb_pair(part, record=f"{name} 12 500 {part.shape[1]}", file=f"{name}.dat")
        files |= {f"{name}.hea": pair["a.hea"], f"{name}.dat": pair["a.dat"]}
    return Sample(files=files)


def _ptbxl(shared: Path) -> Sample:
    return _real(shared / "ptbxl" / "records500", "00001_hr.hea", "00001_hr.dat")


BY_FORMAT: dict[str, Callable[[Path], Sample]] = {
    "DICOM": lambda shared: _real(shared / "formats/dicom", "pydicom-waveform_ecg.dcm"),
    "SCP-ECG": lambda shared: _real(shared / "formats/scp", "test.scp"),
    "ISHNE": lambda _: Sample(files={"a.ecg": writers.ishne(_uv())}),
    "EDF and EDF+": lambda _: Sample(files={"a.edf": writers.edf(_uv())}),
    "MATLAB .mat": lambda _: Sample(
        files={"a.mat": writers.mat(val=_uv())},
        fields={"fs_hz": "500", "units": "uV", "leads": ",".join(writers.LEADS)},
    ),
    "NumPy .npy and .npz": lambda _: Sample(
        files={"a.npy": writers.npy(_uv() / 1000)}, fields={"fs_hz": "500", "level": "0.8"}
    ),
    "GE MUSE XML": lambda shared: _real(shared / "formats/muse", "braveheart-example1.xml"),
    "GE CardioSoft XML": lambda shared: _real(shared / "formats/cardiosoft", "ecgprocess-example-XML1.xml"),
    "Philips Sierra XML": lambda shared: _real(shared / "formats/philips", "sierra-1_03-129DYPRG.xml"),
    "HL7 aECG": lambda shared: _real(shared / "formats/aecg", "fda-example-aecg.xml"),
    "JSON": lambda _: Sample(files={"a.json": writers.json_text(_uv() / 1000)}),
    "WFDB of several segments": lambda _: _segments(),
    "WFDB": _ptbxl,
    "CSV": lambda _: Sample(files={"a.csv": csv_bytes(ecg(3))}),
    "zip": lambda shared: Sample(files={"a.zip": writers.zipped(_ptbxl(shared).files)}),
}
"""By the name in the registry of formats, and a zip."""
