"""ECGs and files for the tests of what stands behind the readers; all of them made by the simulator."""

from __future__ import annotations

import csv
import io

import numpy as np

from ecg_ka.record import EcgRecord
from ecg_ka.simulator import Preset, draw_patient, simulate


def ecg(seed: int = 1, potassium_mmol_l: float = 4.2) -> EcgRecord:
    """A 12-lead ECG of 10 s at 500 Hz."""
    return simulate(draw_patient(seed, Preset.PUBLISHED, healthy=True), potassium_mmol_l, seed)


def csv_bytes(record: EcgRecord) -> bytes:
    """The record as a CSV file with a time column and units."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["time_s", *(f"{lead}_mV" for lead in record.leads)])
    n = record.signal_mv.shape[1]
    time_s = np.arange(n) / record.fs_hz
    table.writerows([f"{t:.6f}", *(f"{v:.6f}" for v in row)] for t, row in zip(time_s, record.signal_mv.T, strict=True))
    return text.getvalue().encode()
