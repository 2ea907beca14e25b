"""A few numbers of a network's input that tell what kind of signal it is: how the leads go together, and how fast.

The network pools over time and leads mix in its first layer, so that its features hardly notice leads in another order,
or an ECG at another speed. These numbers do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_BAND_EDGES_HZ = (0.5, 1, 1.5, 2, 3, 4, 5.5, 7.5, 10, 13, 17, 22, 28, 34, 40)
_LAGS_S = tuple(0.008 * k for k in range(1, 13))
_BLOCK_S = 0.04
_SHORTEST_LAG, _LONGEST_LAG, _NEAR_LAGS = 6, 60, 13  # in blocks
_FLOOR_MV = 1e-3  # a step of the input: below it there is nothing
_SHRINK = 0.999  # correlations of exactly 1 have no arctanh

Numbers = NDArray[np.float64]
Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """``values`` (k,), and which of them are ``known`` (k,): those of a blank lead are not.

    In this order: log of the size of each lead's slope; arctanh of the correlation of each pair of slopes; the slopes'
    common autocorrelation at 8 to 96 ms, 12 values; log of the share of power in 14 bands from 0.5 to 40 Hz; of the
    activity of all leads together log of the lag, 0.24 to 2.4 s, at which it is most like itself, how much, and its
    autocorrelation at 40 to 520 ms, 13 values: the interval of the beats and what lies between the waves of one.
    """

    values: Numbers
    known: NDArray[np.bool_]


def fingerprint(signal_mv: Singles, fs_hz: float) -> Fingerprint:
    """Of an input (leads, T) whose missing leads, and end if it is short, are zero."""
    signal = signal_mv[:, : _length(signal_mv, fs_hz)]
    slopes = _slopes(signal)
    sizes = slopes.copy()  # BLAS takes twice as long for a matrix times itself
    products = (slopes @ sizes.T).astype(np.float64) / max(1, slopes.shape[1])
    np.abs(sizes, out=sizes)
    squares = products.diagonal()
    size, live = np.sqrt(squares) + _FLOOR_MV, squares > 0
    correlations = (products / (size[:, None] * size)).take(_pairs(len(signal)))
    timing: tuple[Singles | Numbers, ...] = *_timing(signal, fs_hz), *_activity(sizes, fs_hz)
    return Fingerprint(
        np.concatenate([np.log(size), np.arctanh(_SHRINK * correlations), *timing]),
        _known(live.tobytes(), sum(map(len, timing))),
    )


@lru_cache(maxsize=4)
def _pairs(n_leads: int) -> NDArray[np.intp]:
    """Where in a matrix (leads, leads) each pair of leads stands once."""
    return np.flatnonzero(np.triu(np.ones((n_leads, n_leads)), 1))


@lru_cache(maxsize=64)
def _known(live: bytes, n_timing: int) -> NDArray[np.bool_]:
    """Of leads of which some are live; there are few combinations."""
    leads = np.frombuffer(live, dtype=np.bool_)
    pairs = np.outer(leads, leads).take(_pairs(len(leads)))
    known = np.concatenate([leads, pairs, np.ones(n_timing, dtype=np.bool_)])
    known.setflags(write=False)
    return known


def _length(signal_mv: Singles, fs_hz: float) -> int:
    """Samples (leads, T) up to the last that is not zero, at least those of a second, which the bands need."""
    if signal_mv[:, -1].any():
        return int(signal_mv.shape[1])
    there = np.flatnonzero(np.abs(signal_mv).max(axis=0))
    return max(round(fs_hz), int(there[-1]) + 1 if there.size else 0)


def _slopes(signal: Singles) -> Singles:
    """Over two samples (leads, T - 2), of all leads in one line: in half the time; what lies across two is left out."""
    line, (leads, n) = signal.reshape(-1), signal.shape
    slopes: Singles = line[2:] - line[:-2]
    return np.ndarray((leads, n - 2), slopes.dtype, slopes, strides=(n * slopes.itemsize, slopes.itemsize))


def _timing(signal: Singles, fs_hz: float) -> tuple[Singles, Singles]:
    """Autocorrelation of the slopes and bands of power, of all leads together, from one spectrum."""
    n = _fast_length(signal.shape[1] + round(_LAGS_S[-1] * fs_hz) + 1)
    parts = np.fft.rfft(signal, n, axis=1, norm="forward").view(np.float32)  # (leads, n + 2), real, imaginary in turn
    squares = np.einsum("lf,lf->f", parts, parts)
    power, nothing = squares[0::2] + squares[1::2], 1e-12 / n**2
    cosines, starts = _tables(n, fs_hz)
    autocorrelation = cosines @ power
    bands = np.add.reduceat(power[: starts[-1]], starts[:-1])
    return (
        autocorrelation[1:] / max(float(autocorrelation[0]), nothing),
        np.log(bands / max(float(bands.sum()), nothing) + 1e-6),
    )


@lru_cache(maxsize=64)
def _fast_length(least: int) -> int:
    """The smallest number from ``least`` on without a prime factor above 5."""
    n = least
    while pow(30, n.bit_length(), n):
        n += 1
    return n


def _activity(sizes: Singles, fs_hz: float) -> tuple[Numbers, Numbers]:
    """The likeness and its lag, and the likeness at short lags, of the sizes of slopes (leads, n)."""
    block = max(1, round(_BLOCK_S * fs_hz))
    n = sizes.shape[1] // block
    total = sizes[:, : n * block].sum(axis=0)
    size = np.zeros(_LONGEST_LAG + 1)
    if n > _LONGEST_LAG:
        activity = np.sqrt(total.reshape(n, block) @ np.full(block, 1 / block))
        activity -= activity.sum() / n
        size = np.correlate(np.concatenate([activity, np.zeros(_LONGEST_LAG)]), activity)
    likeness = size / max(float(size[0]), 1e-9)
    lag = _SHORTEST_LAG + int(np.argmax(likeness[_SHORTEST_LAG:]))
    return np.array([math.log(lag), likeness[lag]]), likeness[1 : _NEAR_LAGS + 1]


@lru_cache(maxsize=16)
def _tables(n: int, fs_hz: float) -> tuple[Singles, NDArray[np.intp]]:
    """What makes the slopes' autocorrelation at 0 and the lags (13, n / 2 + 1) of a spectrum of n samples, and where
    the bands start."""
    f_hz = np.arange(n // 2 + 1) * (fs_hz / n)
    lags_s = np.rint(np.array((0.0, *_LAGS_S)) * fs_hz) / fs_hz
    of_slopes = np.square(np.sin(2 * np.pi * f_hz / fs_hz))
    cosines = (np.cos(2 * np.pi * lags_s[:, None] * f_hz) * of_slopes).astype(np.float32)
    return cosines, np.searchsorted(f_hz, _BAND_EDGES_HZ)
