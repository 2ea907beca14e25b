"""The electrocardiograph: cables, filters, gain and quantisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ecg_ka.simulator.beats import FS_HZ, MARGIN, SAMPLES, TOTAL
from ecg_ka.simulator.geometry import ELECTRODES_TO_LEADS, Reversal, electrode_order

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

LSB_MV = (0.001, 0.0025, 0.005)
"""Steps of the converters of different devices; the coarsest is the most by which derived leads can be off."""
_FREQUENCY_HZ = np.fft.rfftfreq(TOTAL, 1.0 / FS_HZ).astype(np.float32)
_E2L = ELECTRODES_TO_LEADS.astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderPlan:
    """Device and cabling of n recordings."""

    high_pass_hz: Floats
    low_pass_hz: Floats
    causal: NDArray[np.bool_]
    gain: Floats  # (n, 8)
    lsb_mv: Floats
    reversal: NDArray[np.int8]


def draw_recorder_plan(rng: np.random.Generator, n: int) -> RecorderPlan:
    """Devices: half 0.05-150 Hz, the others 0.15-100 or 0.5-40 Hz; sharp diagnostic filters are rare."""
    device = rng.choice(3, n, p=(0.5, 0.4, 0.1))
    return RecorderPlan(
        high_pass_hz=np.array([0.05, 0.15, 0.5])[device] * np.exp(rng.normal(0.0, 0.15, n)),
        low_pass_hz=np.array([150.0, 100.0, 40.0])[device] * np.exp(rng.normal(0.0, 0.08, n)),
        causal=rng.random(n) < 0.5,
        gain=1.0 + rng.normal(0.0, 0.02, n)[:, None] + rng.normal(0.0, 0.005, (n, 8)),
        lsb_mv=rng.choice(np.array(LSB_MV), n, p=(0.5, 0.2, 0.3)),
        reversal=_draw_reversal(rng, n),
    )


def _draw_reversal(rng: np.random.Generator, n: int) -> NDArray[np.int8]:
    chest = (Reversal.V12, Reversal.V23, Reversal.V34, Reversal.V45, Reversal.V56)
    kinds = np.array([Reversal.LA_RA, Reversal.LA_LL, Reversal.RA_LL, *chest, Reversal.NONE], dtype=np.int8)
    shares = np.array([0.015, 0.004, 0.001, *(0.012 / 5,) * 5])
    return rng.choice(kinds, n, p=(*shares, 1.0 - shares.sum()))


def swap_cables(potentials: Singles, plan: RecorderPlan, row: int) -> Singles:
    """Potentials (9, t) as the interchanged cables of one recording see them."""
    reversal = Reversal(int(plan.reversal[row]))
    return potentials if reversal is Reversal.NONE else potentials[electrode_order(reversal)]


def filtered_leads(potentials: Singles, plan: RecorderPlan, row: int) -> Singles:
    """(8, TOTAL) filtered and amplified leads in mV of one recording, from its potentials (9, TOTAL)."""
    leads = (_E2L * plan.gain[row].astype(np.float32)[:, None]) @ potentials
    spectrum = fft.rfft(leads, axis=1)
    spectrum *= _response(plan, row)
    filtered: Singles = fft.irfft(spectrum, TOTAL, axis=1).astype(np.float32, copy=False)
    return filtered


def plain_leads(potentials: Singles) -> Singles:
    """(8, TOTAL) unfiltered leads in mV from potentials (9, TOTAL)."""
    return _E2L @ potentials


def quantised_record(leads: Singles, lsb_mv: float) -> Singles:
    """(12, SAMPLES) in steps of ``lsb_mv`` and standard order, from 8 leads (8, TOTAL) in mV.

    III, aVR, aVL and aVF are computed from the quantised I and II (Einthoven, Goldberger) and rounded again.
    """
    steps = np.rint(leads[:, MARGIN : MARGIN + SAMPLES] * np.float32(1.0 / lsb_mv))
    record = np.empty((12, SAMPLES), dtype=np.float32)
    i, ii = steps[0], steps[1]
    record[0], record[1], record[2] = i, ii, ii - i
    record[3] = np.rint(np.float32(-0.5) * (i + ii))
    record[4] = np.rint(i - np.float32(0.5) * ii)
    record[5] = np.rint(ii - np.float32(0.5) * i)
    record[6:] = steps[2:]
    record *= np.float32(lsb_mv)
    return record


def _response(plan: RecorderPlan, row: int) -> Singles | NDArray[np.complex64]:
    """Single-pole high-pass times two-pole Butterworth low-pass; with their phase, or their size alone (zero phase)."""
    high = _FREQUENCY_HZ * np.float32(1.0 / plan.high_pass_hz[row])
    low = _FREQUENCY_HZ * np.float32(1.0 / plan.low_pass_hz[row])
    if not plan.causal[row]:
        high *= high
        low *= low
        low *= low
        return np.sqrt(high / ((np.float32(1.0) + high) * (np.float32(1.0) + low)))
    denominator = (1.0 + 1j * high) * (1.0 - low * low + 1j * np.float32(np.sqrt(2.0)) * low)
    response: NDArray[np.complex64] = 1j * high / denominator
    return response
