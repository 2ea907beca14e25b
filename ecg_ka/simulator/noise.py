"""Noise at the nine electrodes, from a bank of rows made once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ecg_ka.simulator.geometry import ELECTRODES

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

BANK_SEED = 20260101
BANK_ROWS = 192
BANK_SAMPLES = 8192
_BANK_FS_HZ = 500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisePlan:
    """Random choices for the noise of n recordings; amplitudes are root mean squares in mV, (n, 9) an electrode."""

    muscle_mv: Floats
    wander_mv: Floats
    motion_mv: Floats  # zero for most electrodes
    white_mv: Floats
    mains_mv: Floats
    mains_hz: Floats  # (n,)
    mains_phase: Floats  # (n,)
    pop_mv: Floats  # zero for most recordings
    pop_at: Floats  # (n,) share of the recording
    first_row: NDArray[np.intp]  # (n, 4) of nine in the bank
    offsets: NDArray[np.intp]  # (n, 4)
    signs: Singles  # (n, 4, 9)


def draw_noise_plan(rng: np.random.Generator, n: int, samples: int) -> NoisePlan:
    """Noise of n recordings of so many samples."""
    shape = (n, ELECTRODES)
    limb = np.array([2.4] * 3 + [1.0] * 6)
    muscle = 0.0020 * _log_normal(rng, 0.9, (n, 1)) * _log_normal(rng, 0.4, shape) * limb
    wander = 0.035 * _log_normal(rng, 0.7, (n, 1)) * _log_normal(rng, 0.4, shape)
    motion = 0.060 * _log_normal(rng, 0.6, shape) * (rng.random(shape) < 0.06)
    mains = 0.004 * _log_normal(rng, 0.7, (n, 1)) * rng.normal(0.0, 1.0, shape) * (rng.random((n, 1)) < 0.35)
    pop = (rng.random((n, 1)) < 0.03) * (rng.random(shape) < 0.2) * rng.normal(0.0, 0.4, shape)
    return NoisePlan(
        muscle_mv=muscle,
        wander_mv=wander,
        motion_mv=motion,
        white_mv=0.001 * _log_normal(rng, 0.7, (n, 1)) * np.ones(shape),
        mains_mv=mains,
        mains_hz=np.where(rng.random(n) < 0.7, 50.0, 60.0) + rng.normal(0.0, 0.05, n),
        mains_phase=rng.uniform(0.0, 2 * np.pi, n),
        pop_mv=pop,
        pop_at=rng.random(n),
        first_row=rng.integers(0, BANK_ROWS - ELECTRODES + 1, (n, 4)),
        offsets=rng.integers(0, BANK_SAMPLES - samples, (n, 4)),
        signs=rng.choice(np.array([-1.0, 1.0], dtype=np.float32), (n, 4, ELECTRODES)),
    )


def add_noise(potentials: Singles, plan: NoisePlan, row: int) -> None:
    """Add the noise of one recording to its potentials (9, t) in mV."""
    samples = potentials.shape[1]
    scratch = np.empty_like(potentials)
    for kind, amplitude in enumerate((plan.muscle_mv, plan.wander_mv, plan.white_mv, plan.motion_mv)):
        if amplitude[row].any():
            gain = amplitude[row].astype(np.float32) * plan.signs[row, kind]
            first, offset = plan.first_row[row, kind], plan.offsets[row, kind]
            rows = _bank()[kind, first : first + ELECTRODES, offset : offset + samples]
            potentials += np.multiply(rows, gain[:, None], out=scratch)
    if plan.mains_mv[row].any():
        time = np.arange(samples, dtype=np.float32) * np.float32(2 * np.pi * plan.mains_hz[row] / _BANK_FS_HZ)
        wave = np.sin(time + np.float32(plan.mains_phase[row]))
        potentials += plan.mains_mv[row].astype(np.float32)[:, None] * wave
    if plan.pop_mv[row].any():
        at = int(plan.pop_at[row] * samples)
        decay = np.exp(-np.arange(samples - at, dtype=np.float32) / np.float32(0.3 * _BANK_FS_HZ))
        potentials[:, at:] += plan.pop_mv[row].astype(np.float32)[:, None] * decay


@cache
def _bank() -> Singles:
    """(4, BANK_ROWS, BANK_SAMPLES) muscle, wander, white and motion noise of root mean square 1."""
    rng = np.random.default_rng(BANK_SEED)
    frequency = np.fft.rfftfreq(BANK_SAMPLES, 1.0 / _BANK_FS_HZ)
    safe = np.maximum(frequency, frequency[1])
    spectra = (
        np.where((frequency > 15.0) & (frequency < 150.0), safe**-1.0, 0.0),
        np.where((frequency > 0.0) & (frequency < 0.7), 1.0 / safe, 0.0),
        np.ones_like(frequency),
        np.where((frequency > 0.4) & (frequency < 8.0), 1.0 / safe, 0.0),
    )
    bank = np.stack([_coloured(rng, spectrum) for spectrum in spectra])
    bank[0] *= _bursts(rng)
    bank /= np.sqrt(np.mean(bank**2, axis=2, keepdims=True))
    return bank.astype(np.float32)


def _coloured(rng: np.random.Generator, spectrum: Floats) -> Floats:
    shape = (BANK_ROWS, spectrum.size)
    noise = (rng.normal(size=shape) + 1j * rng.normal(size=shape)) * spectrum
    return np.fft.irfft(noise, BANK_SAMPLES, axis=1)


def _bursts(rng: np.random.Generator) -> Floats:
    """Slow envelopes: half of the rows steady, half with bursts."""
    frequency = np.fft.rfftfreq(BANK_SAMPLES, 1.0 / _BANK_FS_HZ)
    slow = _coloured(rng, np.where((frequency > 0.0) & (frequency < 1.5), 1.0, 0.0))
    slow /= slow.std(axis=1, keepdims=True)
    depth = np.where(np.arange(BANK_ROWS) % 2 == 0, 0.15, 0.8)
    return np.exp(depth[:, None] * slow)


def _log_normal(rng: np.random.Generator, sigma: float, size: tuple[int, ...]) -> Floats:
    return np.exp(rng.normal(0.0, sigma, size))
