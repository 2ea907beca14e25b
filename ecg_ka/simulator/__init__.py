"""Simulated 12-lead ECGs of patients at chosen potassium concentrations.

Everything made here is simulated: accuracy on it says nothing about patients. It gives the shipped model, the tests
and the comparison of losses something physiologically grounded to work on.

Effects of potassium come from population studies (tests/ecg_ka/test_simulator_calibration.py compares them). Constants
of anatomy and signal were fitted to 76 healthy ECGs of PTB-XL (training/compare_simulator.py prints the comparison);
what that changed against a plain dipole in a torso model, and why:

- QRS kernels narrower and nearer to each other: real QRS is 40 % steeper and measures 18 ms shorter.
- Mean amplitudes beyond the dipole (``RESIDUAL_MEAN``): no dipole gives T and P of real size in I and V4 at once.
- P points more to the left, peaks 8 ms later, PR is 6 ms shorter: P was too small in I and too early.
- T is nearly symmetric (rise/fall 1.18), 4 ms narrower, with a loop that widens it in V2; a baseline ST vector.
- T and QRS axes and T heights vary less between people; QTc is 16 ms shorter, heart rate 3 bpm slower.
- Rhythm varies more (3.5 %), QT follows a third of a change of interval; QRS sharpness differs between people.
- Muscle noise is lower with a steeper spectrum and 2.4 times stronger at limb electrodes; steps of 1 to 5 microvolts.
- Secondary T of bundle branch block is halved: it reached 2 mV.
"""

from ecg_ka.simulator.beats import DURATION_S, FS_HZ, SAMPLES
from ecg_ka.simulator.cohort import (
    BATCH_PATIENTS,
    CohortBatch,
    CohortSpec,
    as_record,
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
    "as_record",
    "draw_patient",
    "sample_potassium",
    "simulate",
    "simulate_batch",
    "simulate_cohort",
]
