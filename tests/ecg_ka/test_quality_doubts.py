"""What a file states is doubted where the ECG contradicts it: limb leads, cables, gain, sampling rate."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfiltfilt
from typer.testing import CliRunner

from ecg_ka import Estimator, Flag, read
from ecg_ka.cli import app
from ecg_ka.quality import assess
from ecg_ka.record import INDEPENDENT_LEADS, LEADS, EcgRecord, Source
from ecg_ka.simulator import FS_HZ, CohortSpec, Preset, Prior, simulate_cohort
from ecg_ka.simulator.geometry import DOWER, ELECTRODES_TO_LEADS, LEADS_TO_ELECTRODES, Reversal, electrode_order
from tests.ecg_ka.ecgs import csv_bytes, ecg

Signal = NDArray[np.float32]
SOURCE = Source(format="test", sha256="0" * 64, units_in="mV")
INDEPENDENT = [LEADS.index(lead) for lead in INDEPENDENT_LEADS]
AUGMENTED = ("III", "aVR", "aVL", "aVF")


def record(signal: NDArray[np.floating], fs_hz: float = FS_HZ) -> EcgRecord:
    """All 12 leads (12, n) as a file would hold them."""
    return EcgRecord(signal_mv=np.array(signal, dtype=np.float32), leads=LEADS, fs_hz=fs_hz, source=SOURCE)


def interchanged(signal: Signal, reversal: Reversal) -> EcgRecord:
    """The same heart with cables interchanged."""
    electrodes = (LEADS_TO_ELECTRODES @ signal[INDEPENDENT])[electrode_order(reversal)]
    return EcgRecord.from_leads(ELECTRODES_TO_LEADS @ electrodes, INDEPENDENT_LEADS, fs_hz=FS_HZ, source=SOURCE)


def mirrored(signal: Signal) -> EcgRecord:
    """A heart on the right: the dipole that explains the leads best, with left and right exchanged."""
    leads = signal[INDEPENDENT].astype(np.float64)
    left = np.linalg.pinv(DOWER)[0] @ leads
    return EcgRecord.from_leads(leads - 2 * np.outer(DOWER[:, 0], left), INDEPENDENT_LEADS, fs_hz=FS_HZ, source=SOURCE)


def suspected(records: list[EcgRecord]) -> NDArray[np.bool_]:
    return np.array([Flag.LEAD_REVERSAL_SUSPECTED in assess(one).flags for one in records])


def inconsistent(made: EcgRecord) -> list[str]:
    quality = assess(made)
    named = [lead.lead for lead in quality.leads if lead.inconsistent]
    assert (Flag.INCONSISTENT_LEADS in quality.flags) == bool(named)
    assert all(any(lead in note for note in quality.notes) for lead in named)
    return named


@pytest.fixture(scope="module")
def simulated() -> tuple[Signal, NDArray[np.bool_], NDArray[np.bool_]]:
    """384 ECGs (n, 12, 5000) with their cables right, with all conditions, noise and filters; which of them are paced
    or have a left bundle branch block, and which have atrial fibrillation."""
    spec = CohortSpec(preset=Preset.PUBLISHED, prior=Prior.WIDE, n_patients=384, visits_per_patient=1, seed=911)
    batches = list(simulate_cohort(spec))
    right = np.concatenate([batch.covariates["reversal"] for batch in batches]) == Reversal.NONE
    kind = np.concatenate([batch.covariates["qrs_kind"] for batch in batches])
    fibrillation = np.concatenate([batch.covariates["atrial_fibrillation"] for batch in batches]).astype(bool)
    signals = np.concatenate([batch.signal_mv for batch in batches])
    return signals[right], np.isin(kind, (1, 4))[right], fibrillation[right]


@pytest.fixture(scope="module")
def real(shared_data: Path) -> list[Signal]:
    return [read(path).signal_mv for path in sorted((shared_data / "ptbxl" / "records500").glob("*.hea"))]


def test_arm_cables_interchanged_in_simulated_ecgs_are_suspected(
    simulated: tuple[Signal, NDArray[np.bool_], NDArray[np.bool_]],
) -> None:
    """97.9 % of 1,856 in the long run. Those with atrial fibrillation have no P to tell by."""
    signals, _, fibrillation = simulated
    found = suspected([interchanged(signal, Reversal.LA_RA) for signal in signals])
    assert found.mean() >= 0.95, found.mean()
    assert found[fibrillation].mean() >= 0.85, found[fibrillation]


def test_cables_that_are_right_are_hardly_ever_suspected(
    simulated: tuple[Signal, NDArray[np.bool_], NDArray[np.bool_]],
) -> None:
    signals, discordant, _ = simulated
    found = suspected([record(signal) for signal in signals])
    assert found.mean() <= 0.025
    assert found[~discordant].mean() <= 0.003


def test_right_arm_and_leg_cables_interchanged_are_mostly_suspected_and_named(
    simulated: tuple[Signal, NDArray[np.bool_], NDArray[np.bool_]],
) -> None:
    notes = [assess(interchanged(signal, Reversal.RA_LL)).notes for signal in simulated[0][:150]]
    assert np.mean(["RA and LL" in " ".join(note) for note in notes]) >= 0.80


def test_a_heart_on_the_right_is_not_taken_for_interchanged_arm_cables(
    simulated: tuple[Signal, NDArray[np.bool_], NDArray[np.bool_]],
) -> None:
    notes = [assess(mirrored(signal)).notes for signal in simulated[0][:150]]
    assert np.mean(["RA and LA" in " ".join(note) for note in notes]) <= 0.02


@pytest.mark.shared
def test_cables_of_200_real_ecgs(real: list[Signal]) -> None:
    """At most 1 % are suspected as they are (a paced ECG that stands there twice); of the reversed ones 97 %."""
    assert len(real) >= 200
    assert suspected([record(signal) for signal in real]).mean() <= 0.01
    for reversal in (Reversal.LA_RA, Reversal.RA_LL):
        assert suspected([interchanged(signal, reversal) for signal in real]).mean() >= 0.95


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 500), gain=st.floats(0.6, 1.6), up_down=st.sampled_from([(1, 5), (1, 2), (2, 1)]))
def test_neither_gain_nor_sampling_rate_decides_about_cables(seed: int, gain: float, up_down: tuple[int, int]) -> None:
    up, down = up_down
    signal = gain * ecg(seed).signal_mv
    for made in (signal, interchanged(signal, Reversal.LA_RA).signal_mv):
        again = resample_poly(made, up, down, axis=1)
        assert suspected([record(made)]) == suspected([record(again, FS_HZ * up / down)])


@pytest.mark.parametrize("gone", ["I", "II", "V6"])
def test_without_a_beat_in_i_ii_and_v6_nothing_is_said_about_cables(gone: str) -> None:
    signal = interchanged(ecg(3).signal_mv, Reversal.LA_RA).signal_mv.copy()
    assert suspected([record(signal)])
    signal[LEADS.index(gone)] = 0.0
    assert not suspected([record(signal)])
    kept = [row for row, lead in enumerate(LEADS) if lead != gone]
    lacking = EcgRecord(signal_mv=signal[kept], leads=tuple(LEADS[row] for row in kept), fs_hz=FS_HZ, source=SOURCE)
    assert not suspected([lacking])


def test_one_beat_is_too_few_to_judge_cables() -> None:
    assert not suspected([interchanged(ecg(3).signal_mv, Reversal.LA_RA).crop(0, 700)])


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 500), lsb_mv=st.sampled_from([0.001, 0.005, 0.01]), low_pass_hz=st.sampled_from([40, 100]))
def test_rounding_filters_and_baseline_do_not_make_leads_inconsistent(
    seed: int, lsb_mv: float, low_pass_hz: int
) -> None:
    signal = ecg(seed).signal_mv.astype(np.float64)
    rows = [LEADS.index(lead) for lead in AUGMENTED]
    signal[rows] = sosfiltfilt(butter(2, low_pass_hz, fs=FS_HZ, output="sos"), signal[rows], axis=1)
    signal[rows] += 0.5 * np.sin(2 * np.pi * 0.2 * np.arange(signal.shape[1]) / FS_HZ) + 3.0
    assert inconsistent(record(np.rint(signal / lsb_mv) * lsb_mv)) == []


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 500), lead=st.sampled_from(AUGMENTED), at=st.integers(600, 4400), sign=st.sampled_from([-1, 1])
)
def test_a_disturbed_limb_lead_is_named_alone_with_the_size(seed: int, lead: str, at: int, sign: int) -> None:
    signal = ecg(seed).signal_mv.copy()
    signal[LEADS.index(lead), at : at + 3] += np.float32(6 * sign)
    made = record(signal)
    assert inconsistent(made) == [lead]
    assert any(f"{lead} (by up to 5.9" in note or f"{lead} (by up to 6.0" in note for note in assess(made).notes)


@pytest.mark.parametrize("seed", range(5))
def test_leads_under_each_others_names_and_upside_down_are_inconsistent(seed: int) -> None:
    signal = ecg(seed).signal_mv
    row = {lead: LEADS.index(lead) for lead in LEADS}
    exchanged = signal.copy()
    exchanged[[row["aVR"], row["aVL"]]] = signal[[row["aVL"], row["aVR"]]]
    assert inconsistent(record(exchanged)) == ["aVR", "aVL"]
    upside_down = signal.copy()
    upside_down[row["aVR"]] *= -1
    assert inconsistent(record(upside_down)) == ["aVR"]
    first_two = signal.copy()
    first_two[:2] = signal[1::-1]
    assert "aVR" not in inconsistent(record(first_two))  # -(I + II) / 2 is the same either way


def test_leads_that_were_derived_are_never_inconsistent() -> None:
    signal = ecg(1).signal_mv[INDEPENDENT].copy()
    signal[0, 2000:2003] += 8
    assert inconsistent(EcgRecord.from_leads(signal, INDEPENDENT_LEADS, fs_hz=FS_HZ, source=SOURCE)) == []


@pytest.mark.shared
def test_of_200_real_ecgs_one_has_inconsistent_leads(real: list[Signal]) -> None:
    """PTB-XL 162: aVR, and with it aVF, leaves its course for 4 ms by 2.56 mV."""
    named = {number: leads for number, signal in enumerate(real, 1) if (leads := inconsistent(record(signal)))}
    assert named == {162: ["aVR", "aVF"]}
    assert "aVR (by up to 2.5" in " ".join(assess(record(real[161])).notes)


@pytest.mark.shared
@pytest.mark.parametrize("lead", AUGMENTED)
def test_a_real_limb_lead_upside_down_is_named_alone(real: list[Signal], lead: str) -> None:
    upside_down = np.ones((12, 1), dtype=np.float32)
    upside_down[LEADS.index(lead)] = -1
    named = [inconsistent(record(signal * upside_down)) for signal in real[:100]]
    assert np.mean([leads == [lead] for leads in named]) >= 0.98


@pytest.mark.parametrize(("factor", "flagged"), [(5.0, 0.80), (0.2, 0.70), (1.0, 0.0)])
def test_a_gain_that_is_five_times_off_is_mostly_seen(
    simulated: tuple[Signal, NDArray[np.bool_], NDArray[np.bool_]], factor: float, flagged: float
) -> None:
    found = [Flag.IMPLAUSIBLE_AMPLITUDE in assess(record(factor * signal)).flags for signal in simulated[0][:100]]
    assert np.mean(found) >= flagged
    assert factor != 1.0 or not any(found)


@pytest.mark.shared
def test_the_amplitude_of_200_real_ecgs_is_plausible_and_a_wrong_gain_is_not(
    real: list[Signal], shared_data: Path
) -> None:
    assert not any(Flag.IMPLAUSIBLE_AMPLITUDE in assess(record(signal)).flags for signal in real)
    answer = Estimator.load().estimate(read(shared_data / "cinc2020" / "HR00599.hea"))  # 200/mV stated, 1000 true
    assert Flag.IMPLAUSIBLE_AMPLITUDE in answer.flags
    assert answer.potassium_mmol_l is None


def test_a_sampling_rate_five_times_too_low_shows_in_the_heart_rate() -> None:
    made = next(made for made in map(ecg, range(50)) if 70 < (assess(made).heart_rate_bpm or 0) < 80)
    answer = Estimator.load().estimate(replace(made, fs_hz=FS_HZ / 5))
    assert Flag.IMPLAUSIBLE_HEART_RATE in answer.flags
    assert answer.potassium_mmol_l is None
    assert any("sampling rate" in reason for reason in answer.abstain_reasons)


def test_doubts_reach_the_answer_and_the_command(tmp_path: Path) -> None:
    made = interchanged(ecg(3).signal_mv, Reversal.LA_RA)
    answer = Estimator.load().estimate(made)
    assert Flag.LEAD_REVERSAL_SUSPECTED in answer.flags
    assert answer.potassium_mmol_l is not None
    assert any("RA and LA" in note for note in answer.ecg.notes)
    path = tmp_path / "reversed.csv"
    path.write_bytes(csv_bytes(made))
    text = CliRunner().invoke(app, ["quality", str(path)]).stdout
    assert "note: beside V6 the cables RA and LA look interchanged" in text
    assert Flag.LEAD_REVERSAL_SUSPECTED.sentence in text
    report = json.loads(CliRunner().invoke(app, ["quality", str(path), "--json"]).stdout)
    assert {"name": "LEAD_REVERSAL_SUSPECTED", "sentence": Flag.LEAD_REVERSAL_SUSPECTED.sentence} in report["flags"]
    assert any("RA and LA" in note for note in report["notes"])
