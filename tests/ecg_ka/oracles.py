"""Other decoders of the real files: samples in mV by lead, to be compared with ours."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pydicom
import wfdb
from numpy.typing import NDArray

from ecg_ka.readers import read
from ecg_ka.record import LEADS, EcgRecord, canonical_lead

Leads = dict[str, NDArray[np.float64]]

_PARSERS = {
    "muse": ("ge_muse_xml", "GEMuseXMLParser"),
    "philips": ("sierra_xml", "SierraXMLParser"),
    "aecg": ("hl7_aecg", "HL7aECGParser"),
}
_MV = {"uV": 1e-3, "mV": 1.0}
_PROTECTED = slice(108, 457)
"""Samples 109 to 457 of the SCP-ECG sample: its first protected zone, by section 4."""


def by_wfdb(header: Path) -> Leads:
    """The standard leads by the wfdb package, whose two misunderstandings of header(5) are mended before it reads."""
    lines = header.read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    lines[first] = lines[first].replace(f"{header.stem}.mat ", f"{header.stem} ").split("-May-")[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / header.name).write_text("\n".join(lines) + "\n")
        for file in header.parent.glob(f"{header.stem}*"):
            if file.suffix != ".hea":
                (folder / file.name).write_bytes(file.read_bytes())
        names = wfdb.rdheader(str(folder / header.stem)).sig_name
        channels = [number for number, lead in enumerate(names) if canonical_lead(lead)]
        record = wfdb.rdrecord(str(folder / header.stem), channels=channels, smooth_frames=False)
    return {canonical_lead(lead) or "": row for lead, row in zip(record.sig_name, record.e_p_signal, strict=True)}


def by_pydicom(path: Path) -> Leads:
    """The first group, whose channels are in the standard order in every file that is compared."""
    return dict(zip(LEADS, pydicom.dcmread(path).waveform_array(0).T * 1e-3, strict=True))


def by_ecgdatakit(path: Path) -> Leads:
    """The stored leads, a calibration pulse still at their end."""
    module, parser = _PARSERS[path.parent.name]
    leads = getattr(import_module(f"ecgdatakit.parsing.parsers.{module}"), parser)().parse(path).leads
    scaled = [np.asarray(lead.samples, float) * lead.resolution * _MV[lead.resolution_unit] for lead in leads]
    return dict(zip([canonical_lead(lead.label) or "" for lead in leads], scaled, strict=True))


def by_reference(path: Path) -> Leads:
    """The decode that stands beside an SCP-ECG file, in its first protected zone; NaN elsewhere."""
    decoded = read(path.with_suffix(".hea"))
    rows = np.full(decoded.signal_mv.shape, np.nan)
    rows[:, _PROTECTED] = decoded.signal_mv[:, _PROTECTED]
    return dict(zip(decoded.leads, rows, strict=True))


ORACLES: dict[str, Callable[[Path], Leads]] = {
    "wfdb": by_wfdb,
    "pydicom": by_pydicom,
    "ecgdatakit": by_ecgdatakit,
    "its WFDB decode": by_reference,
}


def largest_difference_uv(record: EcgRecord, oracle: Leads) -> float:
    """Of all samples of all leads that the file stores."""
    stored = set(record.leads) - set(record.leads_derived)
    if not stored <= set(oracle):
        raise AssertionError(f"the oracle has no {stored - set(oracle)}")
    n = record.signal_mv.shape[1]
    differences = [np.nanmax(np.abs(record.lead(lead) - oracle[lead][:n])) for lead in stored]
    return float(max(differences)) * 1e3
