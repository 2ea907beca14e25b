"""Visits: what of an ECG differs from one recording to the next of the same person at the same potassium."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg_ka.simulator.geometry import DOWER, ELECTRODES, slide
from ecg_ka.simulator.kernels import QRS_KERNELS

Floats = NDArray[np.float64]

BEATS = 64
"""Most beats of a recording."""
PVC_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Random course of n recordings; all arrays have n rows."""

    lead_vectors: Floats  # (n, 8, 3) after electrode placement and the body's conduction
    lead_mixing: Floats  # (n, 8, 8)
    hr_bpm: Floats
    pr_ms: Floats
    qtc_ms: Floats
    qrs_factor: Floats  # (n, 6)
    t_mv: Floats  # (n, 3)
    t_factor: Floats
    t_width_factor: Floats
    t_asymmetry_factor: Floats
    start: Floats  # share of an interval before the first beat
    rr_noise: Floats  # (n, BEATS) standard normal
    rr_gamma: Floats  # (n, BEATS) mean 1, of atrial fibrillation
    rr_variability: Floats
    beat_noise: Floats  # (n, BEATS) standard normal
    breath_hz: Floats
    breath_phase: Floats  # (n, ELECTRODES) radians
    pvc_beat: NDArray[np.intp]  # -1 where there is none
    pvc_turn: Floats  # (n,) degrees in the frontal plane
    f_wave_hz: Floats
    f_wave_mv: Floats
    f_wave_phase: Floats  # (n, 3) radians


def draw_visit(rng: np.random.Generator, n: int) -> Visit:
    """Visits of n patients."""
    lead_vectors, mixing = _draw_leads(rng, n)
    return Visit(
        lead_vectors=lead_vectors,
        lead_mixing=mixing,
        hr_bpm=rng.normal(0.0, 7.0, n),
        pr_ms=rng.normal(0.0, 6.0, n),
        qtc_ms=rng.normal(0.0, 7.0, n),
        qrs_factor=_log_normal(rng, 0.10, (n, QRS_KERNELS)),
        t_mv=rng.normal(0.0, 0.03, (n, 3)),
        t_factor=_log_normal(rng, 0.10, n),
        t_width_factor=_log_normal(rng, 0.035, n),
        t_asymmetry_factor=_log_normal(rng, 0.05, n),
        start=rng.random(n),
        rr_noise=rng.normal(0.0, 1.0, (n, BEATS)),
        rr_gamma=rng.standard_gamma(18.0, (n, BEATS)) / 18.0,
        rr_variability=0.035 * _log_normal(rng, 0.6, n),
        beat_noise=rng.normal(0.0, 1.0, (n, BEATS)),
        breath_hz=rng.uniform(0.18, 0.36, n),
        breath_phase=rng.uniform(0.0, 2 * np.pi, n)[:, None] + rng.normal(0.0, 0.6, (n, ELECTRODES)),
        pvc_beat=np.where(rng.random(n) < PVC_SHARE, rng.integers(3, 11, n), -1),
        pvc_turn=rng.uniform(-60.0, 100.0, n),
        f_wave_hz=rng.uniform(4.5, 7.5, n),
        f_wave_mv=0.035 * _log_normal(rng, 0.5, n),
        f_wave_phase=rng.uniform(0.0, 2 * np.pi, (n, 3)),
    )


def _log_normal(rng: np.random.Generator, sigma: float, size: int | tuple[int, ...]) -> Floats:
    return np.exp(rng.normal(0.0, sigma, size))


def _draw_leads(rng: np.random.Generator, n: int) -> tuple[Floats, Floats]:
    vectors = np.tile(DOWER, (n, 1, 1))
    vectors[:, 2:, 1] += rng.normal(0.04, 0.10, n)[:, None]  # the row of chest electrodes sits higher or lower
    gain = _log_normal(rng, 0.10, (n, 8))
    gain[:, 2:] *= _log_normal(rng, 0.10, n)[:, None]
    fraction = rng.normal(0.0, 0.28, n)[:, None] + rng.normal(0.0, 0.15, (n, 6))
    mixing = np.tile(np.eye(8), (n, 1, 1))
    mixing[:, 2:, 2:] = slide(fraction)
    return vectors, mixing * gain[:, :, None]
