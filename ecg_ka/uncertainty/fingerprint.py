"""A few numbers of a network's input that tell what kind of signal it is: how the leads go together, and how fast.

The network pools over time and leads mix in its first layer, so that its features hardly notice leads in another order,
or an ECG at another speed. These numbers do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_RATE_HZ = 125.0  # an input holds little above 40 Hz
_SLOPE_LAGS = 8  # samples
_BLOCK_S = 0.04
_ACTIVITY_LAGS = 16  # blocks
_FLOOR_MV = 1e-3  # a step of the input: below it there is nothing
_NO_SIGNAL, _NO_ACTIVITY = 1e-12, 1e-9  # square mV, and mV of the activity, which is a root: what rounding leaves
_SHRINK = 0.999  # correlations of exactly 1 have no arctanh

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """``values`` (k,), and which of them are ``known`` (k,): those of a blank lead are not.

    In this order, of the input at about 125 Hz: log of the size of each lead's slope; arctanh of the correlation of
    each pair of slopes; the autocorrelation, of all leads together, of the slopes at 1 to 8 samples, 8 to 64 ms, and of
    the activity, the root of the slopes' sizes in blocks of 40 ms, at 40 to 640 ms, 16 values: how wide the waves are,
    and what lies between them.
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
    timing = _likeness(slopes, _SLOPE_LAGS, _NO_SIGNAL), _of_activity(sizes[:, : n - 1], block)
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
    if signal_mv[0, -1] or signal_mv[:, -1].any():
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


def _of_activity(sizes: Singles, block: int) -> Singles:
    """The likeness of sizes of slopes (leads, n) of all leads together, in blocks."""
    n = sizes.shape[1] // block
    total = sizes[:, : n * block].sum(axis=0)
    rows = np.zeros((1, n + _ACTIVITY_LAGS), dtype=np.float32)
    activity = np.sqrt(total.reshape(n, block) @ _mean_of(block))
    np.subtract(activity, activity.sum() / np.float32(n), out=rows[0, :n])
    return _likeness(rows, _ACTIVITY_LAGS, _NO_ACTIVITY)


@lru_cache(maxsize=4)
def _mean_of(block: int) -> Singles:
    """Weights (block,) whose product with a block is its mean."""
    weights = np.full(block, 1 / block, dtype=np.float32)
    weights.setflags(write=False)
    return weights
