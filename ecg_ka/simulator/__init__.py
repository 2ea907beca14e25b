"""Simulated 12-lead ECGs of patients at chosen potassium concentrations.

Everything made here is simulated: accuracy on it says nothing about patients. It gives the shipped model, the tests
and the comparison of losses something physiologically grounded to work on.
"""

from ecg_ka.simulator.beats import DURATION_S, FS_HZ, SAMPLES
from ecg_ka.simulator.cohort import (
    BATCH_PATIENTS,
    CohortBatch,
    CohortSpec,
    simulate,
    simulate_batch,
    simulate_cohort,
)
from ecg_ka.simulator.patients import Patient, draw_patient
from ecg_ka.simulator.presets import Preset, PresetConstants
from ecg_ka.simulator.priors import Prior, sample_potassium

__all__ = [
    "BATCH_PATIENTS",
    "DURATION_S",
    "FS_HZ",
    "SAMPLES",
    "CohortBatch",
    "CohortSpec",
    "Patient",
    "Preset",
    "PresetConstants",
    "Prior",
    "draw_patient",
    "sample_potassium",
    "simulate",
    "simulate_batch",
    "simulate_cohort",
]
