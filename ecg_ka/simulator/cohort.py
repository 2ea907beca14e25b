"""Simulated recordings: one patient at a chosen potassium, or a whole cohort in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg_ka.record import LEADS, EcgRecord, Source
from ecg_ka.simulator.beats import FS_HZ, SAMPLES, TOTAL, add_ectopy, draw_rhythms, electrode_potentials
from ecg_ka.simulator.effects import Shape, shape_beats
from ecg_ka.simulator.noise import NoisePlan, add_noise, draw_noise_plan
from ecg_ka.simulator.patients import Patient, Traits, ckd_probability, draw_traits
from ecg_ka.simulator.presets import Preset
from ecg_ka.simulator.priors import Prior, sample_potassium, uniform_potassium
from ecg_ka.simulator.recorder import (
    RecorderPlan,
    draw_recorder_plan,
    filtered_leads,
    plain_leads,
    quantised_record,
    swap_cables,
)
from ecg_ka.simulator.visits import Visit, draw_visit

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

BATCH_PATIENTS = 64
"""Patients of one batch; the last batch of a cohort may have fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortSpec:
    """Which cohort to simulate; the same spec gives the same bits.

    ``ckd_link`` makes chronic kidney disease likelier where potassium is high: the only way, besides the heart, in
    which an ECG tells about potassium. ``healthy`` leaves out diseases and drugs. ``noise`` off leaves out electrode
    noise, filters and interchanged cables. ``potassium_range_mmol_l`` takes the place of the prior: flat in the blood
    between its ends.
    """

    preset: Preset
    prior: Prior
    n_patients: int
    visits_per_patient: int
    seed: int
    ckd_link: bool = True
    healthy: bool = False
    noise: bool = True
    potassium_range_mmol_l: tuple[float, float] | None = None

    @property
    def n_batches(self) -> int:
        """How many batches the cohort has."""
        return -(-self.n_patients // BATCH_PATIENTS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CohortBatch:
    """B recordings of a cohort; a patient's visits stand next to each other.

    ``signal_mv`` (B, 12, SAMPLES) float32 in LEADS order at FS_HZ; ``potassium_mmol_l`` (B,) as the laboratory
    recorded it; ``true_potassium_mmol_l`` (B,) in the blood; ``patient_id`` (B,) counts through the cohort.
    ``covariates`` hold (B,) arrays by name: age, sex, conditions, intervals, reversal.
    """

    signal_mv: Singles
    potassium_mmol_l: Floats
    true_potassium_mmol_l: Floats
    patient_id: NDArray[np.intp]
    covariates: dict[str, NDArray[np.generic]]


def simulate(patient: Patient, potassium_mmol_l: float, visit_seed: int, *, noise: bool = True) -> EcgRecord:
    """The 12-lead ECG (12, SAMPLES) at FS_HZ of one patient at a potassium in mmol/L.

    The same ``visit_seed`` at another potassium is the same recording but for what potassium does. ``noise`` off
    leaves out electrode noise, filters and interchanged cables.
    """
    plans = _draw_plans(np.random.SeedSequence(visit_seed), 1)
    signal, _ = _render(patient.traits, plans, np.array([potassium_mmol_l]), noise=noise)
    source = Source(
        format="simulated",
        sha256=hashlib.sha256(signal.tobytes()).hexdigest(),
        units_in="mV",
        device="ecg_ka simulator",
        age_years=patient.age_years,
        notes=(f"simulated with preset {patient.preset.value}; says nothing about patients",),
    )
    return EcgRecord(signal_mv=signal[0], leads=LEADS, fs_hz=FS_HZ, source=source)


def as_record(signal_mv: NDArray[np.float32], *, age_years: float | None = None) -> EcgRecord:
    """One ECG (12, SAMPLES) of a batch as a record."""
    source = Source(format="simulated", sha256="", units_in="mV", age_years=age_years)
    return EcgRecord(signal_mv=signal_mv, leads=LEADS, fs_hz=FS_HZ, source=source)


def simulate_cohort(spec: CohortSpec) -> Iterator[CohortBatch]:
    """All batches of a cohort in order."""
    for index in range(spec.n_batches):
        yield simulate_batch(spec, index)


def simulate_batch(spec: CohortSpec, index: int) -> CohortBatch:
    """Batch ``index`` of a cohort; it does not depend on other batches, so processes can share the work."""
    first = index * BATCH_PATIENTS
    n = min(BATCH_PATIENTS, spec.n_patients - first)
    of_patients, of_potassium, of_visits = np.random.SeedSequence(spec.seed, spawn_key=(index,)).spawn(3)
    total = n * spec.visits_per_patient
    rng = np.random.default_rng(of_potassium)
    if spec.potassium_range_mmol_l is None:
        true, recorded = sample_potassium(spec.prior, total, rng)
    else:
        true, recorded = uniform_potassium(*spec.potassium_range_mmol_l, total, rng)
    usual = true.reshape(n, -1).max(axis=1) if spec.ckd_link else None
    ckd = ckd_probability(usual, n)
    traits = draw_traits(np.random.default_rng(of_patients), ckd, spec.preset, healthy=spec.healthy)
    rows = np.repeat(np.arange(n), spec.visits_per_patient)
    traits = traits.take(rows)
    plans = _draw_plans(of_visits, total)
    signal, shape = _render(traits, plans, true, noise=spec.noise)
    return CohortBatch(
        signal_mv=signal,
        potassium_mmol_l=recorded,
        true_potassium_mmol_l=true,
        patient_id=first + rows,
        covariates=_covariates(traits, shape, plans),
    )


@dataclass(frozen=True, slots=True)
class _Plans:
    """All random choices of n recordings that do not depend on potassium."""

    visit: Visit
    noise: NoisePlan
    recorder: RecorderPlan


def _draw_plans(seed: np.random.SeedSequence, n: int) -> _Plans:
    visit, noise, recorder = (np.random.default_rng(child) for child in seed.spawn(3))
    return _Plans(draw_visit(visit, n), draw_noise_plan(noise, n, TOTAL), draw_recorder_plan(recorder, n))


def _render(traits: Traits, plans: _Plans, potassium_mmol_l: Floats, *, noise: bool) -> tuple[Singles, Shape]:
    shape = shape_beats(traits, plans.visit, potassium_mmol_l)
    rhythms = draw_rhythms(traits, plans.visit, shape)
    signal = np.empty((len(traits), 12, SAMPLES), dtype=np.float32)
    for row, rhythm in enumerate(rhythms):
        potentials = electrode_potentials(shape, row, rhythm)
        add_ectopy(potentials, traits, plans.visit, row, rhythm)
        if noise:
            potentials = swap_cables(potentials, plans.recorder, row)
            add_noise(potentials, plans.noise, row)
            leads = filtered_leads(potentials, plans.recorder, row)
        else:
            leads = plain_leads(potentials)
        signal[row] = quantised_record(leads, float(plans.recorder.lsb_mv[row]))
    return signal, shape


def _covariates(traits: Traits, shape: Shape, plans: _Plans) -> dict[str, NDArray[np.generic]]:
    c = traits.conditions
    return {
        "age_years": c.age_years,
        "male": c.male,
        "ckd": c.ckd,
        "lvh": c.lvh,
        "early_repolarisation": c.early_repolarisation,
        "qrs_kind": c.qrs_kind,
        "atrial_fibrillation": c.atrial_fibrillation,
        "old_infarction": c.old_infarction,
        "digoxin": c.digoxin,
        "qt_drug": c.qt_drug,
        "repolarisation": c.repolarisation,
        "pvc": plans.visit.pvc_beat >= 0,
        "reversal": plans.recorder.reversal,
        "hr_bpm": shape.hr_bpm,
        "pr_ms": shape.pr_ms,
        "qrs_ms": shape.qrs_ms,
        "qtc_ms": shape.qtc_ms,
    }
