"""The cleanest stretch of a long recording."""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ecg_ka.quality.beats import FINE_RATE_HZ, Averaged
from ecg_ka.quality.indices import (
    Values,
    at_rail,
    baseline_mv,
    block_extremes,
    blocks,
    noise_blocks_uv,
    unmoved,
)
from ecg_ka.record import EcgRecord

_STEP_S = 0.5
_CLIP_BLOCK_S, _STILL_BLOCK_S = 0.5, 0.2
# What costs one unit in a lead: this much mean noise, this much wander, this share of clipped or of still signal.
_NOISE_UNIT_UV, _WANDER_UNIT_MV, _CLIPPED_UNIT, _STILL_UNIT = 20.0, 0.5, 0.02, 0.05


def cleanest_window(record: EcgRecord, duration_s: float) -> slice:
    """The samples of the ``duration_s`` of a record with the least noise, wander, clipping and dropout over all leads.

    Windows may start every 0.5 s; the first of equals is taken. A record that is not longer is returned whole.
    """
    n, length = record.signal_mv.shape[1], round(duration_s * record.fs_hz)
    if n <= length:
        return slice(0, n)
    signal = np.ascontiguousarray(record.signal_mv)
    count = math.floor((n - length) / record.fs_hz / _STEP_S + 1e-9) + 1
    starts_s = _STEP_S * np.arange(count)
    cost = _mean_costs(signal, record.fs_hz, starts_s, duration_s)
    cost += _wander(signal, record.fs_hz, starts_s, duration_s) / _WANDER_UNIT_MV
    start = min(round(starts_s[int(np.argmin(cost))] * record.fs_hz), n - length)
    return slice(start, start + length)


def _mean_costs(signal: Values, fs_hz: float, starts_s: NDArray[np.float64], duration_s: float) -> NDArray[np.float64]:
    """Cost (starts,) of what is averaged over a window: noise, clipping and stillness, summed over leads."""
    highest, lowest = signal.max(axis=1), signal.min(axis=1)
    rail = at_rail(signal, highest, lowest).astype(np.float32)
    clipped = blocks(rail, round(_CLIP_BLOCK_S * fs_hz)).mean(axis=2)
    high, low = block_extremes(signal, round(_STILL_BLOCK_S * fs_hz))
    still = unmoved(high, low, highest - lowest).astype(np.float32)
    noise_uv = noise_blocks_uv(Averaged.down_to(FINE_RATE_HZ, signal, fs_hz))
    parts = ((noise_uv, _NOISE_UNIT_UV), (clipped, _CLIPPED_UNIT), (still, _STILL_UNIT))
    total_s = signal.shape[1] / fs_hz
    cost = np.zeros(starts_s.size)
    for values, unit in parts:
        running = np.concatenate(([0.0], np.cumsum(values.sum(axis=0, dtype=np.float64))))
        edges_s = np.linspace(0.0, total_s, running.size)
        span = np.interp(starts_s + duration_s, edges_s, running) - np.interp(starts_s, edges_s, running)
        cost += span * (total_s / (running.size - 1)) / duration_s / unit
    return cost


def _wander(signal: Values, fs_hz: float, starts_s: NDArray[np.float64], duration_s: float) -> NDArray[np.float64]:
    """Peak to peak of the baseline in each window, summed over leads (starts,), in mV."""
    baseline = baseline_mv(signal, fs_hz)
    per_second = baseline.shape[1] * fs_hz / signal.shape[1]
    width = max(1, min(round(duration_s * per_second), baseline.shape[1]))
    windows = sliding_window_view(baseline, width, axis=1)
    ranges = (windows.max(axis=2) - windows.min(axis=2)).sum(axis=0, dtype=np.float64)
    at = np.minimum(np.rint(starts_s * per_second).astype(np.int64), ranges.size - 1)
    picked: NDArray[np.float64] = ranges[at]
    return picked
