"""DICOM waveforms, with pydicom's own decoder as oracle."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest

from ecg_ka import errors
from ecg_ka.readers import read
from tests.ecg_ka.writers import LEADS, counts_uv, dicom, dicom_channel, dicom_group

CODES = dict(zip(LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("sop_class", ["1.2.840.10008.5.1.4.1.1.9.1.1", "1.2.840.10008.5.1.4.1.1.9.1.2"])
def test_microvolts_come_back(implicit: bool, sop_class: str) -> None:
    record = read(dicom(dicom_group(counts_uv()), implicit=implicit, sop_class=sop_class))
    assert record.leads == LEADS
    assert record.fs_hz == 500
    np.testing.assert_allclose(record.signal_mv, counts_uv() * 1e-3, atol=1e-6)


def test_sensitivity_correction_and_baseline_as_pydicom_has_them() -> None:
    numbers = {"ChannelSensitivity": "4.88", "ChannelSensitivityCorrectionFactor": "1.02", "ChannelBaseline": "-12.5"}
    channels = [dicom_channel(lead, **numbers) for lead in LEADS]
    data = dicom(dicom_group(counts_uv(), ChannelDefinitionSequence=channels))
    oracle_uv = pydicom.dcmread(BytesIO(data)).waveform_array(0).T
    np.testing.assert_allclose(read(data).signal_mv, oracle_uv * 1e-3, atol=1e-6)


@pytest.mark.parametrize(("unit", "mv"), [("uV", 1e-3), ("mV", 1.0), ("V", 1e3), ("nV", 1e-6)])
def test_units(unit: str, mv: float) -> None:
    group = dicom_group(counts_uv(), ChannelDefinitionSequence=[dicom_channel(lead, unit=unit) for lead in LEADS])
    record = read(dicom(group))
    np.testing.assert_allclose(record.signal_mv, counts_uv() * mv, rtol=1e-6)
    assert record.source.units_in == unit


@pytest.mark.parametrize("prefix", ["5.6.3-9-", "2:"])
def test_leads_by_code_and_by_meaning(prefix: str) -> None:
    coded = [dicom_channel("", code=f"{prefix}{CODES[lead]}") for lead in LEADS]
    worded = [dicom_channel(f"Lead {lead} (Einthoven)") for lead in LEADS]
    labelled = [dicom_channel("", ChannelLabel=lead) for lead in LEADS]
    for channels in (coded, worded, labelled):
        assert read(dicom(dicom_group(counts_uv(), ChannelDefinitionSequence=channels[::-1]))).leads == LEADS
    crossed = [dicom_channel(LEADS[1], code=f"{prefix}1"), *coded[1:]]
    with pytest.raises(errors.MalformedHeader, match="I and II"):
        read(dicom(dicom_group(counts_uv(), ChannelDefinitionSequence=crossed)))


def test_a_channel_that_is_no_lead_is_left_out_whatever_its_unit() -> None:
    pressure = dicom_channel("Arterial pressure", unit="mm[Hg]", ChannelSensitivity=None)
    channels = [*(dicom_channel(lead) for lead in LEADS[:3]), pressure, *(dicom_channel(lead) for lead in LEADS[4:])]
    record = read(dicom(dicom_group(counts_uv(), ChannelDefinitionSequence=channels)))
    assert record.leads_derived == ("aVR",)
    assert record.source.units_in == "uV"
    assert "'Arterial pressure'" in record.source.notes[0]


@pytest.mark.parametrize("name", ["aVR (inverted)", "(-)aVR", "-aVR", "aVR negative", "aVR reversed"])
def test_an_inverted_lead_is_not_the_lead(name: str) -> None:
    for channel in (dicom_channel(name), dicom_channel(name, code="2:62"), dicom_channel("aVR", ChannelLabel=name)):
        channels = [dicom_channel(lead) for lead in LEADS]
        channels[3] = channel
        record = read(dicom(dicom_group(counts_uv(), ChannelDefinitionSequence=channels)))
        assert record.leads_derived == ("aVR",)
        assert repr(name) in record.source.notes[0]
        np.testing.assert_allclose(record.lead("aVR"), counts_uv()[3] * 1e-3, atol=1.1e-3)


@pytest.mark.parametrize("skew", [{"ChannelTimeSkew": "0.002"}, {"ChannelSampleSkew": "1"}])
def test_a_skew_is_told(skew: dict[str, str]) -> None:
    channels = [dicom_channel(lead, **(skew if lead == "V2" else {"ChannelSampleSkew": "0"})) for lead in LEADS]
    notes = read(dicom(dicom_group(counts_uv(), ChannelDefinitionSequence=channels))).source.notes
    assert notes == ("the file states a time skew of V2, which was not corrected",)


def test_the_rhythm_is_read_and_the_median_beat_is_not() -> None:
    median = dicom_group(counts_uv(600, seed=1), WaveformOriginality="DERIVED")
    rhythm = dicom_group(counts_uv(5000))
    for groups in ((median, rhythm), (rhythm, median)):
        record = read(dicom(*groups))
        assert record.duration_s == 10
        assert record.source.notes == ("1 shorter or derived waveform groups were left out",)
    with pytest.raises(errors.UnreadableRecord, match="derived"):
        read(dicom(median))


def test_simultaneous_groups_of_different_leads_are_one_rhythm() -> None:
    counts = counts_uv()
    limb, chest = dicom_group(counts[:6]), dicom_group(counts[6:], LEADS[6:], MultiplexGroupTimeOffset="0")
    median = dicom_group(counts_uv(600), MultiplexGroupLabel="MEDIAN BEAT")
    for groups in ((limb, chest), (chest, median, limb)):
        record = read(dicom(*groups))
        assert record.leads == LEADS
        np.testing.assert_allclose(record.signal_mv, counts * 1e-3, atol=1e-6)
        shorter = "1 shorter or derived waveform groups were left out"
        assert record.source.notes == ((shorter,) if median in groups else ())


LATER = {"MultiplexGroupTimeOffset": "2000"}
FASTER = {"SamplingFrequency": "1000", "NumberOfWaveformSamples": 2000}


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (dicom_group(counts_uv()), dicom_group(counts_uv(seed=1)), "share leads"),
        (dicom_group(counts_uv()[:6]), dicom_group(counts_uv()[6:], LEADS[6:], **LATER), "another start or rate"),
        (dicom_group(counts_uv()[:6]), dicom_group(counts_uv(2000)[6:], LEADS[6:], **FASTER), "another start or rate"),
    ],
)
def test_two_rhythms_are_refused(first: Any, second: Any, words: str) -> None:
    with pytest.raises(errors.MalformedHeader, match=words):
        read(dicom(first, second))


def test_of_two_full_groups_the_one_called_a_median_is_no_rhythm() -> None:
    median = dicom_group(counts_uv(seed=1), MultiplexGroupLabel="Median beat")
    record = read(dicom(median, dicom_group(counts_uv())))
    np.testing.assert_allclose(record.signal_mv, counts_uv() * 1e-3, atol=1e-6)
    assert record.source.notes == ("1 shorter or derived waveform groups were left out",)


def test_a_longer_group_of_no_lead_is_no_rhythm() -> None:
    pressure = dicom_group(counts_uv(2000, n_leads=1), ["Arterial pressure"])
    record = read(dicom(pressure, dicom_group(counts_uv())))
    assert record.leads == LEADS
    assert record.source.notes == ("1 waveform groups without a standard lead were left out",)


@pytest.mark.parametrize("kind", ["SS", "US"])
def test_samples_beyond_the_stored_bits_are_refused(kind: str) -> None:
    twelve_bits = {
        "ChannelDefinitionSequence": [dicom_channel(lead, WaveformBitsStored=12) for lead in LEADS],
        "WaveformSampleInterpretation": kind,
    }
    counts = counts_uv() if kind == "SS" else counts_uv() + 2048
    np.testing.assert_allclose(read(dicom(dicom_group(counts, **twelve_bits))).signal_mv, counts * 1e-3, atol=1e-6)
    without_sign = counts_uv() & 0xFFF if kind == "SS" else counts + 4096
    with pytest.raises(errors.MalformedHeader, match="12 stored bits"):
        read(dicom(dicom_group(without_sign, **twelve_bits)))


def test_what_is_kept_names_the_device_and_never_the_patient() -> None:
    facts: dict[str, Any] = {
        "PatientAge": "042Y",
        "AcquisitionDateTime": "20130125105919.000000",
        "Manufacturer": "Mortara",
        "ManufacturerModelName": "el250",
    }
    source = read(dicom(dicom_group(counts_uv()), **facts)).source
    assert (source.age_years, source.device) == (42, "Mortara el250")
    assert source.acquired_at == datetime(2013, 1, 25, 10, 59, 19)
    assert "Muster" not in repr(source)
    assert "4711" not in repr(source)
    assert read(dicom(dicom_group(counts_uv()), PatientAge="006M")).source.age_years == 0.5
    odd = read(dicom(dicom_group(counts_uv()), PatientAge="999Y")).source
    assert odd.age_years is None
    assert "age" in odd.notes[0]


def test_the_padding_value_is_not_a_sample() -> None:
    counts = counts_uv()
    counts[2, 10] = -32768
    with pytest.raises(errors.NonFiniteSamples, match="III"):
        read(dicom(dicom_group(counts, WaveformPaddingValue=b"\x00\x80")))


HOSTILE: dict[str, tuple[dict[str, Any], type[errors.EcgError]]] = {
    "a sample more than there are": ({"NumberOfWaveformSamples": 1001}, errors.TruncatedFile),
    "four billion samples": ({"NumberOfWaveformSamples": 2**32 - 1}, errors.RecordTooLarge),
    "no samples": ({"NumberOfWaveformSamples": 0}, errors.NoSamples),
    "other channels than defined": ({"NumberOfWaveformChannels": 11}, errors.MalformedHeader),
    "a rate of 0": ({"SamplingFrequency": "0"}, errors.InvalidSamplingRate),
    "a negative rate": ({"SamplingFrequency": "-500"}, errors.InvalidSamplingRate),
    "a rate of 1e9": ({"SamplingFrequency": "1e9"}, errors.InvalidSamplingRate),
    "mu-law": ({"WaveformSampleInterpretation": "MB", "WaveformBitsAllocated": 8}, errors.MalformedHeader),
    "no voltage": (
        {"ChannelDefinitionSequence": [dicom_channel(lead, unit="mm[Hg]") for lead in LEADS]},
        errors.MalformedHeader,
    ),
    "a sensitivity of 0": (
        {"ChannelDefinitionSequence": [dicom_channel(lead, ChannelSensitivity="0") for lead in LEADS]},
        errors.MalformedHeader,
    ),
    "no sensitivity": (
        {"ChannelDefinitionSequence": [dicom_channel(lead, ChannelSensitivity=None) for lead in LEADS]},
        errors.MalformedHeader,
    ),
    "a sensitivity of 1e308": (
        {"ChannelDefinitionSequence": [dicom_channel(lead, ChannelSensitivity="1e308") for lead in LEADS]},
        errors.NonFiniteSamples,
    ),
    "no lead": (
        {"ChannelDefinitionSequence": [dicom_channel(f"X{n}") for n in range(12)]},
        errors.MissingLeads,
    ),
    "one lead twice": (
        {"ChannelDefinitionSequence": [dicom_channel("II") for _ in range(12)]},
        errors.MalformedHeader,
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_waveform_that_lies_is_refused_by_name(name: str) -> None:
    tags, error = HOSTILE[name]
    with pytest.raises(errors.EcgError) as caught:
        read(dicom(dicom_group(counts_uv(), **tags)))
    assert caught.type is error, caught.value


def test_deflated_is_refused_before_it_is_inflated() -> None:
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    dataset = pydicom.dcmread(BytesIO(dicom(dicom_group(counts_uv()))))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    with pytest.raises(errors.UnreadableRecord, match="deflated"):
        read(stream.getvalue())


def test_no_waveform_and_too_many_items() -> None:
    with pytest.raises(errors.UnreadableRecord, match="no waveform"):
        read(dicom())
    with pytest.raises(errors.RecordTooLarge):
        read(dicom(dicom_group(counts_uv())) + b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 20_001)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_cut_short_says_so(share: float) -> None:
    data = dicom(dicom_group(counts_uv()))
    with pytest.raises(errors.TruncatedFile):
        read(data[: int(share * len(data))])
