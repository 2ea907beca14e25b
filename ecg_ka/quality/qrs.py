"""How wide the QRS complex is, from the averaged beat of all leads."""

from __future__ import annotations

import numpy as np

from ecg_ka.quality.averaged_beat import AveragedBeat

WIDE_QRS_MS = 112.0
"""From here on a QRS complex is called wide: 120 ms (Surawicz et al., AHA/ACCF/HRS recommendations, Circulation 2009),
less most of the 12 ms by which this measure is short."""

_SHARE = 0.06  # of the steepest slope: less steep is no longer QRS
_QUIET_TIMES = 2.0  # the slope of the quietest fifth before QRS: noise
_QUIET_S = (-0.20, -0.04)
_PEAK_S = (-0.11, 0.14)
_LONGEST_S = (0.18, 0.24)  # before and after the steepest slope
_GAP_S = 0.012  # shorter pauses, as between R and S, lie within QRS


def qrs_ms(beat: AveragedBeat) -> float | None:
    """Width in ms of the one stretch around the steepest slope in which some lead is steep; None for a flat beat.

    The spatial velocity, the length of the vector of all leads' slopes (n,), is compared with a share of its peak, or
    with the noise before QRS where that is larger (after Zywietz and Celikag, Computers in Cardiology 1991); the ends
    are interpolated between samples.
    """
    slopes = np.zeros(beat.signal_mv.shape[1])
    steps = beat.signal_mv[:, 2:] - beat.signal_mv[:, :-2]
    slopes[1:-1] = np.sqrt(np.einsum("lt,lt->t", steps, steps))
    window = beat.samples(*_PEAK_S)
    peak = window.start + int(np.argmax(slopes[window]))
    quiet = np.sort(slopes[beat.samples(*_QUIET_S)])
    limit = max(_SHARE * slopes[peak], _QUIET_TIMES * quiet[len(quiet) // 4])
    if not slopes[peak] > limit:
        return None
    gap = max(1, round(_GAP_S * beat.rate_hz))
    before, after = (round(span_s * beat.rate_hz) for span_s in _LONGEST_S)
    steep = np.flatnonzero(slopes > limit).tolist()
    first = _reached(peak, [i for i in reversed(steep) if peak - before <= i < peak], gap)
    last = _reached(peak, [i for i in steep if peak < i <= peak + after], gap)
    start = first - _beyond(slopes[first], slopes[first - 1], limit)
    stop = last + _beyond(slopes[last], slopes[min(last + 1, len(slopes) - 1)], limit)
    return float(1000 * (stop - start) / beat.rate_hz)


def _reached(start: int, samples: list[int], gap: int) -> int:
    """The last of samples, from near to far, to which no step from ``start`` on is longer than ``gap``."""
    reached = start
    for sample in samples:
        if abs(sample - reached) > gap:
            break
        reached = sample
    return reached


def _beyond(inside: float, outside: float, limit: float) -> float:
    """How far, in samples, the limit lies from the sample inside to the one outside of it."""
    return min(max((inside - limit) / max(inside - outside, 1e-12), 0.0), 1.0)
