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


def is_paced(signal_mv: NDArray[np.float32], fs_hz: float, r_peaks: NDArray[np.int64]) -> bool:
    """Whether most beats of ``signal_mv`` (leads, n) have a spike before them. False where it cannot be told: fewer
    than three beats or less than 240 Hz. A low-pass filter of 40 Hz makes spikes invisible."""
    far = round(_FAR_S * fs_hz)
    first, last = round(_BEFORE_S * fs_hz) + far, round(_AFTER_S * fs_hz) + far
    beats = r_peaks[(r_peaks >= first) & (r_peaks + last < signal_mv.shape[1])]
    if fs_hz < _LOWEST_RATE_HZ or beats.size < _FEWEST_BEATS:
        return False
    parts = signal_mv.take(beats[:, None] + np.arange(-first, last + 1), axis=1)  # (leads, beats, m)
    least = _LEAST_HEIGHT * float(np.ptp(parts.reshape(len(parts), -1), axis=1).sum())
    near = _height(parts, max(1, round(_NEAR_S * fs_hz)), far)
    most = beats.size // 2
    if np.count_nonzero(near.max(axis=1) > least) <= most:  # as in most ECGs, at half the cost
        return False
    sharp = np.where(near > _LEAST_SHARPNESS * _height(parts, far, far), near, np.float32(0))
    return bool(np.count_nonzero(sharp.max(axis=1) > least) > most)


def _height(parts: NDArray[np.float32], step: int, margin: int) -> NDArray[np.float32]:
    """How far each sample (beats, m - 2 margin) stands above, or below, both samples a step away; summed over leads."""
    rises = parts[:, :, step:] - parts[:, :, :-step]
    sizes, n = np.abs(rises), parts.shape[2]
    before, after = slice(margin - step, n - margin - step), slice(margin, n - margin)
    smaller = np.minimum(sizes[:, :, before], sizes[:, :, after])
    smaller *= rises[:, :, before] * rises[:, :, after] < 0  # up to it and down from it, or the reverse
    height: NDArray[np.float32] = smaller.sum(axis=0)
    return height
