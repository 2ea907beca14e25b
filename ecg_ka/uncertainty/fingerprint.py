"""A few numbers of a network's input that tell what kind of signal it is: how the leads go together, and how fast.

The network pools over time and leads mix in its first layer, so that its features hardly notice leads in another order,
or an ECG at another speed. These numbers do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

_BAND_EDGES_HZ = (0.5, 1, 1.5, 2, 3, 4, 5.5, 7.5, 10, 13, 17, 22, 28, 34, 40)
_LAGS_S = tuple(0.008 * k for k in range(1, 13))
_FLOOR_MV = 1e-3  # a step of the input: below it there is nothing
_SHRINK = 0.999  # correlations of exactly 1 have no arctanh

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """``values`` (k,), and which of them are ``known`` (k,): those of a blank lead are not.

    In this order: log of the size of each lead's slope; arctanh of the correlation of each pair of slopes; the slopes'
    common autocorrelation at 8 to 96 ms, 12 values; log of the share of power in 14 bands from 0.5 to 40 Hz.
    """

    values: Numbers
    known: NDArray[np.bool_]


def fingerprint(signal_mv: NDArray[np.float32], fs_hz: float) -> Fingerprint:
    """Of an input (leads, T) whose missing leads, and end if it is short, are zero."""
    there = np.flatnonzero(signal_mv.any(axis=0))
    signal = signal_mv[:, : (int(there[-1]) + 1 if there.size else 2)]
    slopes = signal[:, 2:] - signal[:, :-2]
    products = (slopes @ slopes.T).astype(np.float64) / max(1, slopes.shape[1])
    size = np.sqrt(np.diag(products)) + _FLOOR_MV
    pairs = np.triu_indices(len(signal), 1)
    correlations = np.arctanh(_SHRINK * (products / np.outer(size, size))[pairs])
    live = signal.any(axis=1)
    timing = _timing(signal, fs_hz)
    return Fingerprint(
        np.concatenate([np.log(size), correlations, timing]),
        np.concatenate([live, live[pairs[0]] & live[pairs[1]], np.ones(len(timing), dtype=np.bool_)]),
    )


def _timing(signal: NDArray[np.float32], fs_hz: float) -> Numbers:
    """Autocorrelation of the slopes and bands of power, of all leads together, from one spectrum."""
    n = fft.next_fast_len(signal.shape[1] + round(_LAGS_S[-1] * fs_hz) + 1, real=True)
    spectrum = fft.rfft(signal, n, axis=1)
    power = (np.square(spectrum.real) + np.square(spectrum.imag)).sum(axis=0, dtype=np.float64)
    f_hz = np.arange(len(power)) * (fs_hz / n)
    of_slopes = power * np.square(np.sin(2 * np.pi * f_hz / fs_hz))
    lags = np.rint(np.array(_LAGS_S) * fs_hz).astype(np.int64)
    autocorrelation = fft.irfft(of_slopes, n)
    starts = np.searchsorted(f_hz, _BAND_EDGES_HZ)
    bands = np.add.reduceat(power[: starts[-1]], starts[:-1])
    return np.concatenate(
        [
            autocorrelation[lags] / max(float(autocorrelation[0]), 1e-12),
            np.log(bands / max(float(bands.sum()), 1e-12) + 1e-6),
        ]
    )
