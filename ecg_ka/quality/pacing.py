"""Pacing spikes: narrower than anything a heart makes, at the same place before beat after beat."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NEAR_S, _FAR_S = 0.004, 0.012
_LEAST_SHARPNESS = 0.7  # height above its surroundings at 4 ms against that at 12 ms: a QRS peak lies near 0.4
_BEFORE_S, _AFTER_S = 0.22, 0.04  # of the R peak: atrial and ventricular spikes
_LEAST_HEIGHT = 0.04  # of the peak to peak around the beats, both summed over the leads
_LOWEST_RATE_HZ = 240.0  # below, a spike is not narrower than a wave
_FEWEST_BEATS = 3

Values = NDArray[np.float32]


def is_paced(signal_mv: Values, fs_hz: float, r_peaks: NDArray[np.int64]) -> bool:
    """Whether most beats of ``signal_mv`` (leads, n) have a spike before them. False where it cannot be told: fewer
    than three beats or less than 240 Hz. A low-pass filter of 40 Hz makes spikes invisible."""
    far = round(_FAR_S * fs_hz)
    first, last = round(_BEFORE_S * fs_hz) + far, round(_AFTER_S * fs_hz) + far
    beats = [at for at in r_peaks.tolist() if first <= at < signal_mv.shape[1] - last]
    if fs_hz < _LOWEST_RATE_HZ or len(beats) < _FEWEST_BEATS:
        return False
    m, most = first + last + 1, len(beats) // 2
    parts = np.concatenate([signal_mv[:, at - first : at + last + 1] for at in beats], axis=1)  # (leads, beats m)
    least = _LEAST_HEIGHT * float((parts.max(axis=1) - parts.min(axis=1)).sum())
    near = max(1, round(_NEAR_S * fs_hz))
    heights = _height(parts[:, near:-near], parts[:, : -2 * near], parts[:, 2 * near :])
    tall = np.flatnonzero(heights > least) + near  # few samples
    if tall.size <= most:
        return False
    beat, place = np.divmod(tall, m)
    inside = (place >= far) & (place < m - far)
    tall, beat = tall[inside], beat[inside]
    here, before, after = parts.take(tall + np.array([[0], [-far], [far]]), axis=1).swapaxes(0, 1)
    sharp = heights[tall - near] > _LEAST_SHARPNESS * _height(here, before, after)
    return len(set(beat[sharp].tolist())) > most


def _height(here: Values, before: Values, after: Values) -> Values:
    """How far samples (leads, ...) stand above, or below, both of those before and after; summed over the leads."""
    height = np.maximum(here - np.maximum(before, after), np.minimum(before, after) - here)
    total: Values = np.maximum(height, 0, out=height).sum(axis=0)
    return total
