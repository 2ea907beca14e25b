"""The signal path: what scipy's filters give, one resampling rate like another, amplitudes kept, leads by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import fft
from scipy import signal as sps

from ecg_ka.errors import FlatSignal, MissingLeads, TooShort
from ecg_ka.flags import Flag
from ecg_ka.preprocess import LSB_MV, SignalSpec, filter_and_resample, to_model_input
from ecg_ka.record import INDEPENDENT_LEADS, LEADS, EcgRecord, Source

SPEC = SignalSpec()
SOURCE = Source(format="test", sha256="0" * 64, units_in="mV")


def beats(fs_hz: float, duration_s: float = 10.0, n_leads: int = 8) -> NDArray[np.float32]:
    """Rows of P-QRS-T bumps at 72 beats a minute, every lead with its own amplitudes."""
    t = np.arange(round(duration_s * fs_hz)) / fs_hz
    phase = (t % 0.83)[None]
    rows = np.zeros((n_leads, t.size))
    gains = np.random.default_rng(3).uniform(0.5, 1.5, size=(3, n_leads, 1))
    for gain, size_mv, at_s, width_s in zip(
        gains, (0.1, 1.0, 0.3), (0.15, 0.3, 0.55), (0.02, 0.012, 0.05), strict=True
    ):
        rows += gain * size_mv * np.exp(-0.5 * ((phase - at_s) / width_s) ** 2)
    return rows.astype(np.float32)


def record(fs_hz: float = 500.0, duration_s: float = 10.0, leads: tuple[str, ...] = INDEPENDENT_LEADS) -> EcgRecord:
    return EcgRecord.from_leads(beats(fs_hz, duration_s, len(leads)), leads, fs_hz=fs_hz, source=SOURCE)


def test_whole_numbers_and_fractions_of_one_value_have_one_hash() -> None:
    assert SignalSpec(fs_hz=250, duration_s=10).sha256 == SignalSpec().sha256
    assert SignalSpec(fs_hz=500).sha256 != SignalSpec().sha256


def test_it_is_the_zero_phase_band_pass_of_scipy() -> None:
    x = beats(500.0) + np.random.default_rng(0).normal(0, 0.02, (8, 5000)).astype(np.float32)
    high = sps.butter(2, SPEC.high_pass_hz, "highpass", fs=500, output="sos")
    low = sps.butter(4, SPEC.low_pass_hz, "lowpass", fs=500, output="sos")
    expected = sps.sosfiltfilt(low, sps.sosfiltfilt(high, x, padlen=500), padlen=500)[:, ::2]
    got = filter_and_resample(x, 500.0, SPEC)
    inner = slice(250, -250)  # the edges of the two differ by how they are padded
    assert np.sqrt(np.mean((got - expected)[:, inner] ** 2)) < 0.002


def test_of_a_dead_lead_nothing_is_left() -> None:
    """Too little for an electrode that is connected, and more than a step of the input."""
    signal = beats(500.0)
    signal[4] = 0.002 * np.sin(2 * np.pi * 5 * np.arange(5000) / 500)
    found = to_model_input(EcgRecord.from_leads(signal, INDEPENDENT_LEADS, fs_hz=500.0, source=SOURCE), SPEC)
    assert found.lead_mask.tolist() == [lead != 4 for lead in range(8)]
    assert not found.signal_mv[4].any()
    assert found.signal_mv[[0, 1, 2, 3, 5, 6, 7]].any(axis=1).all()


@pytest.mark.parametrize("fs_hz", [100.0, 128.0, 250.0, 257.0, 360.0, 500.0, 977.0, 1000.0, 2000.0])
def test_every_sampling_rate_gives_the_same_input(fs_hz: float) -> None:
    got = to_model_input(record(fs_hz), SPEC).signal_mv
    reference = to_model_input(record(4000.0), SPEC).signal_mv
    assert got.shape == (8, 2500)
    assert np.sqrt(np.mean((got - reference)[:, 50:-50] ** 2)) < (0.02 if fs_hz < 200 else 0.005)


@given(st.floats(0.05, 5.0), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_amplitude_is_kept_and_the_path_is_linear(gain: float, seed: int) -> None:
    x = np.random.default_rng(seed).normal(0, 0.3, (8, 5000)).astype(np.float32)
    one, other = filter_and_resample(x, 500.0, SPEC), filter_and_resample(np.float32(gain) * x, 500.0, SPEC)
    np.testing.assert_allclose(other, gain * one, atol=LSB_MV * (0.51 + 0.51 * gain) + 1e-5)


def test_a_constant_offset_and_slow_wander_go_and_a_sine_in_the_band_stays() -> None:
    t = np.arange(5000) / 500
    kept = np.sin(2 * np.pi * 8 * t)
    lost = 3.0 + 2.0 * np.sin(2 * np.pi * 0.1 * t) + np.sin(2 * np.pi * 100 * t)
    got = filter_and_resample(np.stack([kept + lost]).astype(np.float32), 500.0, SPEC)
    expected = np.sin(2 * np.pi * 8 * np.arange(2500) / 250)
    assert np.abs(got[0] - expected)[500:-500].max() < 0.06


def test_the_result_lies_on_a_grid_of_one_microvolt() -> None:
    steps = to_model_input(record(), SPEC).signal_mv / LSB_MV
    np.testing.assert_allclose(steps, np.rint(steps), atol=2e-3)


def test_leads_are_found_by_name_not_by_position() -> None:
    x = beats(500.0)
    names = tuple(reversed(INDEPENDENT_LEADS))
    one = EcgRecord.from_leads(x, INDEPENDENT_LEADS, fs_hz=500, source=SOURCE)
    other = EcgRecord.from_leads(x[::-1], names, fs_hz=500, source=SOURCE)
    np.testing.assert_array_equal(to_model_input(one, SPEC).signal_mv, to_model_input(other, SPEC).signal_mv)


def test_two_missing_chest_leads_are_blank_and_flagged_and_three_are_refused() -> None:
    whole = record()
    made = to_model_input(_without(whole, "V2", "V5"), SPEC)
    assert made.lead_mask.tolist() == [True, True, True, False, True, True, False, True]
    assert not made.signal_mv[~made.lead_mask].any()
    np.testing.assert_array_equal(made.signal_mv[made.lead_mask], to_model_input(whole, SPEC).signal_mv[made.lead_mask])
    assert Flag.MISSING_LEADS in made.flags
    with pytest.raises(MissingLeads, match="V2, V5, V6"):
        to_model_input(_without(whole, "V2", "V5", "V6"), SPEC)
    with pytest.raises(MissingLeads, match="I"):
        to_model_input(_without(whole, "I"), SPEC)


def test_a_flat_chest_lead_counts_as_missing_and_an_all_flat_record_is_refused() -> None:
    whole = record()
    rows = whole.signal_mv.copy()
    rows[LEADS.index("V3")] = 0.7
    made = to_model_input(EcgRecord(signal_mv=rows, leads=LEADS, fs_hz=500.0, source=SOURCE), SPEC)
    assert not made.lead_mask[INDEPENDENT_LEADS.index("V3")]
    with pytest.raises(FlatSignal):
        to_model_input(EcgRecord(signal_mv=np.zeros_like(rows), leads=LEADS, fs_hz=500.0, source=SOURCE), SPEC)


def test_five_to_ten_seconds_are_padded_and_flagged_and_less_is_refused() -> None:
    short = to_model_input(record(duration_s=7.0), SPEC)
    assert Flag.SHORT_RECORDING in short.flags
    assert not short.signal_mv[:, 1750:].any()
    assert short.signal_mv[:, :1750].any(axis=1).all()
    with pytest.raises(TooShort, match=r"4\.998 s; expected at least 5 s"):
        to_model_input(record(duration_s=4.998), SPEC)


def test_flags_tell_what_was_done() -> None:
    assert to_model_input(record(), SPEC).flags == {Flag.RESAMPLED}
    assert to_model_input(record(250.0), SPEC).flags == frozenset()


def test_the_identity_of_a_spec_changes_with_any_field_and_survives_json() -> None:
    assert SignalSpec(low_pass_hz=41.0).sha256 != SPEC.sha256
    assert SignalSpec.from_dict({"leads": list(SPEC.leads), "low_pass_hz": 40.0}) == SPEC
    with pytest.raises(TypeError):
        SignalSpec.from_dict({"low_pas_hz": 40.0})


def _without(whole: EcgRecord, *lost: str) -> EcgRecord:
    kept = tuple(lead for lead in whole.leads if lead not in lost)
    rows = np.stack([whole.lead(lead) for lead in kept])
    return EcgRecord(signal_mv=rows, leads=kept, fs_hz=whole.fs_hz, source=whole.source)


@pytest.mark.parametrize("fs_hz", [100.0, 250.0, 257.0, 500.0, 1000.0])
def test_it_is_what_the_plain_formula_gives(fs_hz: float) -> None:
    """Mirror, transform, mask, shorter inverse, in double precision by scipy: the shipped bundle was trained on this.
    Single precision is off by less than a hundredth of a step before the steps are rounded."""
    x, edge = beats(fs_hz), round(fs_hz)
    padded = np.pad(x, ((0, 0), (edge, edge)), mode="reflect", reflect_type="odd")
    n, m = padded.shape[1], round(padded.shape[1] / fs_hz * 250)
    spectrum = fft.rfft(padded.astype(np.float64), axis=1)[:, : m // 2 + 1]
    f_hz = np.arange(spectrum.shape[1]) / (n / fs_hz)
    mask = m / n * (1 - 1 / (1 + (f_hz / 0.5) ** 4)) / (1 + (f_hz / 40) ** 8)
    plain = fft.irfft(spectrum * mask, n=m, axis=1)[:, 250 : 250 + 2500]
    steps = filter_and_resample(x, fs_hz, SPEC) / LSB_MV
    assert np.abs(steps - np.rint(steps)).max() < 1e-3
    assert np.abs(np.rint(steps) - plain / LSB_MV).max() < 0.51
