"""Do III, aVR, aVL and aVF, where a file has them, follow from I and II as electricity demands?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecg_ka.quality.beats import moving_means, odd_samples
from ecg_ka.record import DERIVED_FROM_I_II, EcgRecord

_SMOOTH_S = 0.02  # noise and the sharpness of QRS, which low-pass filters change, go; the waves stay
_BASELINE_S = 0.4  # of the slower, carts keep more or less by their filters
# Of the largest root mean square (smooth), and of the largest peak to peak, of the leads as I and II give them. On 100
# clinical ECGs (PTB-XL 1-100) a low-pass at 40 Hz against 150 Hz stays below 0.09 and 0.27, causal against zero phase
# below 0.10 and 0.40, a gain that is 10 % off below 0.11. Leads under each other's names lie above 0.34 of the first,
# one that is upside down above 0.28; the spike in aVR and aVF of PTB-XL 162 lies at 0.84 of the second.
_LARGEST_RMS, _LARGEST_PEAK = 0.28, 0.5
_LEAST_MV = 0.02  # a few steps of a coarse cart: nearer than this no lead disagrees


def disagreements_mv(record: EcgRecord) -> dict[str, float]:
    """The recorded leads among III, aVR, aVL and aVF that do not follow from I and II, each with the largest distance
    in mV from what does (Einthoven 1912: III = II - I; Goldberger 1942).

    What is faster than about 1 Hz is compared, relative to the size of these leads, so that neither gain nor baseline
    nor the rounding and the usual filters of a cart matter. Empty without I and II and for leads that were derived. A
    fault in I or II itself makes several of the others disagree.
    """
    recorded = [lead for lead in DERIVED_FROM_I_II if lead in record.leads and lead not in record.leads_derived]
    if not recorded or not {"I", "II"} <= set(record.leads):
        return {}
    sides = np.stack([record.lead("I"), record.lead("II")])
    expected = np.array([DERIVED_FROM_I_II[lead] for lead in recorded], dtype=np.float32) @ sides
    found = np.stack([record.lead(lead) for lead in recorded])
    expected, distance = (_fast(values, record.fs_hz) for values in (expected, found - expected))
    worst = np.abs(distance).max(axis=1)
    misshapen = _rms(distance, record.fs_hz) > _LARGEST_RMS * _rms(expected, record.fs_hz).max()
    is_wrong = (misshapen | (worst > _LARGEST_PEAK * np.ptp(expected, axis=1).max())) & (worst > _LEAST_MV)
    return {lead: float(mv) for lead, mv, wrong in zip(recorded, worst, is_wrong, strict=True) if wrong}


def square_of(lead: tuple[float, float], i_i: float, i_ii: float, ii_ii: float) -> float:
    """The sum of squares of a lead that is so many times I and so many times II, from the products of these with each
    other. Rounding would take it below 0 where I and II are alike."""
    a, b = lead
    return max(0.0, a * a * i_i + 2 * a * b * i_ii + b * b * ii_ii)


def _fast(values: NDArray[np.float32], fs_hz: float) -> NDArray[np.float32]:
    fast: NDArray[np.float32] = values - _average(values, _BASELINE_S, fs_hz)
    return fast


def _rms(values: NDArray[np.float32], fs_hz: float) -> NDArray[np.float32]:
    """Root mean square (leads,) of the smooth part."""
    smooth = _average(values, _SMOOTH_S, fs_hz)
    rms: NDArray[np.float32] = np.sqrt(np.einsum("ls,ls->l", smooth, smooth) / np.float32(smooth.shape[1]))
    return rms


def _average(values: NDArray[np.float32], duration_s: float, fs_hz: float) -> NDArray[np.float32]:
    return moving_means(values, odd_samples(duration_s, fs_hz))
