"""WFDB: every storage format as the wfdb package writes it, and headers that lie."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from ecg_ka import errors
from ecg_ka.readers import read
from tests.ecg_ka import writers
from tests.ecg_ka.writers import LEADS, counts_uv, header, wfdb_pair

LSB_MV = 1e-3
_RANGE = {"80": 120, "310": 500, "311": 500, "212": 2000, "508": 120}


@pytest.mark.parametrize("storage", ["16", "24", "32", "80", "212", "508", "516", "524"])
@pytest.mark.parametrize(("n_leads", "n"), [(12, 1000), (1, 1001), (5, 1003)])
def test_what_the_wfdb_package_writes_comes_back(tmp_path: Path, storage: str, n_leads: int, n: int) -> None:
    counts = np.clip(counts_uv(n, n_leads), -_RANGE.get(storage, 3000), _RANGE.get(storage, 3000))
    record = read(writers.wfdb_written(tmp_path / "w", counts, storage))
    assert record.fs_hz == 500
    assert record.source.notes == ()
    assert record.signal_mv.shape[1] == n
    for lead, row in zip(LEADS, counts, strict=False):
        np.testing.assert_allclose(record.lead(lead), row * LSB_MV, atol=LSB_MV * 1e-3)


@pytest.mark.parametrize("storage", ["61", "160", "310", "311"])
@pytest.mark.parametrize(("n_leads", "n"), [(12, 1000), (1, 1001), (5, 1003), (2, 1000)])
def test_what_the_wfdb_package_only_reads_comes_back(storage: str, n_leads: int, n: int) -> None:
    counts = np.clip(counts_uv(n, n_leads), -_RANGE.get(storage, 3000), _RANGE.get(storage, 3000))
    data = writers.wfdb_stored(counts, storage)
    record = read({"a.hea": header(LEADS[:n_leads], record=f"a {n_leads} 500 {n}", storage=storage), "a.dat": data})
    for lead, row in zip(LEADS, counts, strict=False):
        np.testing.assert_allclose(record.lead(lead), row * LSB_MV, atol=LSB_MV * 1e-3)


def test_format_8_adds_up_from_the_initial_value() -> None:
    counts = np.cumsum(np.clip(counts_uv(400), -100, 100), axis=1)
    steps = np.diff(counts, axis=1, prepend=counts[:, :1]).astype("i1")
    lines = [f"a.dat 8 1000/mV 12 0 {row[0]} 0 0 {lead}" for row, lead in zip(counts, LEADS, strict=True)]
    text = "\n".join(["a 12 500 400", *lines]).encode()
    record = read({"a.hea": text, "a.dat": steps.T.tobytes()})
    np.testing.assert_allclose(record.signal_mv, counts * LSB_MV, atol=LSB_MV * 1e-3)


@pytest.mark.parametrize(
    ("gain", "rest", "mv"),
    [
        ("1000/mV", "16 0 0 0 0", lambda x: x / 1000),
        ("200(100)/mV", "16 0 0 0 0", lambda x: (x - 100) / 200),
        ("200/mV", "16 1024 0 0 0", lambda x: (x - 1024) / 200),
        ("1.5e0/uV", "16 0 0 0 0", lambda x: x / 1.5 / 1000),
        ("1/µV", "16 0 0 0 0", lambda x: x / 1000),
        ("1000000(-3)/V", "16 0 0 0 0", lambda x: (x + 3) / 1000),
        ("4880.", "16 0 0 0 0", lambda x: x / 4880),
    ],
)
def test_gain_baseline_and_unit_are_taken_as_stated(gain: str, rest: str, mv: object) -> None:
    assert callable(mv)
    counts = counts_uv()
    record = read(wfdb_pair(counts, gain=gain, rest=rest))
    np.testing.assert_allclose(record.signal_mv, mv(counts.astype(float)), rtol=1e-6, atol=1e-9)
    assert record.source.units_assumed == ("/" not in gain)


def test_a_dot_in_the_record_name_and_a_dialect_date() -> None:
    counts = counts_uv()
    padded = {"E1.mat": b"x" * 24 + counts.T.astype("<i2").tobytes()}
    text = header(record="E1.mat 12 500 1000 05-May-2020 14:50:55", file="E1.mat", storage="16+24", comments="#Age: 76")
    record = read({"E1.hea": text} | padded)
    np.testing.assert_allclose(record.signal_mv, counts * LSB_MV, atol=1e-6)
    assert record.source.age_years == 76
    assert record.source.acquired_at is None


@pytest.mark.parametrize(
    ("comment", "age"),
    [("#Age: 56", 56), ("# age: 81", 81), ("#<age>: 49 <sex>: M", 49), ("#Age: NaN", None), ("#age: 300", None)],
)
def test_age(comment: str, age: float | None) -> None:
    source = read(wfdb_pair(counts_uv(), comments=comment)).source
    assert source.age_years == age
    assert any("age" in note for note in source.notes) == (comment == "#age: 300")


def test_date_in_the_way_of_the_standard() -> None:
    record = read(wfdb_pair(counts_uv(), record="a 12 500 1000 17:27:45 15/08/1994"))
    assert record.source.acquired_at == datetime(1994, 8, 15, 17, 27, 45)


def test_length_that_is_not_stated_is_that_of_the_file() -> None:
    for record in ("a 12 500", "a 12 500 0"):
        assert read(wfdb_pair(counts_uv(700), record=record)).signal_mv.shape == (12, 700)


def test_leads_are_mapped_by_name_in_whatever_order_and_spelling() -> None:
    names = [name.upper() for name in reversed(LEADS)]
    record = read(wfdb_pair(counts_uv(), leads=names))
    np.testing.assert_allclose(record.signal_mv, counts_uv()[::-1] * LSB_MV, atol=1e-6)


def test_an_inverted_lead_is_not_the_lead() -> None:
    record = read(wfdb_pair(counts_uv(n_leads=2), leads=["V1", "-aVR"]))
    assert record.leads == ("V1",)
    assert "-aVR" in record.source.notes[0]


def test_several_samples_in_a_frame_raise_the_rate() -> None:
    counts = counts_uv(n_leads=2)
    frames = np.stack([counts[0].reshape(-1, 4), counts[1].reshape(-1, 4)], axis=1).astype("<i2")  # (F, 2, 4)
    text = header(("I", "II"), record="a 2 125 250", storage="16x4")
    record = read({"a.hea": text, "a.dat": frames.tobytes()})
    assert record.fs_hz == 500
    np.testing.assert_allclose(record.signal_mv[:2], counts * LSB_MV, atol=1e-6)


def test_skewed_signals_are_shifted_and_cut() -> None:
    counts = counts_uv(n_leads=2)
    text = b"a 2 500 1000\na.dat 16 1000/mV 16 0 0 0 0 V1\na.dat 16:5 1000/mV 16 0 0 0 0 V2\n"
    record = read({"a.hea": text, "a.dat": counts.T.astype("<i2").tobytes()})
    np.testing.assert_allclose(record.lead("V1"), counts[0, :-5] * LSB_MV, atol=1e-6)
    np.testing.assert_allclose(record.lead("V2"), counts[1, 5:] * LSB_MV, atol=1e-6)


def test_a_file_of_other_channels_may_be_absent_and_a_file_of_leads_may_not() -> None:
    text = b"a 2 500 1000\na.dat 16 1000/mV 16 0 0 0 0 II\na.xyz 16 1000/mV 16 0 0 0 0 vx\n"
    samples = counts_uv(n_leads=1).T.astype("<i2").tobytes()
    record = read({"a.hea": text, "a.dat": samples})
    assert record.leads == ("II",)
    assert "'vx'" in record.source.notes[0]
    with pytest.raises(errors.ForeignReference, match=r"'a\.dat'"):
        read({"a.hea": text, "a.xyz": samples})


def test_a_checksum_that_differs_is_told_and_another_records_samples_are_refused() -> None:
    counts = counts_uv()
    lines = [
        f"a.dat 16 1000/mV 16 0 {row[0]} {int(row.sum()) % 65536} 0 {x}" for row, x in zip(counts, LEADS, strict=True)
    ]
    text = "\n".join(["a 12 500 1000", *lines]).encode()
    assert read({"a.hea": text, "a.dat": counts.T.astype("<i2").tobytes()}).source.notes == ()
    counts[1, 500] += 1
    altered = read({"a.hea": text, "a.dat": counts.T.astype("<i2").tobytes()})
    assert altered.source.notes == ("the checksum in the WFDB header does not match the samples of II",)
    with pytest.raises(errors.MalformedHeader, match="checksum"):
        read({"a.hea": text, "a.dat": (counts_uv(seed=8) + 1).T.astype("<i2").tobytes()})


def test_a_checksum_and_a_first_sample_of_0_are_placeholders() -> None:
    assert read(wfdb_pair(counts_uv(), rest="16 0 0 0 0")).source.notes == ()
    assert "checksum" in read(wfdb_pair(counts_uv(), rest="16 0 5 0 0")).source.notes[0]


def test_the_marker_of_a_missing_sample_is_not_a_sample() -> None:
    counts = counts_uv()
    counts[3, 77] = -32768
    with pytest.raises(errors.NonFiniteSamples, match="aVR"):
        read(wfdb_pair(counts))


HOSTILE: dict[str, tuple[dict[str, str], type[errors.EcgError]]] = {
    "a missing file": ({"file": "b.dat"}, errors.ForeignReference),
    "the header itself": ({"file": "a.hea"}, errors.ForeignReference),
    "the folder above": ({"file": "../a.dat"}, errors.ForeignReference),
    "an absolute path": ({"file": "/etc/passwd"}, errors.ForeignReference),
    "a windows path": ({"file": "C:\\a.dat"}, errors.ForeignReference),
    "a URL": ({"file": "http://localhost/a.dat"}, errors.ForeignReference),
    "standard input": ({"file": "-"}, errors.ForeignReference),
    "no file": ({"file": "~"}, errors.ForeignReference),
    "a hidden file": ({"file": ".a"}, errors.ForeignReference),
    "length 1e12": ({"record": "a 12 500 1000000000000"}, errors.RecordTooLarge),
    "length of 400 digits": ({"record": "a 12 500 " + "9" * 400}, errors.RecordTooLarge),
    "length of 5000 digits": ({"record": "a 12 500 " + "9" * 5000}, errors.MalformedHeader),
    "negative length": ({"record": "a 12 500 -1000"}, errors.MalformedHeader),
    "length too long by one": ({"record": "a 12 500 1001"}, errors.TruncatedFile),
    "two hours": ({"record": "a 12 500 3600000"}, errors.RecordTooLarge),
    "a rate of 0": ({"record": "a 12 0 1000"}, errors.InvalidSamplingRate),
    "a negative rate": ({"record": "a 12 -500 1000"}, errors.InvalidSamplingRate),
    "a rate of nan": ({"record": "a 12 nan 1000"}, errors.InvalidSamplingRate),
    "a rate of 1e400": ({"record": "a 12 1e400 1000"}, errors.InvalidSamplingRate),
    "a rate of 10 Hz": ({"record": "a 12 10 1000"}, errors.InvalidSamplingRate),
    "no rate": ({"record": "a 12"}, errors.InvalidSamplingRate),
    "no signals": ({"record": "a 0 500 1000"}, errors.NoSamples),
    "a million signals": ({"record": "a 1000000 500 1000"}, errors.RecordTooLarge),
    "more signals than lines": ({"record": "a 13 500 1000"}, errors.MalformedHeader),
    "several segments": ({"record": "a/2 12 500 1000"}, errors.MalformedHeader),
    "samples per frame 1e9": ({"storage": "16x1000000000"}, errors.RecordTooLarge),
    "samples per frame 0": ({"storage": "16x0"}, errors.MalformedHeader),
    "samples per frame for more memory than bytes": ({"storage": "16x10000"}, errors.RecordTooLarge),
    "a skew of 1e10": ({"storage": "16:10000000000"}, errors.MalformedHeader),
    "a skew past the end": ({"storage": "16:1000"}, errors.MalformedHeader),
    "an offset past the end": ({"storage": "16+1000000"}, errors.TruncatedFile),
    "an offset of 1e18": ({"storage": "16+1000000000000000000"}, errors.MalformedHeader),
    "an unknown format": ({"storage": "17"}, errors.MalformedHeader),
    "no FLAC behind format 516": ({"storage": "516"}, errors.UnreadableRecord),
    "a gain of 0": ({"gain": "0/mV"}, errors.MalformedHeader),
    "a negative gain": ({"gain": "-200/mV"}, errors.MalformedHeader),
    "a gain of 1e400": ({"gain": "1e400/mV"}, errors.MalformedHeader),
    "a gain of 1e-300": ({"gain": "1e-300/mV"}, errors.MalformedHeader),
    "a gain of nan": ({"gain": "nan/mV"}, errors.MalformedHeader),
    "a gain of inf": ({"gain": "inf/mV"}, errors.MalformedHeader),
    "a baseline of 1e30": ({"gain": "200(1" + "0" * 30 + ")/mV"}, errors.MalformedHeader),
    "no voltage": ({"gain": "200/mmHg"}, errors.MalformedHeader),
    "other digits": ({"record": "a 12 \u0665\u0660\u0660 1000"}, errors.InvalidSamplingRate),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_header_that_lies_is_refused_by_name(name: str) -> None:
    fields, error = HOSTILE[name]
    with pytest.raises(errors.EcgError) as caught:
        read(wfdb_pair(counts_uv(), **fields))
    assert caught.type is error, caught.value


@pytest.mark.parametrize("name", ["../a.dat", "/a.dat", "x/a.dat", "C:\\a.dat", "http://h/a.dat", "-", "~", ".a", ".."])
def test_only_plain_names_are_looked_for_even_among_the_files_given(name: str) -> None:
    with pytest.raises(errors.ForeignReference, match="leads elsewhere"):
        read(wfdb_pair(counts_uv(), file=name))


def test_no_gain_is_no_amplitude() -> None:
    with pytest.raises(errors.MalformedHeader, match="gain"):
        read({"a.hea": b"a 1 500 1000\na.dat 16\n", "a.dat": bytes(2000)})


def test_no_samples_and_cut_samples() -> None:
    pair = wfdb_pair(counts_uv())
    with pytest.raises(errors.TruncatedFile, match="23999"):
        read(pair | {"a.dat": pair["a.dat"][:-1]})
    with pytest.raises(errors.TruncatedFile):
        read(pair | {"a.dat": b""})
    with pytest.raises(errors.NoSamples):
        read({"a.hea": header(record="a 12 500"), "a.dat": b""})


def test_a_cut_compressed_file(tmp_path: Path) -> None:
    files = dict(writers.wfdb_written(tmp_path / "w", counts_uv(5000, 4), "516"))
    (signals,) = set(files) - {"rec.hea"}
    for kept in (0, 3, 100, len(files[signals]) // 2, len(files[signals]) - 100):
        with pytest.raises(errors.UnreadableRecord):
            read(files | {signals: files[signals][:kept]})


def test_leads_at_different_rates_are_refused() -> None:
    text = b"a 2 500 100\na.dat 16x2 1000/mV 16 0 0 0 0 I\na.dat 16 1000/mV 16 0 0 0 0 II\n"
    with pytest.raises(errors.MalformedHeader, match="rate"):
        read({"a.hea": text, "a.dat": bytes(600)})


def test_one_identity_for_header_and_samples(tmp_path: Path) -> None:
    pair = wfdb_pair(counts_uv())
    (tmp_path / "x.hea").write_bytes(pair["a.hea"])
    (tmp_path / "a.dat").write_bytes(pair["a.dat"])
    one = read(pair).source.sha256
    assert read(tmp_path / "x.hea").source.sha256 == one
    assert read(writers.zipped({"folder/a.hea": pair["a.hea"], "folder/a.dat": pair["a.dat"]})).source.sha256 == one
    assert read(wfdb_pair(counts_uv(), gain="1001/mV")).source.sha256 != one
