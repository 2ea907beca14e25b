"""CSV, .npy and JSON: tables of numbers that state their facts or are told them."""

from __future__ import annotations

import numpy as np
import pytest

from ecg_ka import errors
from ecg_ka.readers import read
from tests.ecg_ka.writers import LEADS, counts_uv, csv, json_text, npy

UV = counts_uv()
MV = UV * 1e-3
EIGHT = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("time", ["time", "time_s", "t", "Time (ms)", "time_ms"])
def test_csv_with_a_time_column(separator: str, time: str) -> None:
    record = read(csv(MV, separator=separator, time=time))
    assert record.fs_hz == 500
    assert record.leads == LEADS
    np.testing.assert_allclose(record.signal_mv, MV, atol=1e-6)


@pytest.mark.parametrize(
    ("style", "scale"), [("{}_uV", 1), ("{} (uV)", 1), ("{} [µV]", 1), ("{}_mV", 1e-3), ("{} (V)", 1e-6)]
)
def test_csv_units_in_the_header_line(style: str, scale: float) -> None:
    record = read(csv(UV * scale, [style.format(lead) for lead in LEADS]), fs_hz=500)
    np.testing.assert_allclose(record.signal_mv, MV, atol=1e-6)
    assert not record.source.units_assumed


def test_csv_decimal_commas_quotes_and_other_columns() -> None:
    text = csv(np.vstack([MV, np.arange(MV.shape[1])]), [f'"{lead}"' for lead in LEADS] + ["marker"], ";")
    record = read(text.replace(b".", b","), fs_hz=500)
    np.testing.assert_allclose(record.signal_mv, MV, atol=1e-6)
    assert "'marker'" in record.source.notes[0]


def test_csv_one_lead_with_windows_line_ends_and_byte_order_mark() -> None:
    text = b"\xef\xbb\xbf" + csv(MV[1:2], ["II"]).replace(b"\n", b"\r\n")
    assert read(text, fs_hz=500).leads == ("II",)


def test_csv_time_rounded_to_milliseconds_still_gives_the_rate() -> None:
    lines = ["t,II"] + [f"{n / 360:.3f},0.{n % 10}" for n in range(3600)]
    assert read("\n".join(lines).encode()).fs_hz == 360


@pytest.mark.parametrize("fs_hz", [976.5625, 512.3, 128.1, 250.0, 1000.0])
@pytest.mark.parametrize("start_s", [0.0, 1_600_000_000.0])
def test_csv_rates_are_as_exact_as_the_times(fs_hz: float, start_s: float) -> None:
    lines = ["t,II"] + [f"{start_s + n / fs_hz:.6f},0.{n % 10}" for n in range(round(6 * fs_hz))]
    assert read("\n".join(lines).encode()).fs_hz == pytest.approx(fs_hz, rel=1e-6)


@pytest.mark.parametrize(("fs_hz", "decimals"), [(500, 3), (500, 4), (360, 4), (1000, 3), (977, 6)])
@pytest.mark.parametrize("missing", [600, 2400])
def test_csv_one_missing_sample_is_noticed(fs_hz: float, decimals: int, missing: int) -> None:
    lines = ["t,II"] + [f"{n / fs_hz:.{decimals}f},0.{n % 10}" for n in range(3000) if n != missing]
    with pytest.raises(errors.InvalidSamplingRate, match="evenly"):
        read("\n".join(lines).encode())


@pytest.mark.parametrize(
    "text",
    [
        b"I,II\n1,0.1,0.2\n2,0.3,0.4\n",  # names of rows: every lead would be the one before it
        b"I,II\n0,123,-0,045\n0,120,-0,040\n",  # decimal commas between commas
        b"I,II\n0.1,0.2\n0.1,0.2,0.3\n0.1,0.2\n",
        b"I,II\n" + b"1," * 400_000 + b"1\n",
    ],
)
def test_csv_with_more_cells_than_names_is_refused(text: bytes) -> None:
    with pytest.raises(errors.UnreadableRecord, match="cells"):
        read(text, fs_hz=500)


def test_csv_never_repeats_what_stands_in_a_cell() -> None:
    with pytest.raises(errors.UnreadableRecord, match=r"line 3, column 2") as caught:
        read(b"II,V1\n0.1,0.2\n0.1,Erika Muster 1950\n", fs_hz=500)
    assert "Muster" not in str(caught.value)


def test_csv_with_a_gap_in_its_times_is_refused() -> None:
    lines = ["t,II"] + [f"{n / 500 + (0.1 if n > 600 else 0):.3f},0.{n % 10}" for n in range(1000)]
    with pytest.raises(errors.InvalidSamplingRate, match="evenly"):
        read("\n".join(lines).encode())


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"II,V1\n", errors.NoSamples),
        (b"II,V1\n0.1,0.2\n0.1", errors.TruncatedFile),
        (b"II,V1\n0.1,x\n0.1,0.2\n", errors.UnreadableRecord),
        (b"II,V1\n0.1,\n0.1,0.2\n", errors.UnreadableRecord),
        (b"II,V1\n0.1,nan\n0.1,0.2\n", errors.NonFiniteSamples),
        (b"II,V1\n0.1,1e39\n0.1,0.2\n", errors.NonFiniteSamples),
        (b"II_mV,V1_uV\n0.1,1\n0.1,0.2\n", errors.MalformedHeader),
        (b"II_mV,V1\n0.1,1\n0.1,0.2\n", errors.MalformedHeader),
        (b"II,II\n0.1,1.5\n0.1,0.2\n", errors.MalformedHeader),
        (b"II,V1\n100,200\n300,400\n", errors.MalformedHeader),
        (b"t,II\n0,0.1\n0,0.2\n", errors.InvalidSamplingRate),
        (b"t,II\n0,0.1\n0.002,0.2\n0.004,0.1\n9,0.1\n", errors.InvalidSamplingRate),
        (b"t;II\n0,0;1.2\n0,002;0.2\n", errors.UnreadableRecord),
        (b"II" + b",x" * 100 + b"\n0.1" + b",1" * 100, errors.RecordTooLarge),
        (b"1,2,3\n4,5,6\n", errors.UnknownFormat),
    ],
)
def test_csv_refused(text: bytes, error: type[errors.EcgError]) -> None:
    fs_hz = None if text.startswith(b"t") else 500
    with pytest.raises(errors.EcgError) as caught:
        read(text, fs_hz=fs_hz)
    assert caught.type is error, caught.value


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8"])
@pytest.mark.parametrize("transposed", [False, True])
def test_npy_both_ways_round(dtype: str, transposed: bool) -> None:
    table = MV.astype(dtype)
    record = read(npy(table.T if transposed else table), fs_hz=500)
    np.testing.assert_allclose(record.signal_mv, MV, atol=1e-6)
    assert record.source.units_assumed
    assert len(record.source.notes) == 2  # the order of the leads, and the unit


def test_npy_of_microvolts_of_eight_leads_and_of_named_leads() -> None:
    record = read(npy(np.asfortranarray(UV[:8])), fs_hz=500, units="uV")
    assert record.leads == LEADS
    assert record.leads_derived == ("III", "aVR", "aVL", "aVF")
    np.testing.assert_allclose(record.lead("V1"), MV[2], atol=1e-6)
    assert read(npy(UV[:2]), fs_hz=500, units="uV", leads=["V2", "V1"]).leads == ("V1", "V2")
    np.testing.assert_allclose(read(npy(MV[0]), fs_hz=500, leads=["II"]).signal_mv, MV[:1], atol=1e-6)


ORDERS = {
    "aVF before aVL": [0, 1, 2, 3, 5, 4],
    "II before I": [1, 0, 2, 3, 4, 5],
    "Cabrera": [4, 0, 3, 1, 5, 2],
    "chest leads first": [6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5],
}


@pytest.mark.parametrize("name", ORDERS)
def test_twelve_unnamed_leads_in_another_order_are_refused(name: str) -> None:
    order = ORDERS[name] + [row for row in range(12) if row not in ORDERS[name]]
    table = MV[order] + 3.0  # an offset says nothing about the order
    for data in (npy(table), npy(table.T), json_text(table, leads=None)):
        with pytest.raises(errors.MalformedHeader, match="Pass leads"):
            read(data, fs_hz=500)
    assert read(npy(table), fs_hz=500, leads=[LEADS[row] for row in order]).leads == LEADS
    assert read(npy(MV + 3.0), fs_hz=500).leads == LEADS


def _npy_header(shape: str, dtype: str = "'<f4'", body: bytes = b"") -> bytes:
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (npy(MV)[:-1], errors.TruncatedFile),
        (npy(MV)[:20], errors.MalformedHeader),
        (npy(np.zeros((12, 0))), errors.NoSamples),
        (npy(np.full((12, 9), np.nan)), errors.NonFiniteSamples),
        (npy(np.zeros((3, 900))), errors.MissingLeads),
        (npy(np.zeros((900,))), errors.MissingLeads),
        (npy(np.zeros((2, 12, 9))), errors.MalformedHeader),
        (npy(np.zeros((12, 9), complex)), errors.MalformedHeader),
        (npy(np.array([["a"] * 12])), errors.MalformedHeader),
        (npy(UV), errors.MalformedHeader),
        (_npy_header("(12, 1000000000000)"), errors.RecordTooLarge),
        (_npy_header("(12, -5)"), errors.MalformedHeader),
        (_npy_header("(12, 5)", "'|O'", bytes(480)), errors.MalformedHeader),
        (_npy_header("(12, 5)", "[('a', '<f4')]", bytes(480)), errors.MalformedHeader),
        (_npy_header("(" * 4000), errors.MalformedHeader),
    ],
)
def test_npy_refused(data: bytes, error: type[errors.EcgError]) -> None:
    with pytest.raises(errors.EcgError) as caught:
        read(data, fs_hz=500)
    assert caught.type is error, caught.value


def test_json_in_both_units() -> None:
    for data in (json_text(MV), json_text(MV, signal_mv=None, signal_uv=UV.tolist()), b" \n" + json_text(MV)):
        record = read(data)
        assert (record.leads, record.fs_hz, record.source.units_assumed) == (LEADS, 500, False)
        np.testing.assert_allclose(record.signal_mv, MV, atol=1e-6)
    assert read(json_text(MV, age_years=63)).source.age_years == 63
    odd = read(json_text(MV, age_years="about 60")).source
    assert odd.age_years is None
    assert "age" in odd.notes[0]


def test_a_colon_in_a_text_changes_nothing() -> None:
    plain, odd = (read(json_text(MV, age_years=age)) for age in ("about 60", "about: 60"))
    np.testing.assert_array_equal(odd.signal_mv, plain.signal_mv)
    assert (odd.leads, odd.fs_hz, odd.source.notes) == (plain.leads, plain.fs_hz, plain.source.notes)


def test_json_without_names_or_rate_takes_them_from_the_caller() -> None:
    record = read(json_text(MV[:2], leads=None, fs_hz=None), fs_hz=500, leads=["V5", "V6"])
    assert record.leads == ("V5", "V6")
    assert read(json_text(MV[:8], leads=None)).leads == LEADS


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (json_text(MV)[:-1], errors.TruncatedFile),
        (b"{]", errors.UnreadableRecord),
        (b'{"a":' * 100_000, errors.UnreadableRecord),
        (json_text(MV, fs_hz=0), errors.InvalidSamplingRate),
        (json_text(MV, fs_hz="500"), errors.InvalidSamplingRate),
        (json_text(MV, fs_hz="\ud800\x1b[2J\n"), errors.InvalidSamplingRate),
        (json_text(MV, fs_hz=True), errors.InvalidSamplingRate),
        (json_text(MV, fs_hz=None), errors.InvalidSamplingRate),
        (json_text(MV).replace(b"{", b'{"fs_hz": 250, ', 1), errors.MalformedHeader),
        (json_text(MV).replace(b"{", b'{"\\u0066s_hz": 250, ', 1), errors.MalformedHeader),
        (json_text(MV, sampling_rate=250), errors.MalformedHeader),
        (json_text(MV, signal_uv=[[1]]), errors.MalformedHeader),
        (json_text(MV, signal_mv=None), errors.MalformedHeader),
        (json_text(MV, signal_mv=[]), errors.NoSamples),
        (json_text(MV, signal_mv=[[]] * 12), errors.NoSamples),
        (json_text(MV, signal_mv=[[1.5] * 9] * 11 + [[1.5] * 8]), errors.MissingLeads),
        (json_text(MV, signal_mv=[["1.5"] * 9] * 12), errors.UnreadableRecord),
        (json_text(MV, signal_mv=[[None] * 9] * 12), errors.UnreadableRecord),
        (json_text(MV, signal_mv=[[10**400] * 9] * 12), errors.UnreadableRecord),
        (json_text(MV, signal_mv=[[float("nan")] * 9] * 12), errors.NonFiniteSamples),
        (json_text(MV, leads="I"), errors.MalformedHeader),
        (json_text(MV, leads=["I"] * 12), errors.MalformedHeader),
        (json_text(MV, leads=["II"]), errors.MissingLeads),
        (b'{"signal_mv": [[' + b"1" * 5000 + b"]]}", errors.UnreadableRecord),
    ],
)
def test_json_refused(data: bytes, error: type[errors.EcgError]) -> None:
    with pytest.raises(errors.EcgError) as caught:
        read(data)
    assert caught.type is error, caught.value
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("data", [npy(MV), csv(MV), json_text(MV, fs_hz=None)])
def test_no_sampling_rate_is_ever_assumed(data: bytes) -> None:
    with pytest.raises(errors.InvalidSamplingRate, match="Pass fs_hz"):
        read(data)


def test_a_file_is_not_overruled() -> None:
    with pytest.raises(errors.InvalidSamplingRate, match="states 500 Hz"):
        read(csv(MV, time="t"), fs_hz=250)
    with pytest.raises(errors.MalformedHeader, match="states mV"):
        read(json_text(MV), units="uV")
    with pytest.raises(errors.MalformedHeader, match="names \\['I', 'II'\\]"):
        read(json_text(MV[:2]), leads=["V1", "V2"])
    assert read(json_text(MV), fs_hz=500, units="mV", leads=LEADS).fs_hz == 500


@pytest.mark.parametrize("fs_hz", [0.0, -1.0, float("nan"), float("inf"), 49.0, 1e6])
def test_no_impossible_rate_from_the_caller(fs_hz: float) -> None:
    with pytest.raises(errors.InvalidSamplingRate):
        read(npy(MV), fs_hz=fs_hz)


def test_no_unknown_unit_and_no_string_of_leads_from_the_caller() -> None:
    with pytest.raises(errors.MalformedHeader, match="kg"):
        read(npy(MV), fs_hz=500, units="kg")
    with pytest.raises(errors.MalformedHeader, match="leads"):
        read(npy(MV[:2]), fs_hz=500, leads="II")
