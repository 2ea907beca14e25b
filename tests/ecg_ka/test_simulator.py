"""Simulated recordings: reproducible, electrically consistent, and changed by potassium in nothing but the heart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

import ecg_ka.simulator
from ecg_ka.record import LEADS, EcgRecord
from ecg_ka.simulator import (
    BATCH_PATIENTS,
    DURATION_S,
    FS_HZ,
    SAMPLES,
    CohortBatch,
    CohortSpec,
    Preset,
    Prior,
    draw_patient,
    simulate,
    simulate_batch,
    simulate_cohort,
)
from ecg_ka.simulator.geometry import ELECTRODES_TO_LEADS, LEADS_TO_ELECTRODES, Reversal, electrode_order

Floats = NDArray[np.float64]

LSB_MV = 0.005
SPEC = CohortSpec(preset=Preset.EVIDENCE, prior=Prior.MIX, n_patients=3 * BATCH_PATIENTS, visits_per_patient=1, seed=17)


@pytest.fixture(scope="module")
def batch() -> CohortBatch:
    return simulate_batch(SPEC, 1)


def _lead(record: EcgRecord, name: str) -> Floats:
    return record.lead(name).astype(np.float64)


def test_same_seed_gives_the_same_bits(batch: CohortBatch) -> None:
    again = simulate_batch(SPEC, 1)
    np.testing.assert_array_equal(again.signal_mv, batch.signal_mv)
    np.testing.assert_array_equal(again.potassium_mmol_l, batch.potassium_mmol_l)
    patient = draw_patient(3, Preset.PUBLISHED)
    first, second = (simulate(draw_patient(3, Preset.PUBLISHED), 5.0, 8) for _ in range(2))
    np.testing.assert_array_equal(first.signal_mv, second.signal_mv)
    assert not np.array_equal(simulate(patient, 5.0, 9).signal_mv, first.signal_mv)


def test_a_batch_does_not_depend_on_the_batches_before_it(batch: CohortBatch) -> None:
    in_order = list(simulate_cohort(SPEC))
    assert len(in_order) == SPEC.n_batches == 3
    np.testing.assert_array_equal(in_order[1].signal_mv, batch.signal_mv)
    assert not np.array_equal(in_order[0].signal_mv, batch.signal_mv)
    ids = np.concatenate([b.patient_id for b in in_order])
    np.testing.assert_array_equal(ids, np.arange(SPEC.n_patients))


def test_another_seed_gives_other_patients(batch: CohortBatch) -> None:
    other = simulate_batch(dataclasses.replace(SPEC, seed=18), 1)
    assert not np.intersect1d(other.true_potassium_mmol_l, batch.true_potassium_mmol_l).size


def test_a_batch_has_the_promised_shapes(batch: CohortBatch) -> None:
    assert batch.signal_mv.shape == (BATCH_PATIENTS, len(LEADS), SAMPLES)
    assert batch.signal_mv.dtype == np.float32
    assert np.isfinite(batch.signal_mv).all()
    assert FS_HZ * DURATION_S == SAMPLES
    for values in (batch.potassium_mmol_l, batch.true_potassium_mmol_l, batch.patient_id, *batch.covariates.values()):
        assert values.shape == (BATCH_PATIENTS,)


def test_the_last_batch_holds_the_rest_and_visits_stand_together() -> None:
    spec = dataclasses.replace(SPEC, n_patients=BATCH_PATIENTS + 2, visits_per_patient=3)
    last = simulate_batch(spec, 1)
    np.testing.assert_array_equal(last.patient_id, np.repeat([BATCH_PATIENTS, BATCH_PATIENTS + 1], 3))
    age = last.covariates["age_years"]
    assert np.unique(age).size == 2
    assert np.unique(last.true_potassium_mmol_l).size == 6
    assert not np.array_equal(last.signal_mv[0], last.signal_mv[1])


def test_einthoven_and_goldberger_hold_within_one_step(batch: CohortBatch) -> None:
    i, ii, iii, avr, avl, avf = (batch.signal_mv[:, k].astype(np.float64) for k in range(6))
    tolerance = LSB_MV + 1e-6
    for difference in (i + iii - ii, avr + (i + ii) / 2, avl - i + ii / 2, avf - ii + i / 2):
        assert np.abs(difference).max() <= tolerance


def test_einthoven_also_holds_with_interchanged_cables() -> None:
    spec = dataclasses.replace(SPEC, n_patients=10 * BATCH_PATIENTS)
    seen = set()
    for index in range(spec.n_batches):
        batch = simulate_batch(spec, index)
        swapped = batch.covariates["reversal"] != 0
        seen |= set(batch.covariates["reversal"][swapped].tolist())
        i, ii, iii, avr = (batch.signal_mv[swapped, k].astype(np.float64) for k in range(4))
        assert np.abs(i + iii - ii).max(initial=0.0) <= LSB_MV + 1e-6
        assert np.abs(avr + (i + ii) / 2).max(initial=0.0) <= LSB_MV + 1e-6
    assert Reversal.LA_RA in seen


def test_interchanged_arms_turn_lead_i_over_and_swap_ii_with_iii() -> None:
    leads = np.random.default_rng(0).normal(size=(8, 50))
    electrodes = LEADS_TO_ELECTRODES @ leads
    swapped = ELECTRODES_TO_LEADS @ electrodes[electrode_order(Reversal.LA_RA)]
    np.testing.assert_allclose(swapped[0], -leads[0], atol=1e-12)
    np.testing.assert_allclose(swapped[1], leads[1] - leads[0], atol=1e-12)
    np.testing.assert_allclose(swapped[2:], leads[2:], atol=1e-12)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_electrodes_give_back_the_leads_they_were_made_from(seed: int) -> None:
    leads = np.random.default_rng(seed).normal(size=(8, 5))
    np.testing.assert_allclose(ELECTRODES_TO_LEADS @ (LEADS_TO_ELECTRODES @ leads), leads, atol=1e-12)


def test_potassium_leaves_noise_and_rhythm_of_a_visit_alone() -> None:
    """Just above 4.5 mmol/L next to nothing happens in the heart; another noise would show in the difference."""
    high_pass = signal.butter(4, 60.0, "high", fs=FS_HZ, output="sos")
    for seed in range(8):
        patient = draw_patient(seed, Preset.EVIDENCE, healthy=True)
        usual = 4.5 + float(patient.traits.sensitivity.set_point_mmol_l[0])
        a, b = (simulate(patient, k, 100 + seed).signal_mv.astype(np.float64) for k in (usual, usual + 0.1))
        other = simulate(patient, usual, 200 + seed).signal_mv.astype(np.float64)
        same_visit, other_visit = (np.median(np.abs(signal.sosfiltfilt(high_pass, a - x))) for x in (b, other))
        assert same_visit < 0.7 * other_visit
        assert np.abs(a - b).max() < 0.06


def test_clean_and_noisy_recordings_show_the_same_beats() -> None:
    patient = draw_patient(5, Preset.EVIDENCE, healthy=True)
    band = signal.butter(2, (5.0, 25.0), "band", fs=FS_HZ, output="sos")
    clean, noisy = (
        signal.sosfiltfilt(band, _lead(simulate(patient, 4.2, 1, noise=noise), "V5")) for noise in (False, True)
    )
    assert np.corrcoef(clean, noisy)[0, 1] > 0.95


@pytest.mark.parametrize("linked", [True, False])
def test_ckd_follows_potassium_only_through_the_switch(linked: bool) -> None:
    low_high = []
    for prior_seed in range(2):
        spec = dataclasses.replace(
            SPEC, prior=Prior.UNIFORM, n_patients=8 * BATCH_PATIENTS, ckd_link=linked, seed=prior_seed
        )
        for index in range(spec.n_batches):
            batch = simulate_batch(spec, index)
            low_high.append(np.column_stack([batch.true_potassium_mmol_l, batch.covariates["ckd"]]))
    k, ckd = np.concatenate(low_high).T
    share_low, share_high = ckd[k < 4.5].mean(), ckd[k > 6.0].mean()
    assert share_low == pytest.approx(0.10, abs=0.05)
    assert share_high == pytest.approx(0.52 if linked else 0.10, abs=0.07)


def test_healthy_patients_have_neither_diseases_nor_drugs() -> None:
    batch = simulate_batch(dataclasses.replace(SPEC, healthy=True), 0)
    for name in ("ckd", "lvh", "qrs_kind", "atrial_fibrillation", "old_infarction", "digoxin", "qt_drug"):
        assert not batch.covariates[name].any(), name


def test_a_record_says_that_it_is_simulated() -> None:
    record = simulate(draw_patient(1, Preset.PUBLISHED), 6.0, 0)
    assert record.source.format == "simulated"
    assert any("says nothing about patients" in note for note in record.source.notes)
    assert record.leads == LEADS
    assert record.fs_hz == FS_HZ
    assert record.source.age_years == draw_patient(1, Preset.PUBLISHED).age_years


def test_effects_of_the_published_preset_are_half_again_as_strong() -> None:
    gain = {}
    for preset in Preset:
        sensitivities = [draw_patient(seed, preset).traits.sensitivity.t_height[0] for seed in range(400)]
        gain[preset] = float(np.median(sensitivities))
        assert preset.constants.gain == {Preset.EVIDENCE: 1.0, Preset.PUBLISHED: 1.5}[preset]
    assert 1.4 < gain[Preset.PUBLISHED] / gain[Preset.EVIDENCE] < 2.4


def test_public_names_are_those_of_all() -> None:
    for name in ecg_ka.simulator.__all__:
        assert getattr(ecg_ka.simulator, name).__doc__ or isinstance(getattr(ecg_ka.simulator, name), int | float)
    assert ecg_ka.simulator.__all__ == sorted(ecg_ka.simulator.__all__, key=lambda x: (not x.isupper(), x))
