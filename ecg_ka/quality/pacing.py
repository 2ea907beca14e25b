"""Pacing spikes: narrower than anything a heart makes, at the same place before beat after beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_NEAR_S, _FAR_S = 0.004, 0.012
_LEAST_SHARPNESS = 0.7  # height above its surroundings at 4 ms against that at 12 ms: a QRS peak lies near 0.4
_BEFORE_S, _AFTER_S = 0.22, 0.04  # of the R peak: atrial and ventricular spikes
_LEAST_HEIGHT = 0.04  # of the peak to peak around the beats, both summed over the leads
_LOWEST_RATE_HZ = 240.0  # below, a spike is not narrower than a wave
_FEWEST_BEATS = 3

Values = NDArray[np.float32]


def is_paced(leads_mv: Sequence[Values], fs_hz: float, r_peaks: NDArray[np.int64]) -> bool:
    """Whether most beats of ``leads_mv``, (n,) each, have a spike before them. False where it cannot be told: fewer
    than three beats or less than 240 Hz. A low-pass filter of 40 Hz makes spikes invisible."""
    far = round(_FAR_S * fs_hz)
    first, last = round(_BEFORE_S * fs_hz) + far, round(_AFTER_S * fs_hz) + far
    beats = [at for at in r_peaks.tolist() if first <= at < len(leads_mv[0]) - last]
    if fs_hz < _LOWEST_RATE_HZ or len(beats) < _FEWEST_BEATS:
        return False
    m, most = first + last + 1, len(beats) // 2
    line = np.concatenate([lead_mv[at - first : at + last + 1] for lead_mv in leads_mv for at in beats])
    parts = line.reshape(len(leads_mv), -1)  # (leads, beats m)
    least = _LEAST_HEIGHT * sum((np.maximum.reduce(parts, axis=1) - np.minimum.reduce(parts, axis=1)).tolist())
    near = max(1, round(_NEAR_S * fs_hz))
    heights = np.zeros(line.shape, dtype=np.float32)  # where one beat follows another they mean nothing
    heights[near:-near] = _height(line[near:-near], line[: -2 * near], line[2 * near :])
    total = heights.reshape(parts.shape).sum(axis=0)
    tall = [at for at in np.flatnonzero(total > least).tolist() if far <= at % m < m - far]  # few samples
    if len({at // m for at in tall}) <= most:
        return False
    here, before, after = (parts.take([at + away for at in tall], axis=1) for away in (0, -far, far))
    sharp = total.take(tall) > _LEAST_SHARPNESS * _height(here, before, after).sum(axis=0)
    return len({at // m for at, is_sharp in zip(tall, sharp.tolist(), strict=True) if is_sharp}) > most


def _height(here: Values, before: Values, after: Values) -> Values:
    """How far samples stand above, or below, both of those before and after; shaped as they are."""
    height = np.maximum(here - np.maximum(before, after), np.minimum(before, after) - here)
    positive: Values = np.maximum(height, 0, out=height)
    return positive
