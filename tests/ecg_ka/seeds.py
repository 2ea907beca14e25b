"""Whole files of every format, from which damaged ones are made: small ones written here, and the real ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ecg_ka.readers import intake
from tests.ecg_ka.writers import (
    LEADS,
    counts_uv,
    csv,
    dicom,
    dicom_group,
    edf,
    flac,
    header,
    ishne,
    json_text,
    mat,
    npy,
    npz,
    scp,
    wfdb_pair,
    wfdb_stored,
    zipped,
)
from tests.ecg_ka.xml_writers import (
    aecg,
    aecg_series,
    cardiosoft,
    limb_leads,
    muse,
    muse_waveform,
    philips,
    utf_16,
)

UV = counts_uv(40)
EIGHT = counts_uv(40, n_leads=8)
TWELVE = limb_leads(EIGHT)

_FILES: dict[str, Callable[[], bytes]] = {
    "dicom": lambda: dicom(dicom_group(UV)),
    "dicom, implicit": lambda: dicom(dicom_group(UV), implicit=True),
    "npy": lambda: npy(UV * 1e-3),
    "npz": lambda: npz(signal_uv=UV, fs=500, leads=np.array(LEADS)),
    "json": lambda: json_text(np.round(UV[:3] * 1e-3, 3)),
    "csv": lambda: csv(np.round(UV[:3] * 1e-3, 3), LEADS[:3], time="time_s"),
    "zip": lambda: zipped(wfdb_pair(UV)),
    "scp": lambda: scp(UV, checksums=False),
    "scp, packed": lambda: scp(UV, packed=True, checksums=False),
    "edf": lambda: edf(UV, data_record_duration=0.08),
    "ishne": lambda: ishne(UV),
    "mat": lambda: mat(compressed=False, val=UV[:8] * 1e-3),
    "mat, packed": lambda: mat(val=UV[:8] * 1e-3),
    "muse": lambda: muse(muse_waveform(EIGHT[:, :20], kind="Median"), muse_waveform(EIGHT)),
    "cardiosoft": lambda: cardiosoft(TWELVE),
    "cardiosoft, disclosure": lambda: cardiosoft(limb_leads(counts_uv(500, n_leads=8)), full_disclosure=True),
    "philips": lambda: philips(TWELVE),
    "philips 1.03, plain": lambda: philips(TWELVE, compressed=False, version="1.03"),
    "philips, UTF-16": lambda: utf_16(philips(TWELVE)),
    "aecg": lambda: aecg(aecg_series(TWELVE)),
}

_SEVERAL: dict[str, Callable[[], Mapping[str, bytes]]] = {
    "wfdb": lambda: wfdb_pair(UV),
    "wfdb 310": lambda: {"a.hea": header(record="a 12 500 40", storage="310"), "a.dat": wfdb_stored(UV, "310")},
    "wfdb 212": lambda: {"a.hea": header(record="a 12 500 40", storage="212"), "a.dat": bytes(range(240)) * 3},
    "wfdb 516": lambda: {"a.hea": header(LEADS[:8], record="a 8 500 40", storage="516"), "a.dat": flac(EIGHT)},
    "wfdb, segments": lambda: (
        {"m.hea": b"m/3 12 500 120\na 40\nb 40\na 40\n"} | wfdb_pair(UV) | {"b.hea": header(record="b 12 500 40")}
    ),
}


def small() -> dict[str, Mapping[str, bytes]]:
    """One ECG of 40 samples in every format, by the files of each."""
    alone = {name: {name.split(",")[0]: write()} for name, write in _FILES.items()}
    return alone | {name: write() for name, write in _SEVERAL.items()}


def real(folder: Path) -> dict[str, Mapping[str, bytes]]:
    """Every ECG file below a folder, a WFDB header with its signal files."""
    paths = [path for part in ("cinc2020", "formats", "ptbxl") for path in sorted((folder / part).rglob("*"))]
    paths = [path for path in paths if path.is_file() and path.suffix not in (".csv", ".txt")]
    seeds = {str(path.relative_to(folder)): intake.from_path(path) for path in paths if _is_main(path)}
    beside = {path.parent / name for path in paths if _is_main(path) for name in _named(seeds, folder, path)}
    alone = [path for path in paths if not _is_main(path) and path not in beside]
    return seeds | {str(path.relative_to(folder)): {path.name: path.read_bytes()} for path in alone}


def _is_main(path: Path) -> bool:
    return re.fullmatch(r"\.(dat|mat|d\d)", path.suffix) is None


def _named(seeds: Mapping[str, Mapping[str, bytes]], folder: Path, path: Path) -> list[str]:
    return list(seeds[str(path.relative_to(folder))])
