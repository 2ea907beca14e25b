"""How wide the QRS complex is, from the averaged beat of all leads."""

from __future__ import annotations

import numpy as np

from ecg_ka.quality.averaged_beat import AveragedBeat

WIDE_QRS_MS = 112.0
"""From here on a QRS complex is called wide: 120 ms (Surawicz et al., AHA/ACCF/HRS recommendations, Circulation 2009),
less most of the 12 ms by which this measure is short."""

_SHARE = 0.06  # of the steepest slope: less steep is no longer QRS
_QUIET_TIMES = 2.0  # the lower quartile of the slopes before QRS: noise
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
    steps = beat.signal_mv[:, 2:] - beat.signal_mv[:, :-2]
    velocity = [0.0, *np.sqrt(np.einsum("lt,lt->t", steps, steps)).tolist(), 0.0]
    window = beat.samples(*_PEAK_S)
    peak = max(range(window.start, window.stop), key=velocity.__getitem__)
    quiet = sorted(velocity[beat.samples(*_QUIET_S)])
    limit = max(_SHARE * velocity[peak], _QUIET_TIMES * quiet[len(quiet) // 4])
    if not velocity[peak] > limit:
        return None
    gap = max(1, round(_GAP_S * beat.rate_hz))
    before, after = (round(span_s * beat.rate_hz) for span_s in _LONGEST_S)
    start = _end(velocity, range(peak, max(-1, peak - before - 1), -1), gap, limit)
    stop = _end(velocity, range(peak, min(len(velocity), peak + after + 1)), gap, limit)
    return 1000 * (stop - start) / beat.rate_hz


def _end(velocity: list[float], samples: range, gap: int, limit: float) -> float:
    """Where, between samples, the velocity falls below the limit: after the last sample above it, outwards from the
    peak, that is at most ``gap`` samples beyond the one before."""
    reached = samples[0]
    for sample in samples:
        if abs(sample - reached) > gap:
            break
        if velocity[sample] > limit:
            reached = sample
    inside, outside = velocity[reached], velocity[reached + samples.step]
    return reached + samples.step * min(max((inside - limit) / max(inside - outside, 1e-12), 0.0), 1.0)
