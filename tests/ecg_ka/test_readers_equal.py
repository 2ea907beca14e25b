"""One ECG in every format: what is read is the same to a thousandth of a step, and so is its estimate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ecg_ka.estimator import Estimator
from ecg_ka.readers import read
from tests.ecg_ka.ecgs import ecg
from tests.ecg_ka.writers import (
    FS_HZ,
    LEADS,
    csv,
    dicom,
    dicom_channel,
    dicom_group,
    edf,
    ishne,
    json_text,
    mat,
    npy,
    npz,
    scp,
    wfdb_pair,
    zipped,
)
from tests.ecg_ka.xml_writers import aecg, aecg_series, edited

UV = np.rint(ecg().signal_mv * 1e3).astype(np.int16)
MV = UV * 1e-3
AECG = aecg(aecg_series(UV))
IN_MV = [dicom_channel(lead, unit="mV", ChannelSensitivity="0.001") for lead in LEADS]
FACTS: dict[str, Any] = {"fs_hz": FS_HZ}

WRITTEN: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "WFDB in mV": (lambda: wfdb_pair(UV), {}),
    "WFDB in uV": (lambda: wfdb_pair(UV, gain="1/uV"), {}),
    "DICOM in uV": (lambda: dicom(dicom_group(UV)), {}),
    "DICOM in mV": (lambda: dicom(dicom_group(UV, ChannelDefinitionSequence=IN_MV)), {}),
    "SCP-ECG": (lambda: scp(UV), {}),
    "SCP-ECG, packed": (lambda: scp(UV, packed=True), {}),
    "EDF in uV": (lambda: edf(UV), {}),
    "EDF in mV": (lambda: edf(UV, unit="mV"), {}),
    "ISHNE": (lambda: ishne(UV), {}),
    "CSV in mV": (lambda: csv(np.round(MV, 3), [f"{lead}_mV" for lead in LEADS], time="time_s"), {}),
    "CSV in uV": (lambda: csv(UV, [f"{lead}_uV" for lead in LEADS]), FACTS),
    "npy in uV": (lambda: npy(UV), FACTS | {"units": "uV"}),
    "npy in mV": (lambda: npy(MV.T), FACTS),
    "npz": (lambda: npz(signal_uv=UV, fs=FS_HZ, leads=np.array(LEADS)), {}),
    "mat in uV": (lambda: mat(val=UV), FACTS | {"units": "uV"}),
    "mat in mV, not packed": (lambda: mat(compressed=False, ecg=MV, fs=FS_HZ), {}),
    "JSON in mV": (lambda: json_text(MV), {}),
    "JSON in uV": (lambda: json_text(UV, signal_mv=None, signal_uv=UV.tolist()), {}),
    "aECG in uV": (lambda: edited(AECG, {'scale value="2.5"': 'scale value="1"'}), {}),
    "aECG in mV": (lambda: edited(AECG, {'scale value="2.5" unit="uV"': 'scale value="0.001" unit="mV"'}), {}),
    "zip": (lambda: zipped({"x/ecg.edf": edf(UV)}), {}),
}

ESTIMATOR = Estimator.load()
ESTIMATE = ESTIMATOR.estimate(ecg()).potassium_mmol_l


@pytest.mark.parametrize("name", WRITTEN)
def test_one_ecg_in_every_format_is_one_ecg(name: str) -> None:
    written, facts = WRITTEN[name]
    record = read(written(), **facts)
    assert (record.leads, record.fs_hz, record.leads_derived) == (LEADS, FS_HZ, ())
    assert float(np.abs(record.signal_mv - MV).max()) < 1e-6  # of a step of 1e-3
    estimate = ESTIMATOR.estimate(record).potassium_mmol_l
    assert estimate is not None
    assert estimate == pytest.approx(ESTIMATE, abs=0.01)
    assert "Muster" not in repr(record.source)
    assert "4711" not in repr(record.source)
