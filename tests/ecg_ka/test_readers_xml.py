"""GE MUSE, GE CardioSoft, Philips Sierra and HL7 aECG: written by the tests, read back to the last step, or refused."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from numpy.typing import NDArray

from ecg_ka import errors
from ecg_ka.readers import read
from ecg_ka.readers.aecg import _MOMENTS
from ecg_ka.readers.provenance import moment
from ecg_ka.record import LEADS
from tests.ecg_ka.writers import counts_uv
from tests.ecg_ka.xml_writers import (
    STORED_LEADS,
    aecg,
    aecg_series,
    aecg_set,
    cardiosoft,
    edited,
    limb_leads,
    muse,
    muse_waveform,
    philips,
    utf_16,
)

EIGHT = counts_uv(1000, n_leads=8)
TWELVE = limb_leads(EIGHT)
MUSE = muse(muse_waveform(EIGHT))
STRIP = cardiosoft(TWELVE)
DISCLOSURE = cardiosoft(TWELVE, full_disclosure=True)
PHILIPS = philips(TWELVE)
PHILIPS_PLAIN = philips(TWELVE[:, :999], compressed=False)
AECG = aecg(aecg_series(TWELVE))

STEPS_UV = {"muse": (MUSE, 4.88), "strip": (STRIP, 5), "disclosure": (DISCLOSURE, 5), "xli": (PHILIPS, 5)} | {
    "xli 1.03": (philips(TWELVE, version="1.03"), 5),
    "plain 1.03": (philips(TWELVE, version="1.03", compressed=False), 5),
    "plain": (philips(TWELVE, compressed=False, version="1.04.01"), 5),
    "aecg": (AECG, 2.5),
}


@pytest.mark.parametrize("name", STEPS_UV)
@pytest.mark.parametrize("encoded", [bytes, utf_16])
def test_every_sample_comes_back(name: str, encoded: type) -> None:
    data, step_uv = STEPS_UV[name]
    record = read(encoded(data))
    stored = [lead for lead in LEADS if lead not in record.leads_derived]
    assert (record.leads, record.fs_hz, record.source.units_in) == (LEADS, 500, "uV")
    assert f"samples are stored in steps of {step_uv:g} uV" in record.source.notes
    for lead in stored:
        np.testing.assert_allclose(record.lead(lead), TWELVE[LEADS.index(lead)] * step_uv * 1e-3, rtol=1e-6, atol=1e-7)


def test_muse_stores_eight_leads_and_the_other_four_follow() -> None:
    record = read(MUSE)
    assert record.leads_derived == ("III", "aVR", "aVL", "aVF")
    np.testing.assert_allclose(record.lead("III"), record.lead("II") - record.lead("I"), atol=1e-6)
    twelve = read(muse(muse_waveform(TWELVE, LEADS)))
    assert twelve.leads_derived == ()


@pytest.mark.parametrize("name", ["muse", "strip", "xli", "aecg"])
def test_what_is_kept_is_device_time_and_age_and_never_the_patient(name: str) -> None:
    source = read(STEPS_UV[name][0]).source
    assert source.device in ("MAC55", "CardioSoft V6.73", "PageWriter", "ELI250")
    assert source.acquired_at is not None
    assert source.acquired_at.replace(tzinfo=None) == datetime(2019, 3, 31, 14, 5, 6)
    assert source.age_years == 67
    assert "SECRET" not in repr(source)
    assert "Muster" not in repr(source)
    assert "1951" not in repr(source)


def test_a_zone_is_kept_where_the_file_states_one() -> None:
    zoned, plain = read(AECG).source.acquired_at, read(MUSE).source.acquired_at
    assert zoned is not None
    assert zoned.astimezone(UTC) == datetime(2019, 3, 31, 12, 5, 6, tzinfo=UTC)
    assert plain is not None
    assert plain.tzinfo is None


SCALES = {
    "muse in mV": (MUSE, {"MICROVOLTS": "MILLIVOLTS", "4.88": "0.00488"}, 4.88, "mV"),
    "muse at 250 Hz": (MUSE, {"<SampleBase>500": "<SampleBase>25", "Exponent>0": "Exponent>1"}, 4.88, "uV"),
    "strip in mV": (STRIP, {"uVperLsb": "mVperLsb", ">5<": ">0.005<"}, 5, "mV"),
    "strip at 250 Hz": (STRIP, {'Hz">500': 'Hz">250'}, 5, "uV"),
    "aecg in mV": (AECG, {'scale value="2.5" unit="uV"': 'scale value="0.0025" unit="mV"'}, 2.5, "mV"),
    "aecg in ms": (AECG, {'value="0.002" unit="s"': 'value="2" unit="ms"'}, 2.5, "uV"),
    "aecg at 300 Hz": (AECG, {'"0.002"': '"0.00333333333"'}, 2.5, "uV"),
}


@pytest.mark.parametrize("name", SCALES)
def test_units_and_rates_are_those_of_the_file(name: str) -> None:
    data, edits, step_uv, unit = SCALES[name]
    record = read(edited(data, edits))
    np.testing.assert_allclose(record.lead("V2"), TWELVE[7] * step_uv * 1e-3, rtol=1e-5, atol=1e-7)
    assert record.source.units_in == unit
    assert record.fs_hz == next((hz for hz in (250, 300) if str(hz) in name), 500)


def test_an_origin_is_added_in_its_own_unit() -> None:
    record = read(edited(AECG, {'origin value="0" unit="uV"': 'origin value="0.3" unit="mV"'}))
    np.testing.assert_allclose(record.lead("II"), TWELVE[1] * 2.5e-3 + 0.3, rtol=1e-5)


def test_the_rhythm_is_read_wherever_the_median_stands() -> None:
    median, rhythm = muse_waveform(EIGHT[:, :600] * 0, kind="Median"), muse_waveform(EIGHT)
    for waveforms in ((median, rhythm), (rhythm, median)):
        record = read(muse(*waveforms))
        assert record.duration_s == 2
        assert "the waveform Median was left out" in record.source.notes
    beat = aecg_series(TWELVE[:, :300] * 0, code="REPRESENTATIVE_BEAT")
    derived = f"<derivation><derivedSeries>{aecg_set(TWELVE[:, :300] * 0)}</derivedSeries></derivation>"
    for series in ((beat, aecg_series(TWELVE)), (aecg_series(TWELVE), beat), (aecg_series(TWELVE, more=derived),)):
        record = read(aecg(*series))
        assert record.duration_s == 2
        assert "1 other or derived series were left out" in record.source.notes


def test_leads_are_known_by_name_in_any_order() -> None:
    order = list(range(12))[::-1]
    record = read(aecg(aecg_series(TWELVE[order], [LEADS[k] for k in order])))
    np.testing.assert_allclose(record.signal_mv, read(AECG).signal_mv)
    record = read(aecg(aecg_series(TWELVE, ("X", *LEADS[1:]))))
    assert record.leads_missing == ("I",)
    assert any("'X'" in note for note in record.source.notes)


def test_the_calibration_pulse_is_taken_off() -> None:
    record = read(PHILIPS)
    assert record.signal_mv.shape == (12, 1000)
    assert record.source.notes[0] == "the last 200 samples, a calibration pulse of 1 mV, were left out"
    without = read(philips(TWELVE, pulse=0))
    assert without.source.notes[0] == "no calibration pulse was found at the end"
    assert without.signal_mv.shape == (12, 1200)


LONG = limb_leads(counts_uv(5100, n_leads=8))
STEP = np.repeat([0, 200, 0], [50, 100, 50])
SLOW = np.convolve(np.pad(STEP, 8, "edge"), np.ones(17) / 17, "valid").round().astype(np.int64)
ONE_OFF = np.where(np.arange(12)[:, None] == 4, STEP + (STEP > 0), STEP)
OFFSETS = np.arange(-60, 60, 10)[:, None]


def _with_end(end: NDArray[np.int64]) -> bytes:
    """10.2 s of ECG and 0.4 s of ``end``, which is all there is behind the leads."""
    return philips(np.concatenate([LONG, np.broadcast_to(end, (12, 200))], axis=1), tail=False)


@pytest.mark.parametrize("end", [STEP, SLOW, ONE_OFF, STEP + 7, STEP + OFFSETS, SLOW + OFFSETS])
def test_an_inexact_calibration_pulse_is_taken_off(end: NDArray[np.int64]) -> None:
    record = read(_with_end(end))
    left = record.signal_mv.shape[1]
    assert 5090 <= left <= 5100
    assert record.source.notes[0] == f"the last {5300 - left} samples, a calibration pulse of 1 mV, were left out"


@pytest.mark.parametrize("end", [-STEP, STEP[:150][::-1].repeat(2)[:200], STEP * (np.arange(12)[:, None] != 3)])
def test_an_end_that_is_like_a_pulse_and_is_none_is_refused(end: NDArray[np.int64]) -> None:
    with pytest.raises(errors.MalformedHeader, match="end alike"):
        read(_with_end(end))


def test_ten_seconds_of_ecg_and_more_hold_no_pulse() -> None:
    record = read(philips(LONG, tail=False))
    assert record.signal_mv.shape == (12, 5100)
    assert record.source.notes[0] == "no calibration pulse was found at the end"


def test_a_pulse_of_another_size_tells_that_the_resolution_is_wrong() -> None:
    with pytest.raises(errors.MalformedHeader, match="calibration pulse of 500 uV"):
        read(edited(PHILIPS, {'resolution="5"': 'resolution="2.5"', "resolution>5": "resolution>2.5"}))


def test_a_changed_sample_is_found_by_the_checksum() -> None:
    at = MUSE.index(b"<WaveFormData>") + len("<WaveFormData>") + 30
    damaged = MUSE[:at] + (b"A" if MUSE[at : at + 1] != b"A" else b"B") + MUSE[at + 1 :]
    with pytest.raises(errors.UnreadableRecord, match=r"Rhythm lead I: .*CRC-32"):
        read(damaged)
    unchecked = read(edited(MUSE, {"LeadDataCRC32": "Other"}))
    assert "the file states no checksums" in unchecked.source.notes
    assert "the CRC-32 of the samples agrees in 8 leads" in read(MUSE).source.notes


REFUSED: dict[str, tuple[bytes, dict[str, str], type[errors.EcgError], str]] = {
    "muse: unit": (MUSE, {"MICROVOLTS": "FURLONGS"}, errors.MalformedHeader, "FURLONGS"),
    "muse: no unit": (MUSE, {"MICROVOLTS": ""}, errors.MalformedHeader, "Pass units"),
    "muse: no step": (MUSE, {"4.88": ""}, errors.MalformedHeader, "LeadAmplitudeUnitsPerBit"),
    "muse: step of 0": (MUSE, {"4.88": "0"}, errors.MalformedHeader, "steps of 0"),
    "muse: step of nan": (MUSE, {"4.88": "nan"}, errors.MalformedHeader, "expected a number"),
    "muse: step of 1e308": (MUSE, {"4.88": "1e308"}, errors.NonFiniteSamples, "infinity"),
    "muse: no name": (MUSE, {"<LeadID>V3<": "<LeadID><"}, errors.MalformedHeader, "no name"),
    "muse: lead twice": (MUSE, {"<LeadID>V3<": "<LeadID>V2<"}, errors.MalformedHeader, "twice"),
    "muse: field twice": (
        MUSE,
        {"<SampleBase>": "<SampleBase>250</SampleBase><SampleBase>"},
        errors.MalformedHeader,
        "twice",
    ),
    "muse: no rate": (MUSE, {"<SampleBase>500": "<SampleBase>"}, errors.InvalidSamplingRate, "Pass fs_hz"),
    "muse: rate of 0": (MUSE, {"<SampleBase>500": "<SampleBase>0"}, errors.InvalidSamplingRate, "SampleBase"),
    "muse: rate of 5 MHz": (MUSE, {"Exponent>0": "Exponent>4"}, errors.InvalidSamplingRate, "5e\\+06"),
    "muse: only median": (
        muse(muse_waveform(EIGHT, kind="Median")),
        {},
        errors.MalformedHeader,
        "Median; expected one",
    ),
    "muse: no waveform": (muse(), {}, errors.MalformedHeader, "none; expected one Rhythm"),
    "muse: no lead": (muse(muse_waveform(EIGHT[:0])), {}, errors.MissingLeads, "no lead in it"),
    "muse: lead missing": (MUSE, {"Leads>8": "Leads>9"}, errors.TruncatedFile, "8 in the file, which states 9"),
    "muse: short": (MUSE, {"CountTotal>1000": "CountTotal>1001"}, errors.TruncatedFile, "lead I, samples"),
    "muse: long": (MUSE, {"CountTotal>2000": "CountTotal>1998"}, errors.MalformedHeader, "lead I, bytes"),
    "muse: huge": (MUSE, {"CountTotal>1000": "CountTotal>" + "9" * 60}, errors.TruncatedFile, "1e\\+60"),
    "muse: count of -1": (MUSE, {"CountTotal>1000": "CountTotal>-1"}, errors.MalformedHeader, "whole number"),
    "muse: 4 bytes": (MUSE, {"Size>2": "Size>4"}, errors.MalformedHeader, "LeadSampleSize"),
    "muse: baseline": (MUSE, {"Baseline>0": "Baseline>7"}, errors.MalformedHeader, "FirstSampleBaseline is 7"),
    "muse: no base64": (MUSE, {"<WaveFormData>": "<WaveFormData>?"}, errors.UnreadableRecord, "base64"),
    "muse: no samples": (muse(muse_waveform(EIGHT[:, :0])), {}, errors.NoSamples, "Check the export"),
    "muse: a long field": (MUSE, {"MICROVOLTS": "V" * 300}, errors.MalformedHeader, "256 characters"),
    "strip: unit": (STRIP, {"uVperLsb": "mmPerLsb"}, errors.MalformedHeader, "'mm'"),
    "strip: unit of length": (STRIP, {"uVperLsb": "mm"}, errors.MalformedHeader, "Resolution is in 'mm'"),
    "strip: kHz": (STRIP, {'"Hz"': '"kHz"'}, errors.InvalidSamplingRate, "'kHz'"),
    "strip: no name": (STRIP, {'lead="V3"': ""}, errors.MalformedHeader, "no name"),
    "strip: length": (STRIP, {"CountTotal>1000": "CountTotal>1001"}, errors.TruncatedFile, "lead I: 1000"),
    "strip: leads": (STRIP, {"Leads>12": "Leads>11"}, errors.MalformedHeader, "leads: 12"),
    "strip: hole": (STRIP, {"\t": "\t,"}, errors.UnreadableRecord, "not a whole number"),
    "strip: word": (STRIP, {"\t": "\tnan,"}, errors.UnreadableRecord, "not a whole number"),
    "strip: huge number": (STRIP, {"\t": "\t99999999999999999999,"}, errors.UnreadableRecord, "not a whole number"),
    "strip: only median": (STRIP, {"StripData": "Other"}, errors.MalformedHeader, "0 elements FullDisclosure"),
    "disclosure: order": (DISCLOSURE, {"I,II,III": "I,III,II"}, errors.UnreadableRecord, "no known layout"),
    "disclosure: rate": (DISCLOSURE, {'Hz">500': 'Hz">300'}, errors.UnreadableRecord, "whole seconds"),
    "disclosure: count": (DISCLOSURE, {"Total>12000": "Total>24000"}, errors.TruncatedFile, "12000"),
    "philips: version": (PHILIPS, {"1.04": "2.00"}, errors.MalformedHeader, "'2.00'"),
    "philips: no labels": (PHILIPS, {"leadlabels": "x", "STD-12": "FRANK"}, errors.MalformedHeader, "'FRANK'"),
    "philips: labels": (PHILIPS, {"I II III": "I II"}, errors.TruncatedFile, "11 in the file"),
    "philips: rates": (PHILIPS, {"samplingrate>500": "samplingrate>250"}, errors.InvalidSamplingRate, "250"),
    "philips: duration": (PHILIPS, {'channel="2400"': 'channel="2600"'}, errors.TruncatedFile, "XLI lead 1"),
    "philips: shorter": (PHILIPS, {'channel="2400"': 'channel="2000"'}, errors.UnreadableRecord, "expected 2000"),
    "philips: a day": (PHILIPS, {'channel="2400"': 'channel="9e9"'}, errors.RecordTooLarge, "3600 s"),
    "philips: for ever": (PHILIPS, {'channel="2400"': 'channel="1e308"'}, errors.RecordTooLarge, "3600 s"),
    "philips: 1e308 Hz": (
        PHILIPS,
        {"rate>500": "rate>1e308", 'samplespersecond="500"': ""},
        errors.InvalidSamplingRate,
        "1e",
    ),
    "philips: five leads": (
        *(PHILIPS, {" aVF V1 V2 V3 V4 V5 V6": "", 'leads="12"': 'leads="5"'}),
        *(errors.MalformedHeader, "expected I II III aVR"),
    ),
    "philips: another order": (
        PHILIPS,
        {"aVL aVF": "aVF aVL"},
        errors.MalformedHeader,
        "expected I II III aVR aVL aVF",
    ),
    "philips: half a sample": (
        *(PHILIPS_PLAIN, {"AAAA\n</parsed": "AAA=\n</parsed"}, errors.UnreadableRecord, "two a sample"),
    ),
    "philips: no duration": (PHILIPS, {'channel="2400"': 'channel="0"'}, errors.NoSamples, "duration"),
    "philips: backwards": (PHILIPS, {'channel="2400"': 'channel="-5"'}, errors.NoSamples, "duration"),
    "philips: no resolution": (PHILIPS, {"resolution": "x"}, errors.MalformedHeader, "resolution"),
    "philips: 12 bits": (PHILIPS, {"sample>16": "sample>12"}, errors.MalformedHeader, "bitspersample"),
    "philips: 12 bits in 1.03": (
        PHILIPS,
        {"durationper": 'nbitspersample="12" durationper'},
        errors.MalformedHeader,
        "nbitspersample",
    ),
    "philips: unsigned": (PHILIPS, {"signed>True": "signed>False"}, errors.MalformedHeader, "signalsigned"),
    "philips: ZIP": (PHILIPS, {"XLI": "ZIP"}, errors.UnreadableRecord, "'ZIP'"),
    "philips: Hex": (PHILIPS, {"Base64": "Hex"}, errors.UnreadableRecord, "'HEX'"),
    "aecg: no step": (AECG, {'scale value="2.5"': "scale"}, errors.MalformedHeader, "scale/@value"),
    "aecg: unit": (AECG, {'unit="uV"': 'unit="mmHg"'}, errors.MalformedHeader, "'mmHg'"),
    "aecg: time unit": (AECG, {'unit="s"': 'unit="min"'}, errors.InvalidSamplingRate, "'min'"),
    "aecg: no time": (AECG, {"<head": "<!--", 'unit="s"/>': "-->"}, errors.MalformedHeader, "increment"),
    "aecg: step of 0": (AECG, {'"0.002"': '"0"'}, errors.InvalidSamplingRate, "increment of 0"),
    "aecg: type": (AECG, {"SLIST_PQ": "GLIST_PQ"}, errors.MalformedHeader, "expected SLIST_PQ"),
    "aecg: no code": (AECG, {'code="MDC_ECG_LEAD_V3"': ""}, errors.MalformedHeader, "no name"),
    "aecg: digits": (AECG, {"<digits>": "<digits>1.5 "}, errors.UnreadableRecord, "lead MDC_ECG_LEAD_I"),
    "aecg: no rhythm": (AECG, {"RHYTHM": "OTHER"}, errors.MissingLeads, "series: OTHER"),
    "aecg: two rhythms": (aecg(aecg_series(TWELVE), aecg_series(TWELVE)), {}, errors.MalformedHeader, "2 sets"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_clear_is_refused_by_name(name: str) -> None:
    data, edits, error, words = REFUSED[name]
    with pytest.raises(errors.EcgError, match=words) as caught:
        read(edited(data, edits))
    assert caught.type is error, caught.value
    assert "SECRET" not in str(caught.value)


def test_leads_of_different_length_are_refused() -> None:
    first, rest = aecg_set(TWELVE[:1, :999], LEADS[:1]), aecg_set(TWELVE[1:], LEADS[1:])
    both = first.replace("</sequenceSet>", rest[rest.index('<component><sequence><code code="MDC') :])
    with pytest.raises(errors.MalformedHeader, match="999, 1000"):
        read(aecg(aecg_series(TWELVE).replace(aecg_set(TWELVE), both)))


def test_what_the_caller_knows_fills_in_and_never_overrides() -> None:
    assert read(edited(MUSE, {"<SampleBase>500": "<SampleBase>"}), fs_hz=250).fs_hz == 250
    assert read(edited(MUSE, {"MICROVOLTS": ""}), units="uV").source.units_in == "uV"
    with pytest.raises(errors.InvalidSamplingRate, match="states 500 Hz"):
        read(MUSE, fs_hz=250)
    with pytest.raises(errors.MalformedHeader, match="states uV"):
        read(AECG, units="mV")
    assert read(MUSE, leads=STORED_LEADS).leads == LEADS


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("20201112101530", datetime(2020, 11, 12, 10, 15, 30)),
        ("202011121015", datetime(2020, 11, 12, 10, 15)),
        ("20201112", None),
        ("2020111210", None),
    ],
)
def test_a_time_without_separators_has_all_its_digits(text: str, found: datetime | None) -> None:
    assert moment(text, _MOMENTS) == found
