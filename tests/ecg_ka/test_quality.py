"""Signal quality: what must be seen is seen, what must not matter does not."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ecg_ka.errors import MissingDependency
from ecg_ka.flags import Flag
from ecg_ka.quality import Grade, SignalQuality, assess, cleanest_window, detect_r_peaks, full_report
from ecg_ka.record import LEADS, EcgRecord, Source

Signal = NDArray[np.float32]
SOURCE = Source(format="synthetic", sha256="0" * 64, units_in="mV")
# (delay after the R peak in s, width in s, height beside R) of P, Q, R, S, T
WAVES = ((-0.16, 0.022, 0.12), (-0.026, 0.009, -0.1), (0.0, 0.011, 1.0), (0.028, 0.01, -0.25), (0.27, 0.045, 0.3))
R_MV = np.array([0.8, 1.2, 0.4, -1.0, 0.3, 0.8, -0.6, -0.9, 0.7, 1.4, 1.5, 1.1])


def beats_s(rate_bpm: float, duration_s: float) -> NDArray[np.float64]:
    return np.arange(0.4, duration_s - 0.1, 60.0 / rate_bpm)


def synthetic(rate_bpm: float = 72.0, fs_hz: float = 500.0, duration_s: float = 10.0, noise_uv: float = 4.0) -> Signal:
    """A 12-lead ECG (12, n) made of Gaussian bumps, with a little white noise."""
    time_s = np.arange(round(duration_s * fs_hz)) / fs_hz
    shape = np.zeros_like(time_s)
    for beat in beats_s(rate_bpm, duration_s):
        for delay, width, height in WAVES:
            shape += height * np.exp(-0.5 * ((time_s - beat - delay) / width) ** 2)
    noise = np.random.default_rng(7).normal(0, noise_uv / 1000, (12, time_s.size))
    return (R_MV[:, None] * shape + noise).astype(np.float32)


def record(signal: Signal, fs_hz: float = 500.0, leads: tuple[str, ...] = LEADS) -> EcgRecord:
    return EcgRecord(signal_mv=np.array(signal, dtype=np.float32), leads=leads, fs_hz=fs_hz, source=SOURCE)


def seen(found: NDArray[np.int64], true_s: NDArray[np.float64], fs_hz: float, tolerance_s: float = 0.02) -> bool:
    return found.size == true_s.size and bool(np.all(np.abs(found / fs_hz - true_s) <= tolerance_s))


def v1(quality: SignalQuality) -> float:
    return quality.leads[LEADS.index("V1")].noise_uv


@settings(max_examples=40, deadline=None)
@given(
    rate_bpm=st.floats(35, 190),
    fs_hz=st.sampled_from([100.0, 250.0, 360.0, 500.0, 1000.0]),
    gain=st.floats(-2, 2).map(lambda exponent: 10.0**exponent),
)
def test_every_beat_is_found_at_any_rate_sampling_rate_and_gain(rate_bpm: float, fs_hz: float, gain: float) -> None:
    signal = np.float32(gain) * synthetic(rate_bpm, fs_hz)
    assert seen(detect_r_peaks(signal, fs_hz), beats_s(rate_bpm, 10.0), fs_hz)


@pytest.mark.parametrize("lead", range(12))
def test_one_lead_is_enough(lead: int) -> None:
    assert seen(detect_r_peaks(synthetic()[lead : lead + 1], 500.0), beats_s(72.0, 10.0), 500.0, 0.035)


def test_a_beat_that_the_recording_cuts_lies_inside_it() -> None:
    signal, (_, second, *_, last) = synthetic(), np.rint(500 * beats_s(72.0, 10.0)).astype(int)
    for cut in range(-30, 31, 2):
        for part in (signal[:, second + cut :], signal[:, : last + cut]):
            found = detect_r_peaks(part, 500.0)
            assert found.size
            assert found.min() >= 0
            assert found.max() < part.shape[1]


def test_beats_are_found_through_wander_hum_and_a_dead_lead() -> None:
    signal, time_s = synthetic(), np.arange(5000) / 500.0
    signal += (2.0 * np.sin(2 * np.pi * 0.2 * time_s) + 0.3 * np.sin(2 * np.pi * 50 * time_s)).astype(np.float32)
    signal[3] = np.random.default_rng(1).normal(0, 3, 5000)
    assert seen(detect_r_peaks(signal, 500.0), beats_s(72.0, 10.0), 500.0)


@pytest.mark.parametrize("small", [0.55, 0.75])
def test_smaller_beats_among_large_ones_are_found(small: float) -> None:
    signal, times_s = synthetic(), beats_s(72.0, 10.0)
    for number, beat in enumerate(times_s):
        if number % 3:
            signal[:, round((beat - 0.3) * 500) : round((beat + 0.5) * 500)] *= np.float32(small)
    assert seen(detect_r_peaks(signal, 500.0), times_s, 500.0)


@pytest.mark.parametrize("few", [slice(0, 2), slice(-2, None)])
def test_beats_that_are_small_at_one_end_are_found_whatever_those_at_the_other_are(few: slice) -> None:
    signal, times_s = synthetic(duration_s=20.0), beats_s(72.0, 20.0)
    for beat in times_s[few]:
        signal[:, round((beat - 0.3) * 500) : round((beat + 0.5) * 500)] *= np.float32(0.15)
    assert seen(detect_r_peaks(signal, 500.0), times_s, 500.0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    leads=st.sampled_from([1, 2, 12]),
    fs_hz=st.sampled_from([100.0, 250.0, 500.0, 1000.0]),
    walk=st.booleans(),
    gain=st.sampled_from([1e-2, 1.0, 1e2]),
)
def test_noise_has_no_beats(seed: int, leads: int, fs_hz: float, walk: bool, gain: float) -> None:
    noise = np.random.default_rng(seed).standard_normal((leads, round(10 * fs_hz)))
    signal = gain * (np.cumsum(noise, axis=1) if walk else noise)
    assert detect_r_peaks(signal.astype(np.float32), fs_hz).size == 0


@pytest.mark.parametrize("samples", [1, 2, 30, 5000])
def test_a_flat_signal_is_unusable_whatever_its_length(samples: int) -> None:
    quality = assess(record(np.full((12, samples), 0.7, dtype=np.float32)))
    assert quality.r_peaks.size == 0
    assert quality.heart_rate_bpm is None
    assert quality.grade is Grade.UNUSABLE
    assert all(lead.flat for lead in quality.leads)


def test_a_clean_ecg_is_good_and_carries_no_flag() -> None:
    quality = assess(record(synthetic()))
    assert quality.grade is Grade.GOOD
    assert quality.flags == frozenset()
    assert quality.heart_rate_bpm == pytest.approx(72.0, abs=0.3)
    assert [lead.lead for lead in quality.leads] == list(LEADS)
    assert quality.leads[1].amplitude_mv == pytest.approx(np.ptp(synthetic()[1]), rel=0.1)


@pytest.mark.parametrize("walk", [False, True])
def test_pure_noise_is_unusable(walk: bool) -> None:
    noise = np.random.default_rng(3).standard_normal((12, 5000))
    quality = assess(record((np.cumsum(noise, axis=1) * 0.02 if walk else noise).astype(np.float32)))
    assert quality.grade is Grade.UNUSABLE
    assert Flag.LOW_QUALITY in quality.flags


def test_hum_without_a_heart_is_unusable() -> None:
    hum = np.tile(np.sin(2 * np.pi * 50 * np.arange(5000) / 500.0), (12, 1)).astype(np.float32)
    assert assess(record(hum)).grade is Grade.UNUSABLE


def test_more_noise_is_measured_as_more_noise() -> None:
    white = np.random.default_rng(5).standard_normal((12, 5000)).astype(np.float32)
    levels = [v1(assess(record(synthetic() + np.float32(mv) * white))) for mv in (0, 0.01, 0.02, 0.04, 0.08)]
    assert levels == sorted(levels)
    assert levels[-1] > 30.0


@pytest.mark.parametrize("hum_hz", [50.0, 60.0])
def test_hum_is_measured(hum_hz: float) -> None:
    hum = 0.1 * np.sin(2 * np.pi * hum_hz * np.arange(5000) / 500.0)
    quality = assess(record(synthetic() + hum.astype(np.float32)))
    assert v1(quality) == pytest.approx(100 / np.sqrt(2), rel=0.25)
    assert quality.grade is Grade.POOR


@pytest.mark.parametrize(("fs_hz", "up", "down"), [(250.0, 1, 2), (1000.0, 2, 1)])
def test_resampling_changes_neither_beats_nor_measures(fs_hz: float, up: int, down: int) -> None:
    signal = synthetic(noise_uv=0) + np.float32(0.03) * np.sin(np.arange(5000) * 0.628).astype(np.float32)  # 50 Hz
    before = assess(record(signal))
    after = assess(record(resample_poly(signal, up, down, axis=1), fs_hz))
    assert np.abs(before.r_peaks / 500.0 - after.r_peaks / fs_hz).max() <= 0.01
    assert v1(after) == pytest.approx(v1(before), rel=0.2)
    assert after.leads[1].wander_mv == pytest.approx(before.leads[1].wander_mv, abs=0.03)
    assert after.leads[1].amplitude_mv == pytest.approx(before.leads[1].amplitude_mv, rel=0.1)


def test_wander_of_2_mv_at_a_fifth_of_a_hertz_is_seen() -> None:
    signal = synthetic()
    signal[6] += (2.0 * np.sin(2 * np.pi * 0.2 * np.arange(5000) / 500.0)).astype(np.float32)
    quality = assess(record(signal))
    assert quality.leads[6].wander_mv == pytest.approx(4.0, abs=0.4)
    assert quality.leads[6].grade is Grade.POOR
    assert quality.leads[5].wander_mv < 0.2
    assert Flag.IMPLAUSIBLE_AMPLITUDE not in quality.flags


def test_clipping_is_seen() -> None:
    signal = synthetic()
    signal[9] = np.clip(signal[9], -0.2, 0.4)
    quality = assess(record(signal))
    assert quality.leads[9].clipped_fraction > 0.03
    assert quality.leads[9].grade is Grade.POOR
    assert quality.leads[10].clipped_fraction < 0.005


@pytest.mark.parametrize("what", ["noise", "hum", "flat", "almost flat"])
def test_a_disconnected_lead_is_seen_and_the_others_still_judged(what: str) -> None:
    signal, rng = synthetic(), np.random.default_rng(2)
    signal[8] = {
        "noise": 0.2 * rng.standard_normal(5000),
        "hum": np.sin(2 * np.pi * 50 * np.arange(5000) / 500.0),
        "flat": np.zeros(5000),
        "almost flat": 0.002 * rng.standard_normal(5000),
    }[what]
    quality = assess(record(signal))
    assert quality.leads[8].disconnected or quality.leads[8].flat
    assert quality.leads[8].grade is Grade.UNUSABLE
    assert quality.grade is Grade.POOR
    assert all(lead.grade is Grade.GOOD for lead in quality.leads if lead.lead != LEADS[8])


def test_a_lead_that_stands_still_most_of_the_time_is_unusable_though_it_has_beats() -> None:
    signal = synthetic()
    signal[8, 2000:] = signal[8, 1999]
    lead = assess(record(signal)).leads[8]
    assert (lead.flat, lead.disconnected, lead.grade) == (True, False, Grade.UNUSABLE)


def test_a_record_of_which_most_leads_are_disconnected_is_unusable() -> None:
    signal = synthetic()
    signal[:7] = 0.0
    assert assess(record(signal)).grade is Grade.UNUSABLE


@pytest.mark.parametrize(("gain", "flagged"), [(0.05, True), (1.0, False), (20.0, True), (1000.0, True)])
def test_an_implausible_amplitude_is_flagged(gain: float, flagged: bool) -> None:
    quality = assess(record(np.float32(gain) * synthetic()))
    assert (Flag.IMPLAUSIBLE_AMPLITUDE in quality.flags) is flagged


def test_the_order_of_leads_and_of_memory_is_irrelevant() -> None:
    signal = synthetic()
    signal[4] += np.float32(0.03) * np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    plain, mixed = assess(record(signal)), assess(record(signal[::-1], leads=LEADS[::-1]))
    columns = EcgRecord(signal_mv=np.asfortranarray(signal), leads=LEADS, fs_hz=500.0, source=SOURCE)
    assert np.array_equal(plain.r_peaks, mixed.r_peaks)
    assert plain.grade is mixed.grade
    assert {lead.lead: lead for lead in plain.leads} == {lead.lead: lead for lead in mixed.leads}
    assert assess(columns).leads == plain.leads


@pytest.mark.parametrize("spoil", ["noise", "wander", "dropout", "clipping"])
@pytest.mark.parametrize("clean_from_s", [0, 7, 20])
def test_the_cleanest_window_avoids_what_is_spoilt(spoil: str, clean_from_s: int) -> None:
    signal, bad, time_s = synthetic(duration_s=30.0), np.ones(15_000, dtype=bool), np.arange(15_000) / 500.0
    bad[clean_from_s * 500 : (clean_from_s + 10) * 500] = False
    if spoil == "noise":
        signal[:, bad] += 0.1 * np.random.default_rng(0).standard_normal((12, int(bad.sum()))).astype(np.float32)
    elif spoil == "wander":
        signal[2:5] += np.where(bad, 1.5 * np.sin(2 * np.pi * 0.3 * time_s), 0.0).astype(np.float32)
    elif spoil == "dropout":
        signal[6:8, bad & (time_s % 2 < 1.2)] = 0.0
    else:
        signal[9:11, bad] = np.minimum(signal[9:11, bad] + 1.4, 1.6)
    window = cleanest_window(record(signal), 10.0)
    assert window.stop - window.start == 5000
    assert abs(window.start / 500.0 - clean_from_s) <= 1.0


@pytest.mark.parametrize("duration_s", [1.0, 9.9, 10.0])
def test_a_record_that_is_not_longer_is_its_own_window(duration_s: float) -> None:
    signal = synthetic(duration_s=duration_s)
    assert cleanest_window(record(signal), 10.0) == slice(0, signal.shape[1])


@settings(max_examples=30, deadline=None)
@given(samples=st.integers(1001, 4000), fs_hz=st.sampled_from([99.7, 100.0, 128.0, 257.3]))
def test_a_window_lies_inside_the_record(samples: int, fs_hz: float) -> None:
    signal = np.random.default_rng(samples).standard_normal((3, samples)).astype(np.float32)
    window = cleanest_window(record(signal, fs_hz, ("I", "II", "III")), 3.5)
    assert 0 <= window.start < window.stop <= samples
    assert window.stop - window.start == round(3.5 * fs_hz)


def test_the_full_report_measures_the_synthetic_intervals() -> None:
    made = record(synthetic())
    report = full_report(made, assess(made))
    assert [lead.lead for lead in report.leads] == list(LEADS)
    assert report.qt_ms == pytest.approx(400, abs=60)  # T peaks 270 ms after R and ends about 2 widths later
    assert report.qrs_ms == pytest.approx(80, abs=40)
    assert report.pr_ms is not None
    assert report.qt_ms is not None
    assert report.qtc_ms == pytest.approx(report.qt_ms / np.cbrt(60 / 72), rel=0.01)


def test_the_full_report_of_a_dead_record_is_empty_not_an_error() -> None:
    dead = record(np.zeros((12, 5000), dtype=np.float32))
    report = full_report(dead, assess(dead))
    assert (report.pr_ms, report.qrs_ms, report.qt_ms, report.qtc_ms) == (None,) * 4


def test_the_full_report_without_neurokit_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neurokit2", None)
    made = record(synthetic())
    with pytest.raises(MissingDependency, match=r"ecg-ka\[quality\]"):
        full_report(made, assess(made))
