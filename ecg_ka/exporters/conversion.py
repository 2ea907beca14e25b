"""A record in another format, read back before it is handed out."""

from __future__ import annotations

import re
from enum import StrEnum

import numpy as np

from ecg_ka.errors import EcgError
from ecg_ka.exporters import csv_text, dicom, npy, wfdb
from ecg_ka.exporters.steps import steps_per_mv
from ecg_ka.readers import read
from ecg_ka.record import LEADS, EcgRecord


class Target(StrEnum):
    """The formats that a record is written in."""

    WFDB = "wfdb"
    CSV = "csv"
    NPY = "npy"
    DICOM = "dicom"


def converted(record: EcgRecord, target: Target, name: str, patient: dicom.Patient | None = None) -> dict[str, bytes]:
    """The files of ``record`` in another format by file name; ``name`` is that of the main file.

    WFDB makes two files, ``NAME.hea`` and ``NAME.dat``. A patient can be given for DICOM and is in no other file.

    Raises:
        EcgError: the unit of the record was assumed, or the format cannot carry it: its rate, or a signal beyond range.
    """
    if record.source.units_assumed:  # the other file would state it, and the flag would be lost
        raise EcgError("the file states no unit and mV was assumed; give the unit (--units) to write it down")
    files = _written(record, target, name, patient)
    back = read(files, **(npy.facts(record) if target is Target.NPY else {}))
    exact = np.abs(back.signal_mv - record.signal_mv).max() <= _tolerance_mv(record, target)
    if not exact or (back.leads, back.fs_hz) != (record.leads, record.fs_hz):
        raise EcgError(f"{target} cannot carry this record ({record.fs_hz:g} Hz) as it is; choose another format")
    return files


def _written(record: EcgRecord, target: Target, name: str, patient: dicom.Patient | None) -> dict[str, bytes]:
    match target:
        case Target.WFDB:
            stem = name.removesuffix(".hea")
            if re.fullmatch(r"[\w-]+", stem, re.ASCII) is None:
                raise EcgError(f"{stem[:60]!r} is no name of a WFDB record; expected letters, digits, _ and -")
            return wfdb.record_wfdb(record, stem)
        case Target.CSV:
            return {name: csv_text.record_csv(record).encode()}
        case Target.NPY:
            return {name: npy.record_npy(record)}
        case Target.DICOM:
            return {name: dicom.record_dicom(record, patient)}


def _tolerance_mv(record: EcgRecord, target: Target) -> float:
    """Half a step where integers are written, and the rounding of float32."""
    largest = float(np.abs(record.signal_mv).max())
    half_step = 0.0 if target in (Target.CSV, Target.NPY) else 0.5 / steps_per_mv(record)
    return half_step + 2.0**-22 * largest


def how_to_read(record: EcgRecord, target: Target) -> str:
    """What has to be given to read a file again that cannot say it itself; nothing for the other formats."""
    if target is not Target.NPY:
        return ""
    leads = "" if record.leads == LEADS else f" --leads {','.join(record.leads)}"
    return f"; an .npy states nothing: read it with --fs-hz {record.fs_hz:.12g} --units mV{leads}"
