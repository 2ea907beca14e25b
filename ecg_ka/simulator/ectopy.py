"""Activity beside the regular beat: premature ventricular beats, fibrillating atria, pacing spikes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecg_ka.simulator.geometry import DOWER, LEADS_TO_ELECTRODES
from ecg_ka.simulator.kernels import QrsKind, qrs_shapes

Singles = NDArray[np.float32]

PVC_QRS_MS = 145.0
PVC_GAIN = 1.3
PVC_T_PEAK_MS = 330.0
PVC_T_WIDTH_MS = 48.0
SPIKE_MV = 0.8
F_WAVE_DIRECTION = np.array([-0.35, 0.30, -0.75])
"""Fibrillating atria are seen best by V1."""


def premature_beat(turn_deg: float, time_ms: Singles) -> Singles:
    """(9, t) electrode potentials in mV of a premature ventricular beat, at times (t,) in ms from its onset.

    ``turn_deg`` turns it in the frontal plane.
    """
    kind = np.array([QrsKind.LBBB if turn_deg < 20.0 else QrsKind.PACED], dtype=np.int8)
    centre, width, vectors = qrs_shapes(kind)
    cos, sin = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    qrs = PVC_GAIN * vectors[0] @ np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
    t = -0.8 * (width[0] * PVC_QRS_MS) @ qrs / PVC_T_WIDTH_MS
    centres = np.append(centre[0] * PVC_QRS_MS, PVC_T_PEAK_MS)
    widths = np.append(width[0] * PVC_QRS_MS, PVC_T_WIDTH_MS)
    basis = np.exp(-0.5 * ((time_ms - centres[:, None]) / widths[:, None]) ** 2).astype(np.float32)
    amplitude = LEADS_TO_ELECTRODES @ DOWER @ np.vstack([qrs, t]).T
    beat: Singles = amplitude.astype(np.float32) @ basis
    return beat


def f_waves(rate_hz: float, size_mv: float, phase: NDArray[np.float64], time_s: Singles) -> Singles:
    """(9, t) electrode potentials in mV of fibrillating atria; ``phase`` (3,) in radians makes each one different."""
    angle = 2 * np.pi * rate_hz * time_s
    wander = 1.2 * np.sin(2 * np.pi * 0.31 * time_s + phase[1]) + 0.8 * np.sin(2 * np.pi * 0.73 * time_s + phase[2])
    wave = np.sin(angle + wander + phase[0]) + 0.35 * np.sin(2 * (angle + wander) + phase[1])
    amplitude = LEADS_TO_ELECTRODES @ DOWER @ F_WAVE_DIRECTION * size_mv
    waves: Singles = np.outer(amplitude, wave).astype(np.float32)
    return waves


def spike() -> NDArray[np.float64]:
    """(9,) electrode potentials in mV of a pacing stimulus, one sample long."""
    potentials: NDArray[np.float64] = LEADS_TO_ELECTRODES @ DOWER @ np.array([0.3, -0.8, 0.4]) * SPIKE_MV
    return potentials
