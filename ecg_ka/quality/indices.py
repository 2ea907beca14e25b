"""Numbers that tell how good a signal is: one row of indices a lead, found in a few passes over the samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg_ka.quality.beats import Averaged, Coarse, block_means, medians, moving_means, odd_samples

_SMOOTH_S = 0.020  # one period of 50 Hz: what this average removes is mains hum and muscle noise
_NOISE_BLOCK_S = 0.100
_AMPLITUDE_BLOCK_S = 2.0
_STILL_BLOCK_S = 0.200
_WANDER_POINT_S, _WANDER_WINDOW_S, _WANDER_STEP_S = 0.04, 1.0, 0.4
_RAIL = 1e-3  # of the range: closer to the extreme counts as being at it
_QRS_REACH_S = 0.060

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeadIndices:
    """Indices of all leads, each an array (leads,); :func:`measure` says what they mean."""

    range_mv: Values
    amplitude_mv: Values
    noise_uv: Values
    wander_mv: Values
    clipped_fraction: Values
    still_fraction: Values
    beat_contrast: Values


def measure(signal_mv: Values, fs_hz: float, fine: Averaged, coarse: Coarse, r_peaks: NDArray[np.int64]) -> LeadIndices:
    """The indices of ``signal_mv`` (leads, n) at ``fs_hz``, given its means at about 250 Hz, its coarse form and its
    beats.

    ``range_mv`` is peak to peak over the record and ``amplitude_mv`` the median of the same over blocks of 2 s.
    ``noise_uv`` is the median rms, over blocks of 0.1 s, of what a 20 ms moving average takes away (about 25 to 100 Hz,
    mains included). ``wander_mv`` is the peak to peak of a baseline made of medians over 1 s. ``clipped_fraction``
    counts samples at the lead's highest or lowest value, ``still_fraction`` blocks of 0.2 s in which nothing moves.
    ``beat_contrast`` is the QRS-band slope at the beats over that between them (0 without beats).
    """
    highest, lowest = signal_mv.max(axis=1), signal_mv.min(axis=1)
    baseline = baseline_mv(signal_mv, fs_hz)
    high, low = block_extremes(coarse.signal, round(_STILL_BLOCK_S * coarse.rate_hz))
    return LeadIndices(
        range_mv=highest - lowest,
        amplitude_mv=_amplitude_mv(high, low),
        noise_uv=medians(noise_blocks_uv(fine)),
        wander_mv=baseline.max(axis=1) - baseline.min(axis=1),
        clipped_fraction=_clipped_fraction(signal_mv, highest, lowest),
        still_fraction=unmoved(high, low, highest - lowest).mean(axis=1, dtype=np.float32),
        beat_contrast=_beat_contrast(coarse, r_peaks),
    )


def blocks(signal: Values, size: int) -> Values:
    """A view (leads, m, size) of consecutive blocks; a remainder is left out, a short signal is one block."""
    size = max(1, min(size, signal.shape[1]))
    whole = signal.shape[1] // size * size
    return signal[:, :whole].reshape(signal.shape[0], -1, size)


def block_extremes(signal: Values, size: int) -> tuple[Values, Values]:
    """Highest and lowest values (leads, m) of consecutive blocks."""
    parts = np.ascontiguousarray(blocks(signal, size).transpose(2, 0, 1))  # so that whole rows are compared
    return parts.max(axis=0), parts.min(axis=0)


def unmoved(high: Values, low: Values, range_mv: Values) -> NDArray[np.bool_]:
    """True (leads, m) for blocks with these extremes in which nothing moves beside the lead's range (leads,)."""
    still: NDArray[np.bool_] = high - low <= _RAIL * range_mv[:, None]
    return still


def noise_blocks_uv(fine: Averaged) -> Values:
    """Root mean square (leads, m) in microvolt, over blocks of 0.1 s, of the signal at about 250 Hz without its 20 ms
    average."""
    residual = fine.signal - moving_means(fine.signal, odd_samples(_SMOOTH_S, fine.rate_hz))
    parts = blocks(residual, round(_NOISE_BLOCK_S * fine.rate_hz))
    rms: Values = np.sqrt(np.einsum("lbs,lbs->lb", parts, parts) / np.float32(parts.shape[2]))
    return np.float32(1000) * rms


def baseline_mv(signal_mv: Values, fs_hz: float) -> Values:
    """The baseline (leads, m): medians over 1 s, a point every 0.4 s; QRS complexes and T waves hardly move it."""
    size = max(1, min(round(_WANDER_POINT_S * fs_hz), signal_mv.shape[1]))
    points = block_means(signal_mv, size)
    rate_hz = fs_hz / size
    window = max(1, min(round(_WANDER_WINDOW_S * rate_hz), points.shape[1]))
    step = max(1, round(_WANDER_STEP_S * rate_hz))
    windows = np.lib.stride_tricks.sliding_window_view(points, window, axis=1)[:, ::step]
    middle: Values = np.sort(windows, axis=2)[:, :, window // 2]
    return middle


def at_rail(signal: Values, highest: Values, lowest: Values) -> NDArray[np.bool_]:
    """True (leads, n) where a sample lies at the highest or lowest value (leads,) of its lead."""
    margin = _RAIL * (highest - lowest)
    rail: NDArray[np.bool_] = (signal >= (highest - margin)[:, None]) | (signal <= (lowest + margin)[:, None])
    return rail


def _clipped_fraction(signal: Values, highest: Values, lowest: Values) -> Values:
    counts = np.array([np.count_nonzero(row) for row in at_rail(signal, highest, lowest)], dtype=np.float32)
    return counts / np.float32(signal.shape[1])


def _amplitude_mv(high: Values, low: Values) -> Values:
    """Median peak to peak (leads,) over blocks of 2 s, from the extremes of shorter blocks."""
    size = round(_AMPLITUDE_BLOCK_S / _STILL_BLOCK_S)
    return medians(blocks(high, size).max(axis=2) - blocks(low, size).min(axis=2))


def _beat_contrast(coarse: Coarse, r_peaks: NDArray[np.int64]) -> Values:
    slopes = coarse.slopes
    if not r_peaks.size:
        return np.zeros(slopes.shape[0], dtype=np.float32)
    at_beat = np.zeros(slopes.shape[1], dtype=bool)
    reach = max(1, round(_QRS_REACH_S * coarse.rate_hz))
    np.put(at_beat, r_peaks[:, None] // coarse.factor + np.arange(-reach, reach + 1), True, mode="clip")
    n_at_beat = int(np.count_nonzero(at_beat))
    within = slopes @ at_beat.astype(np.float32) / np.float32(n_at_beat)
    between = slopes @ (~at_beat).astype(np.float32) / np.float32(max(1, at_beat.size - n_at_beat))
    contrast: Values = within / np.maximum(between, np.finfo(np.float32).tiny)
    return contrast
