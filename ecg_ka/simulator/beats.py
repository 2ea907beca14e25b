"""From beat shapes to the potentials of 9 electrodes over time, one recording at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg_ka.simulator.ectopy import f_waves, premature_beat, spike
from ecg_ka.simulator.effects import Shape
from ecg_ka.simulator.geometry import ELECTRODES, LEADS_TO_ELECTRODES
from ecg_ka.simulator.kernels import T_LOOP_MS, TA_DELAY_MS, TA_WIDTH_MS, Kernel, QrsKind
from ecg_ka.simulator.patients import Traits
from ecg_ka.simulator.visits import Visit

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

FS_HZ = 500.0
DURATION_S = 10.0
MARGIN_S = 0.4
"""Made before and after the recording, so that filters are settled at its ends."""

SAMPLES = int(FS_HZ * DURATION_S)
MARGIN = int(FS_HZ * MARGIN_S)
TOTAL = SAMPLES + 2 * MARGIN

_BEFORE = 210  # samples of the P-QRS window before QRS onset
_QRS_WINDOW = 390
_T_WINDOW = 480
_STEP_MS = 1000.0 / FS_HZ
_QRS_TIME_MS = ((np.arange(_QRS_WINDOW) - _BEFORE) * _STEP_MS).astype(np.float32)
_T_TIME_MS = (np.arange(_T_WINDOW) * _STEP_MS).astype(np.float32)
_TIME_S = (np.arange(TOTAL) / FS_HZ - MARGIN_S).astype(np.float32)
_HALF_WIDTH = float(np.sqrt(2.0 * np.log(2.0)))
"""Of a Gaussian of sigma 1."""
_PVC_LEAD_MS = 20.0
PVC_COUPLING = 0.62
"""Interval before a premature beat, as a share of the regular one; the next is longer by as much."""
BREATH_AMPLITUDE = 0.035
BEAT_JITTER = 0.02


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Beats of one recording: ``onset`` (m,) sample of QRS onset, ``rr_s`` (m,) for QT, ``factor`` (m, 9)."""

    onset: NDArray[np.intp]
    rr_s: Floats
    factor: Singles
    pvc: int


def draw_rhythms(traits: Traits, visit: Visit, shape: Shape) -> list[Rhythm]:
    """When each of the n recordings' beats start, and how tall they are at each electrode."""
    mean = 60.0 / shape.hr_bpm[:, None]
    sinus = 1.0 + visit.rr_variability[:, None] * visit.rr_noise
    irregular = traits.conditions.atrial_fibrillation[:, None]
    rr = mean * np.clip(np.where(irregular, visit.rr_gamma, sinus), 0.4, 2.2)
    _place_pvc(rr, visit.pvc_beat)
    start = -MARGIN_S - _T_WINDOW / FS_HZ + visit.start[:, None] * mean
    time = start + np.cumsum(rr, axis=1) - rr[:, :1]
    previous = np.concatenate([mean, rr[:, :-1]], axis=1)
    rr_for_qt = mean + np.where(irregular, 0.5, 0.3) * (previous - mean)
    breath = np.sin(2 * np.pi * visit.breath_hz[:, None] * time)
    breath_cos = np.cos(2 * np.pi * visit.breath_hz[:, None] * time)
    cos, sin = np.cos(visit.breath_phase)[:, None, :], np.sin(visit.breath_phase)[:, None, :]
    factor = 1.0 + BREATH_AMPLITUDE * (breath[:, :, None] * cos + breath_cos[:, :, None] * sin)
    factor = (factor + BEAT_JITTER * visit.beat_noise[:, :, None]).astype(np.float32)
    onset = np.round((time + MARGIN_S) * FS_HZ).astype(np.intp)
    rhythms = []
    for i in range(len(traits)):
        keep = (onset[i] > -_T_WINDOW) & (onset[i] < TOTAL + _BEFORE)
        pvc = int(visit.pvc_beat[i]) - int(np.argmax(keep)) if visit.pvc_beat[i] >= 0 else -1
        rhythms.append(Rhythm(onset[i, keep], rr_for_qt[i, keep], factor[i, keep], pvc))
    return rhythms


def _place_pvc(rr: Floats, beat: NDArray[np.intp]) -> None:
    rows = np.flatnonzero(beat >= 0)
    rr[rows, beat[rows] - 1] *= PVC_COUPLING
    rr[rows, beat[rows]] *= 2.0 - PVC_COUPLING


def electrode_potentials(shape: Shape, row: int, rhythm: Rhythm) -> Singles:
    """(9, TOTAL) potentials in mV of the beats of one recording, extrasystoles left out."""
    amplitude = (LEADS_TO_ELECTRODES @ shape.amplitude_mv[row]).astype(np.float32)
    waves = amplitude[:, : Kernel.T] @ _p_qrs_basis(shape, row)
    basis = _t_basis(shape, row, rhythm.rr_s)
    repolarisation = (amplitude[:, Kernel.T :] @ basis.reshape(len(basis), -1)).reshape(ELECTRODES, -1, _T_WINDOW)
    guard = _T_WINDOW + _BEFORE
    buffer = np.zeros((ELECTRODES, guard + TOTAL + _BEFORE + _T_WINDOW), dtype=np.float32)
    for beat, onset in enumerate(rhythm.onset):
        if beat == rhythm.pvc:
            continue
        factor = rhythm.factor[beat][:, None]
        at = guard + onset
        buffer[:, at : at + _T_WINDOW] += repolarisation[:, beat] * factor
        buffer[:, at - _BEFORE : at - _BEFORE + _QRS_WINDOW] += waves * factor
    return buffer[:, guard : guard + TOTAL]


def add_ectopy(potentials: Singles, traits: Traits, visit: Visit, row: int, rhythm: Rhythm) -> None:
    """Add to the potentials (9, TOTAL) what the recording has beside its regular beats."""
    if 0 <= rhythm.pvc < rhythm.onset.size:
        at = int(rhythm.onset[rhythm.pvc])
        beat = premature_beat(float(visit.pvc_turn[row]), _T_TIME_MS - _PVC_LEAD_MS)
        first, last = max(at, 0), min(at + _T_WINDOW, TOTAL)
        if first < last:
            potentials[:, first:last] += beat[:, first - at : last - at]
    if traits.conditions.atrial_fibrillation[row]:
        potentials += f_waves(visit.f_wave_hz[row], visit.f_wave_mv[row], visit.f_wave_phase[row], _TIME_S)
    if traits.conditions.qrs_kind[row] == QrsKind.PACED:
        onset = rhythm.onset[(rhythm.onset >= 0) & (rhythm.onset < TOTAL)]
        potentials[:, onset] += spike()[:, None].astype(np.float32)


def _p_qrs_basis(shape: Shape, row: int) -> Singles:
    """(9, _QRS_WINDOW) the six QRS kernels, the two of P, and atrial repolarisation."""
    p = shape.p_centre_ms[row] - shape.pr_ms[row]
    centre = np.concatenate([shape.qrs_centre[row] * shape.qrs_ms[row], p, [p[1] + TA_DELAY_MS]])
    width = np.concatenate([shape.qrs_width[row] * shape.qrs_ms[row], shape.p_width_ms[row], [TA_WIDTH_MS]])
    return _bell(_QRS_TIME_MS, _column(centre), _column(width))


def _t_basis(shape: Shape, row: int, rr_s: Floats) -> Singles:
    """(5, m, _T_WINDOW) kernels T, T_LOOP, U, ST and SCOOP of every beat."""
    qrs = shape.qrs_ms[row]
    qt = shape.qtc_ms[row] * np.cbrt(rr_s)
    scale = np.clip((qt / 400.0) ** 0.6, 0.75, 1.25)
    fall, rise = _column(shape.t_fall_ms[row] * scale), _column(shape.t_rise_ms[row] * scale)
    peak = np.maximum(_column(qt) - 2.0 * fall, np.float32(qrs) + np.float32(1.1) * rise)
    scale = _column(scale)
    j = np.float32(qrs - 6.0)
    basis = np.empty((5, rr_s.size, _T_WINDOW), dtype=np.float32)
    time = _T_TIME_MS
    power = shape.t_rise_power[row], shape.t_fall_power[row]
    basis[0] = _hill(time - peak, rise, fall, power)
    basis[1] = _hill(time - peak + T_LOOP_MS, rise, fall, power)
    basis[2] = _bell(time, peak + 2.0 * fall + 62.0 * scale, 34.0 * scale)
    basis[3] = _logistic((time - j) / 6.0) * _logistic((peak - 10.0 - time) / 26.0)
    basis[4] = _bell(time, 0.5 * (j + peak) + 15.0, np.maximum(0.27 * (peak - j), 10.0))
    return basis


def _column(x: Floats) -> Singles:
    return np.asarray(x, dtype=np.float32)[:, None]


def _bell(time: Singles, centre: Singles, width: Singles) -> Singles:
    z = (time - centre) / width
    z *= z
    z *= np.float32(-0.5)
    bell: Singles = np.exp(z, out=z)
    return bell


def _hill(time: Singles, rise: Singles, fall: Singles, power: tuple[float, float]) -> Singles:
    """A bell about time 0 with a width and a power for either side; power 2 is a Gaussian, 1 falls exponentially.

    The widths are sigmas of the Gaussians that are half as high where the sides are.
    """
    before = time < 0
    z = np.abs(time) / (np.float32(_HALF_WIDTH) * np.where(before, rise, fall))
    hill: Singles = np.exp2(-(z ** np.where(before, *power).astype(np.float32)))
    return hill


def _logistic(x: Singles) -> Singles:
    np.clip(x, -30.0, 30.0, out=x)
    return np.float32(1.0) / (np.float32(1.0) + np.exp(-x))
