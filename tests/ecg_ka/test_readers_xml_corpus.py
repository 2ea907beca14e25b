"""What carts wrote as XML: what each file says, with the field's own decoder as oracle."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from ecg_ka import errors
from ecg_ka.readers import read
from ecg_ka.record import EcgRecord, canonical_lead

pytestmark = pytest.mark.shared

# file, format, leads derived, seconds, peak to peak (mV) and sum (V) of lead II. All: 500 Hz, 12 leads, in microvolts.
READ = [
    ("muse/braveheart-example1.xml", "GE MUSE XML", 4, 10.0, 1.620, 0.00774),
    ("muse/braveheart-example2.xml", "GE MUSE XML", 4, 10.0, 2.606, -0.01565),
    ("cardiosoft/ecgprocess-example-XML1.xml", "GE CardioSoft XML", 0, 10.0, 1.475, 0.22592),
    ("philips/sierra-1_03-129DYPRG.xml", "Philips Sierra XML 1.03", 0, 10.528, 1.090, 0.00881),
    ("philips/sierra-1_04-ad4d3d80.xml", "Philips Sierra XML 1.04", 0, 10.6, 1.075, 0.33775),
    ("aecg/fda-example-aecg.xml", "HL7 aECG", 0, 10.0, 1.0025, -0.01021),
]
FILES = [row[0] for row in READ]

CAL = "a calibration pulse of 1 mV, were left out"
PHILIPS = "PageWriter Touch Philips Medical Products:M5000:C.01.02.00"
# device, acquired, age, first note
SAYS = {
    FILES[0]: (None, None, None, "exported by MUSE 9.0.7.17363"),
    FILES[1]: (None, None, None, "exported by MUSE 9.0.7.17363"),
    FILES[2]: ("CardioSoft V6.73", "2018-07-19 14:19:39", 53, "RestingECGMeasurements/MedianSamples was left out"),
    FILES[3]: ("HeartstartMRx", "2011-12-01 07:27:34", 50, f"the last 236 samples, {CAL}"),
    FILES[4]: (PHILIPS, "2008-12-23 19:44:46", 32, f"the last 200 samples, {CAL}"),
    FILES[5]: (
        *("Mortara Instrument, Inc. ELI250 5.3", "2002-11-22 09:10:00", 46),
        "1 other or derived series were left out",
    ),
}


@pytest.mark.parametrize(("file", "format_", "n_derived", "seconds", "peak_mv", "sum_v"), READ, ids=FILES)
def test_what_a_file_says(
    shared_data: Path, file: str, format_: str, n_derived: int, seconds: float, peak_mv: float, sum_v: float
) -> None:
    record = read(shared_data / "formats" / file)
    source = record.source
    assert (source.format, record.fs_hz, len(record.leads), record.duration_s) == (format_, 500, 12, seconds)
    assert (len(record.leads_derived), source.units_in, source.units_assumed) == (n_derived, "uV", False)
    assert float(np.ptp(record.lead("II"))) == pytest.approx(peak_mv, abs=5e-4)
    assert float(record.lead("II").sum(dtype=float)) * 1e-3 == pytest.approx(sum_v, abs=5e-6)
    acquired = None if source.acquired_at is None else str(source.acquired_at)
    assert (source.device, acquired, source.age_years, source.notes[0]) == SAYS[file]


def test_all_leads_of_real_files_obey_einthoven_and_goldberger(shared_data: Path) -> None:
    for file in FILES:
        record = read(shared_data / "formats" / file)
        i, ii, iii, avr, avl, avf = (record.lead(lead) for lead in ("I", "II", "III", "aVR", "aVL", "aVF"))
        for residual in (i + iii - ii, avr + (i + ii) / 2, avl - (i - iii) / 2, avf - (ii + iii) / 2):
            assert np.abs(residual).max() < 0.0125  # rounding: up to two steps of 5 microvolts


def test_edge_files(shared_data: Path) -> None:
    with pytest.raises(errors.MissingLeads, match="RHYTHM"):
        read(shared_data / "formats/aecg/empty.xml")
    short = read(shared_data / "formats/aecg/minimum_aecg.xml")
    assert (short.leads, short.signal_mv.shape, short.fs_hz) == (("II",), (1, 13), 500)
    np.testing.assert_allclose(short.signal_mv[0, -3:], np.array([-6, -9, -9]) * 2.5e-3, rtol=1e-6)


ORACLES = {
    "muse": ("ge_muse_xml", "GEMuseXMLParser"),
    "philips": ("sierra_xml", "SierraXMLParser"),
    "aecg": ("hl7_aecg", "HL7aECGParser"),
}
MV = {"uV": 1e-3, "mV": 1.0}


def _largest_difference_uv(record: EcgRecord, oracle: object) -> float:
    leads = {canonical_lead(lead.label) or "": lead for lead in oracle.leads}  # type: ignore[attr-defined]
    assert set(leads) == set(record.leads) - set(record.leads_derived)
    n = record.signal_mv.shape[1]
    differences = []
    for name, lead in leads.items():
        stored_mv = np.asarray(lead.samples, float)[:n] * lead.resolution * MV[lead.resolution_unit]
        differences.append(np.abs(record.lead(name) - stored_mv).max())
    return float(max(differences)) * 1e3


@pytest.mark.parametrize("file", [file for file in FILES if file.split("/")[0] in ORACLES])
def test_ecgdatakit_agrees(shared_data: Path, file: str) -> None:
    module, parser = ORACLES[file.split("/")[0]]
    oracle = getattr(import_module(f"ecgdatakit.parsing.parsers.{module}"), parser)()
    path = shared_data / "formats" / file
    assert (
        _largest_difference_uv(read(path), oracle.parse(path)) < 1e-3
    )  # float32 in the record; one step is 2.5 to 5 microvolts
