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

_RATE_HZ = 125.0  # an input holds little above 40 Hz
_SLOPE_LAGS = 12  # samples
_BLOCK_S = 0.04
_WAVE_LAGS = 16  # blocks
_SHORTEST_LAG, _LONGEST_LAG, _NEAR_LAGS = 6, 60, 13  # blocks, of the activity
_FLOOR_MV = 1e-3  # a step of the input: below it there is nothing
_NO_SIGNAL, _NO_ACTIVITY = 1e-12, 1e-9  # square mV, and mV of the activity, which is a root: what rounding leaves
_SHRINK = 0.999  # correlations of exactly 1 have no arctanh

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """``values`` (k,), and which of them are ``known`` (k,): those of a blank lead are not.

    In this order, of the input at about 125 Hz: log of the size of each lead's slope; arctanh of the correlation of
    each pair of slopes; the autocorrelation, of all leads together, of the slopes at 1 to 12 samples, 8 to 96 ms, and
    of the signal in blocks of 40 ms at 40 to 640 ms, 16 values; of the activity of all leads together log of the lag,
    0.24 to 2.4 s, at which it is most like itself, how much, and its autocorrelation at 40 to 520 ms, 13 values: the
    interval of the beats and what lies between the waves of one.
    """

    values: Singles
    known: NDArray[np.bool_]


def fingerprint(signal_mv: Singles, fs_hz: float) -> Fingerprint:
    """Of an input (leads, T) whose missing leads, and end if it is short, are zero."""
    every = max(1, round(fs_hz / _RATE_HZ))
    signal = np.ascontiguousarray(signal_mv[:, : _length(signal_mv, fs_hz) : every])
    block = max(1, round(_BLOCK_S * fs_hz / every))
    leads, n = signal.shape
    slopes = np.zeros((leads, n - 1 + _SLOPE_LAGS), dtype=np.float32)
    np.subtract(signal[:, 1:], signal[:, :-1], out=slopes[:, : n - 1])
    sizes = slopes.copy()  # BLAS takes twice as long for a matrix times itself
    products = slopes @ sizes.T / np.float32(max(1, n - 1))
    np.abs(sizes, out=sizes)
    squares = products.diagonal()
    size, live = np.sqrt(squares) + _FLOOR_MV, squares > 0
    correlations = (products / (size[:, None] * size)).take(_pairs(leads))
    timing = (
        _likeness(slopes, _SLOPE_LAGS, _NO_SIGNAL),
        _of_waves(signal, block),
        *_of_activity(sizes[:, : n - 1], block),
    )
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
    """Samples (leads, T) up to the last that is not zero, at least those of a second."""
    if signal_mv[:, -1].any():
        return int(signal_mv.shape[1])
    there = np.flatnonzero(np.abs(signal_mv).max(axis=0))
    return max(round(fs_hz), int(there[-1]) + 1 if there.size else 0)


def _likeness(rows: Singles, lags: int, nothing: float) -> Singles:
    """The autocorrelation at 1 to ``lags`` samples of all rows (leads, n) together, which end in ``lags`` zeros so that
    none goes on in the next; with less than ``nothing`` at lag 0 it is small."""
    line = rows.reshape(-1)
    found = np.correlate(line, line[:-lags])
    likeness: Singles = found[1:] / np.float32(max(float(found[0]), nothing))
    return likeness


def _of_waves(signal: Singles, block: int) -> Singles:
    """The likeness of a signal (leads, n) in blocks."""
    leads, n = len(signal), signal.shape[1] // block
    rows = np.zeros((leads, n + _WAVE_LAGS), dtype=np.float32)
    np.matmul(signal[:, : n * block].reshape(leads, n, block), _mean_of(block), out=rows[:, :n])
    return _likeness(rows, _WAVE_LAGS, _NO_SIGNAL)


def _of_activity(sizes: Singles, block: int) -> tuple[Singles, Singles]:
    """The log of the likeness' lag and the likeness there, and that at short lags, of sizes of slopes (leads, n)."""
    n = sizes.shape[1] // block
    total = sizes[:, : n * block].sum(axis=0)
    rows = np.zeros((1, n + _LONGEST_LAG), dtype=np.float32)
    activity = np.sqrt(total.reshape(n, block) @ _mean_of(block))
    np.subtract(activity, activity.sum() / np.float32(n), out=rows[0, :n])
    likeness = _likeness(rows, _LONGEST_LAG, _NO_ACTIVITY)
    lag = _SHORTEST_LAG + int(np.argmax(likeness[_SHORTEST_LAG - 1 :]))
    return np.array([math.log(lag), likeness[lag - 1]], dtype=np.float32), likeness[:_NEAR_LAGS]


@lru_cache(maxsize=4)
def _mean_of(block: int) -> Singles:
    """Weights (block,) whose product with a block is its mean."""
    weights = np.full(block, 1 / block, dtype=np.float32)
    weights.setflags(write=False)
    return weights
