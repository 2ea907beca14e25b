"""SCP-ECG, EDF and ISHNE: what they state is taken, what they lie about is refused; other decoders as oracles."""

from __future__ import annotations

import struct
from datetime import date, datetime, timedelta, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
from ecgdatakit.parsing.parsers.ishne_holter import ISHNEHolterParser

from ecg_ka import errors
from ecg_ka.readers import read
from tests.ecg_ka.writers import FS_HZ, LEADS, counts_uv, edf, ishne, scp

UV = counts_uv()
MV = UV * 1e-3


# SCP-ECG


@pytest.mark.parametrize("packed", [False, True])
def test_scp_leads_by_code_with_the_step_that_is_stated(packed: bool) -> None:
    swapped = [1, 2, 61, 62, 64, 63, 3, 4, 5, 6, 7, 8]  # aVF before aVL
    record = read(scp(UV, codes=swapped, packed=packed, nv=5000, interval_us=1000))
    assert (record.leads, record.fs_hz) == (LEADS, 1000)
    np.testing.assert_allclose(record.lead("aVF"), MV[4] * 5, atol=1e-6)
    np.testing.assert_allclose(record.lead("aVL"), MV[5] * 5, atol=1e-6)
    assert record.source.notes == ()


def test_scp_facts_are_kept_and_the_patient_is_not() -> None:
    source = read(scp(UV)).source
    at = datetime(2021, 12, 24, 10, 30, 5, tzinfo=timezone(timedelta(hours=1)))
    assert (source.age_years, source.device, source.acquired_at) == (63, "MODEL1", at)
    assert "Muster" not in repr(source)
    odd = read(scp(UV, sections={1: struct.pack("<BHHB", 4, 3, 300, 1)})).source
    assert odd.age_years is None
    assert "age" in odd.notes[0]


def test_scp_statements_that_are_damaged_keep_no_rhythm_from_being_read() -> None:
    record = read(scp(UV, sections={8: b"", 10: b"\xff\xff", 11: b"\x01"}))
    np.testing.assert_allclose(record.signal_mv, MV, atol=1e-6)


def test_scp_reference_beats_are_added_where_they_were_taken_out() -> None:
    beat = counts_uv(200, seed=9)  # 400 ms, its fiducial point at sample 100
    counts = UV.copy()
    counts[:, 400:600] += beat
    reference = struct.pack("<HHBB12H", 1000, 2000, 0, 0, *[400] * 12) + b"".join(
        row.astype("<i2").tobytes() for row in beat
    )
    zones = struct.pack("<HHH", 400, 100, 1) + struct.pack("<HIII", 0, 401, 500, 600) + struct.pack("<II", 401, 600)
    record = read(scp(UV, flags=0x05, sections={4: zones, 5: reference}))
    np.testing.assert_allclose(record.signal_mv, counts * 1e-3, atol=1e-6)


def test_scp_another_checksum_is_told() -> None:
    data = scp(UV)
    assert "checksum" in read(b"\x00\x00" + data[2:]).source.notes[0]
    with pytest.raises(errors.UnreadableRecord, match="section 6"):
        read(data[:-1] + b"\x55")


SCP_HOSTILE: dict[str, tuple[dict[str, Any], type[errors.EcgError]]] = {
    "four billion samples": ({"end": 2**32 - 1}, errors.RecordTooLarge),
    "one sample more than there is": ({"end": 1001}, errors.UnreadableRecord),
    "leads that begin late": ({"start": 2}, errors.MalformedHeader),
    "a step of 0 nV": ({"nv": 0}, errors.MalformedHeader),
    "an interval of 0": ({"interval_us": 0}, errors.MalformedHeader),
    "a rate of 1 MHz": ({"interval_us": 1}, errors.InvalidSamplingRate),
    "255 leads": ({"sections": {3: b"\xff\x04" + bytes(255 * 9)}}, errors.RecordTooLarge),
    "no leads": ({"sections": {3: b"\x00\x04"}}, errors.MalformedHeader),
    "leads that end early": ({"sections": {3: b"\x0c\x04"}}, errors.TruncatedFile),
    "a rhythm that ends early": ({"sections": {6: b"\x00"}}, errors.TruncatedFile),
    "a reference beat that is not there": ({"flags": 0x05}, errors.MalformedHeader),
    "1000 beats in 2 s": (
        {
            "flags": 0x05,
            "sections": {
                4: struct.pack("<HHH", 700, 1, 1000) + bytes(14 * 1000),
                5: struct.pack("<HHBB", 1000, 2000, 0, 0),
            },
        },
        errors.RecordTooLarge,
    ),
    "a reference beat of 65 million samples": (
        {
            "flags": 0x05,
            "sections": {4: struct.pack("<HHH", 65535, 1, 0), 5: struct.pack("<HHBB", 1000, 1, 0, 0)},
        },
        errors.RecordTooLarge,
    ),
    "no such Huffman table": ({"sections": {2: struct.pack("<H", 7)}}, errors.UnreadableRecord),
    "one lead twice": ({"codes": [1] * 12}, errors.MalformedHeader),
    "no standard lead": ({"codes": [16] * 12}, errors.MissingLeads),
}


@pytest.mark.parametrize("name", SCP_HOSTILE)
def test_scp_that_lies_is_refused_by_name(name: str) -> None:
    fields, error = SCP_HOSTILE[name]
    with pytest.raises(errors.EcgError) as caught:
        read(scp(UV, **fields))
    assert caught.type is error, caught.value


def test_scp_cut_or_without_a_rhythm() -> None:
    with pytest.raises(errors.TruncatedFile):
        read(scp(UV)[:-1])
    data = bytearray(scp(UV))
    at = data.index(struct.pack("<H", 6), 22 + 30)  # the pointer to section 6
    data[at : at + 2] = b"\x07\x00"
    with pytest.raises(errors.MalformedHeader, match="section 7"):
        read(data)
    data[at + 2 : at + 6] = bytes(4)
    with pytest.raises(errors.UnreadableRecord, match="no section 6"):
        read(data)


@pytest.mark.shared
def test_scp_agrees_with_the_reference_decode(shared_data: Path) -> None:
    """In the protected zones to 0.0 microvolt. Elsewhere the reference is the mean of three neighbours."""
    folder = shared_data / "formats" / "scp"
    record, reference = read(folder / "test.scp"), read(folder / "test.hea")
    assert record.leads == reference.leads == LEADS
    assert record.leads_derived == ("III", "aVR", "aVL", "aVF")
    zone = slice(108, 457)  # samples 109 to 457, the first protected zone of section 4
    np.testing.assert_allclose(record.signal_mv[:, zone], reference.signal_mv[:, zone], atol=0.0026)
    stored = ["I", "II", "V1", "V2", "V3", "V4", "V5", "V6"]
    for lead in stored:
        np.testing.assert_allclose(record.lead(lead)[zone], reference.lead(lead)[zone], atol=1e-6)
        smooth = np.convolve(record.lead(lead), np.ones(3) / 3, "same")
        np.testing.assert_allclose(smooth[470:960], reference.lead(lead)[470:960], atol=0.0051)  # a step is 0.005


# EDF


@pytest.mark.parametrize("style", ["{}", "ECG {}", "EKG {}", "Lead {}"])
def test_edf_leads_by_label(style: str) -> None:
    labels = [style.format(lead) for lead in reversed(LEADS)]
    record = read(edf(UV[::-1], labels))
    np.testing.assert_allclose(record.signal_mv, MV, atol=1e-6)


def test_edf_as_edfio_reads_it() -> None:
    rng = np.random.default_rng(3)
    signals = [
        edfio.EdfSignal(rng.normal(0, 400, 5000), 500, label=f"ECG {lead}", physical_dimension="uV") for lead in LEADS
    ]
    data = edfio.Edf(signals).to_bytes()
    oracle = edfio.read_edf(BytesIO(data))
    record = read(data)
    for lead in LEADS:
        np.testing.assert_allclose(record.lead(lead), oracle.get_signal(f"ECG {lead}").data * 1e-3, atol=1e-6)


def test_edf_plus_facts_annotations_and_other_channels() -> None:
    facts: dict[str, Any] = {
        "patient": edfio.Patient(name="Erika_Muster", code="SECRET-4711", birthdate=date(1951, 12, 24), sex="F"),
        "recording": edfio.Recording(startdate=date(2021, 12, 24), equipment_code="CART_7"),
        "annotations": [edfio.EdfAnnotation(0.5, None, "artefact")],
    }
    other = counts_uv(n_leads=1)
    record = read(edf(np.vstack([UV, other]), [*LEADS, "Resp"], **facts))
    assert (record.source.format, record.source.device) == ("EDF+", "CART 7")
    assert record.source.age_years == pytest.approx(70, abs=0.01)
    assert record.source.notes == ("channel 'Resp' is not a standard lead and was left out",)
    assert "Muster" not in repr(record.source)


@pytest.mark.parametrize("startdate", [None, date(1985, 1, 1), date(2021, 12, 24)])
def test_edf_plus_unknown_date_is_no_date(startdate: date | None) -> None:
    facts: dict[str, Any] = {
        "patient": edfio.Patient(birthdate=date(1951, 12, 24)),
        "recording": edfio.Recording(startdate=startdate),
        "annotations": [edfio.EdfAnnotation(0.5, None, "artefact")],
    }
    source = read(edf(UV, **facts)).source
    assert source.format == "EDF+"
    assert (source.acquired_at and source.acquired_at.date()) == startdate
    assert (source.age_years is None) == (startdate is None)


def test_edf_without_a_startdate_the_first_day_of_1985_is_no_date() -> None:
    plain = bytearray(edf(UV))
    plain[192:197], plain[88:168] = b" " * 5, b" " * 80
    for stated, found in ((b"01.01.85", None), (b"02.01.85", datetime(1985, 1, 2))):
        plain[168:184] = stated + b"00.00.00"
        assert read(bytes(plain)).source.acquired_at == found


def test_edf_another_rate_elsewhere_is_nobodys_concern() -> None:
    lead = edfio.EdfSignal(UV[1] * 1.0, 500, label="ECG II", physical_dimension="uV")
    slow = edfio.EdfSignal(np.zeros(2), 1, label="SpO2", physical_dimension="%")
    assert read(edfio.Edf([slow, lead]).to_bytes()).fs_hz == 500


def _patched(offset: int, field: str, data: bytes = edf(UV)) -> bytes:
    return data[:offset] + field.encode().ljust(8)[:8] + data[offset + 8 :]


N = len(LEADS)
PHYSICAL, DIGITAL, PER_RECORD = 256 + N * 104, 256 + N * 120, 256 + N * 216

EDF_HOSTILE: dict[str, tuple[bytes, type[errors.EcgError]]] = {
    "interrupted": (_patched(192, "EDF+D"), errors.UnreadableRecord),
    "a record too many": (_patched(236, "3"), errors.TruncatedFile),
    "99999999 records": (_patched(236, "99999999"), errors.TruncatedFile),
    "no records": (_patched(236, "0"), errors.NoSamples),
    "half a record": (_patched(236, "0.5"), errors.MalformedHeader),
    "-7 records": (_patched(236, "-7"), errors.TruncatedFile),
    "records of 0 s": (_patched(244, "0"), errors.InvalidSamplingRate),
    "records of -1 s": (_patched(244, "-1"), errors.InvalidSamplingRate),
    "records of nan s": (_patched(244, "nan"), errors.MalformedHeader),
    "records of 1 us": (_patched(244, "1e-6"), errors.InvalidSamplingRate),
    "an empty physical range": (_patched(PHYSICAL, "32000"), errors.MalformedHeader),
    "an infinite physical range": (_patched(PHYSICAL, "1e400"), errors.MalformedHeader),
    "an empty digital range": (_patched(DIGITAL, "32000"), errors.MalformedHeader),
    "no samples in a record": (_patched(PER_RECORD, "0"), errors.MalformedHeader),
    "99999999 samples in a record": (_patched(PER_RECORD, "99999999"), errors.MalformedHeader),
    "another rate": (_patched(PER_RECORD, "10"), errors.MalformedHeader),
    "no voltage": (edf(UV, unit="mmHg"), errors.MalformedHeader),
    "no unit": (edf(UV, unit=""), errors.MalformedHeader),
    "no lead": (edf(UV, [f"EEG {n}" for n in range(12)]), errors.MissingLeads),
    "one lead twice": (edf(UV, ["II"] * 12), errors.MalformedHeader),
    "cut header": (edf(UV)[:600], errors.TruncatedFile),
    "cut samples": (edf(UV)[:-1], errors.TruncatedFile),
    "65 signals": (_patched(184, "16896", edf(UV)[:252] + b"65  " + edf(UV)[256:]), errors.RecordTooLarge),
}


@pytest.mark.parametrize("name", EDF_HOSTILE)
def test_edf_that_lies_is_refused_by_name(name: str) -> None:
    data, error = EDF_HOSTILE[name]
    with pytest.raises(errors.EcgError) as caught:
        read(data)
    assert caught.type is error, caught.value


def test_edf_of_unstated_length_holds_what_it_holds_and_of_no_unit_is_told_one() -> None:
    np.testing.assert_allclose(read(_patched(236, "-1")).signal_mv, MV, atol=1e-6)
    np.testing.assert_allclose(read(edf(UV, unit=""), units="uV").signal_mv, MV, atol=1e-6)


# ISHNE


def test_ishne_agrees_with_ecgdatakit(tmp_path: Path) -> None:
    data = ishne(UV[::-1], codes=range(16, 4, -1), nv=2500)
    (tmp_path / "a.ecg").write_bytes(data)
    record = read(data)
    assert (record.leads, record.fs_hz, record.source.notes) == (LEADS, FS_HZ, ())
    for lead in ISHNEHolterParser().parse(tmp_path / "a.ecg").leads:
        np.testing.assert_allclose(record.lead(lead.label), lead.samples * lead.resolution * 1e-3, atol=1e-6)


def test_ishne_facts_are_kept_and_the_patient_is_not() -> None:
    source = read(ishne(UV)).source
    assert source.age_years == pytest.approx(70.65, abs=0.01)
    assert source.acquired_at == datetime(2021, 12, 24, 10, 30, 5)
    assert "Muster" not in repr(source)


@pytest.mark.parametrize(("declared", "notes"), [(1000, 0), (12_000, 0), (900, 1)])
def test_ishne_lengths_as_writers_count_them(declared: int, notes: int) -> None:
    record = read(ishne(UV, declared=declared))
    assert record.signal_mv.shape == (12, 1000)
    assert len(record.source.notes) == notes


def _starting_at(stated: int, gap: int = 0) -> bytes:
    """A file with text up to byte 529, ``gap`` bytes behind it and the samples then; byte 22 states another start."""
    data = ishne(UV)
    return data[:22] + struct.pack("<i", stated) + data[26:529] + bytes(gap) + data[529:]


@pytest.mark.parametrize(("stated", "gap"), [(529, 0), (0, 0), (-9, 0), (553, 24), (532, 3)])
def test_ishne_samples_start_where_the_header_says(stated: int, gap: int) -> None:
    np.testing.assert_allclose(read(_starting_at(stated, gap)).signal_mv, MV, atol=1e-6)


@pytest.mark.parametrize(("stated", "gap"), [(522, 0), (553, 0), (553, 48), (2**31 - 1, 0), (30, 0)])
def test_ishne_starts_that_disagree_are_refused(stated: int, gap: int) -> None:
    with pytest.raises(errors.MalformedHeader, match=f"byte {stated}"):
        read(_starting_at(stated, gap))


def test_ishne_checksums() -> None:
    right = int.from_bytes(ishne(UV)[8:10], "little")
    for checksum in (0, right, int.from_bytes(right.to_bytes(2, "little"), "big")):
        assert read(ishne(UV, checksum=checksum)).source.notes == ()
    assert "checksum" in read(ishne(UV, checksum=right ^ 1)).source.notes[0]


def test_ishne_other_leads_are_left_out_and_a_lead_fault_is_no_sample() -> None:
    record = read(ishne(UV[:3], codes=[5, 6, 2]))
    assert record.leads_derived == ("III", "aVR", "aVL", "aVF")
    assert "'ISHNE lead 2'" in record.source.notes[0]
    counts = UV.copy()
    counts[7, 4] = -32768
    with pytest.raises(errors.NonFiniteSamples, match="V2"):
        read(ishne(counts))


ISHNE_HOSTILE: dict[str, tuple[bytes, type[errors.EcgError]]] = {
    "no header": (ishne(UV)[:500], errors.TruncatedFile),
    "no samples": (ishne(UV[:, :0]), errors.NoSamples),
    "cut samples": (ishne(UV)[:-1], errors.TruncatedFile),
    "more samples than there are": (ishne(UV, declared=1001), errors.TruncatedFile),
    "a rate of 0": (ishne(UV, fs_hz=0), errors.InvalidSamplingRate),
    "a rate of -500": (ishne(UV, fs_hz=-500), errors.InvalidSamplingRate),
    "a resolution of 0": (ishne(UV, nv=0), errors.MalformedHeader),
    "one lead twice": (ishne(UV, codes=[5] * 12), errors.MalformedHeader),
    "no lead": (ishne(UV, codes=[2] * 12), errors.MissingLeads),
    "text of 2 GB": (ishne(UV)[:10] + struct.pack("<i", 2**31 - 1) + ishne(UV)[14:], errors.MalformedHeader),
    "text of -600 bytes": (ishne(UV)[:10] + struct.pack("<i", -600) + ishne(UV)[14:], errors.MalformedHeader),
    "no leads": (ishne(UV)[:156] + struct.pack("<h", 0) + ishne(UV)[158:], errors.MalformedHeader),
    "13 leads": (ishne(UV)[:156] + struct.pack("<h", 13) + ishne(UV)[158:], errors.MalformedHeader),
}


@pytest.mark.parametrize("name", ISHNE_HOSTILE)
def test_ishne_that_lies_is_refused_by_name(name: str) -> None:
    data, error = ISHNE_HOSTILE[name]
    with pytest.raises(errors.EcgError) as caught:
        read(data)
    assert caught.type is error, caught.value
