"""Where the heart beats: a small R-peak detector that uses all leads at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FINE_RATE_HZ = 250.0
"""Enough for what noise is measured in and for the averaged beat: 40 Hz of waves, mains hum, muscle noise."""

_COARSE_RATE_HZ = 125.0  # enough for the 5-25 Hz band in which a QRS complex stands out
_SHORT_S, _LONG_S = 0.024, 0.120  # moving averages whose difference passes about 5-25 Hz
_QRS_S = 0.100  # the energy of one QRS complex is summed over this time
_SHORTEST_S = 0.5
_REFRACTORY_S = 0.24
_LEVEL_BLOCK_S = 2.0  # every heart faster than 30/min beats at least once in it
_LEVEL_BLOCKS = 5
_THRESHOLD, _SEARCH_BACK_THRESHOLD = 0.42, 0.22  # of the local level
_SEARCH_BACK_GAP = 1.6  # in median beat intervals
_LEAST_CONTRAST = 4.0  # level over background: noise alone stays below 3.3, real 12-lead ECGs lie above 8
_REFINE_S = 0.060
_T_WITHIN_S = 0.36  # after a beat only its own T follows so soon, or a beat that is bent as sharply
_T_CURVATURE = 0.6  # of the beat before: T of simulated ECGs with a potassium up to 8 mmol/L stays below in most


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Averaged:
    """A signal (leads, m) of which each sample is the mean of ``factor`` samples, at ``rate_hz``."""

    signal: NDArray[np.float32]
    rate_hz: float
    factor: int

    @classmethod
    def down_to(cls, rate_hz: float, signal_mv: NDArray[np.float32], fs_hz: float) -> Averaged:
        """``signal_mv`` (leads, n) at ``fs_hz``, at about ``rate_hz``."""
        factor = max(1, min(round(fs_hz / rate_hz), signal_mv.shape[1]))
        return cls(signal=block_means(signal_mv, factor), rate_hz=fs_hz / factor, factor=factor)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Coarse(Averaged):
    """A signal (leads, m) at about 125 Hz, and its absolute ``slopes`` (leads, m) in the QRS band."""

    slopes: NDArray[np.float32]


def detect_r_peaks(signal_mv: NDArray[np.float32], fs_hz: float) -> NDArray[np.int64]:
    """Sample indices (n_beats,) of the R peaks in ``signal_mv`` (leads, n) at ``fs_hz``.

    The slope energy of all leads in the QRS band is compared with a local threshold, as in Pan and Tompkins (IEEE
    Trans Biomed Eng 1985); each beat is then placed where the leads together stand farthest from their local baseline.
    Only ratios enter, so the unit does not matter. Empty for a flat signal, for noise and for less than 0.5 s.
    """
    signal = np.ascontiguousarray(signal_mv)
    return find_beats(signal, fs_hz, coarsen(signal, fs_hz))


def coarsen(signal_mv: NDArray[np.float32], fs_hz: float) -> Coarse:
    """The coarse form of ``signal_mv`` (leads, n) at ``fs_hz``, on which beats are sought."""
    means = Averaged.down_to(_COARSE_RATE_HZ, signal_mv, fs_hz)
    slopes = _band_slopes(means.signal, odd_samples(_SHORT_S, means.rate_hz), odd_samples(_LONG_S, means.rate_hz))
    return Coarse(signal=means.signal, slopes=slopes, rate_hz=means.rate_hz, factor=means.factor)


def find_beats(signal_mv: NDArray[np.float32], fs_hz: float, coarse: Coarse) -> NDArray[np.int64]:
    """:func:`detect_r_peaks` for a signal whose coarse form is at hand."""
    if signal_mv.shape[1] < _SHORTEST_S * fs_hz:
        return np.empty(0, dtype=np.int64)
    centres = _select(qrs_energy(coarse.slopes, coarse.rate_hz), coarse)
    if not centres.size:
        return centres
    return _refine(signal_mv, fs_hz, centres * coarse.factor + coarse.factor // 2)


def block_means(signal: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Means (leads, n // size) of consecutive blocks of ``size`` samples; a remainder is left out."""
    if size == 1:
        return signal
    whole = signal.shape[1] // size * size
    parts = signal[:, :whole].reshape(signal.shape[0], -1, size)
    return parts @ np.full(size, 1 / size, dtype=np.float32)  # by BLAS: 3 to 7 times as fast as a mean


def moving_means(signal: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Means (leads, n) of the ``size`` samples, an odd number, around each; the ends are mirrored."""
    n = signal.shape[1]
    size = min(size, 2 * n + 1)
    return _rows(_sums(_in_line(signal, size // 2), size), (len(signal), n), n + size - 1) / np.float32(size)


def moving_maxima(values: NDArray[Any], size: int) -> NDArray[Any]:
    """The largest (n,) of the ``size`` values, an odd number, around each; at the ends of those that there are."""
    n, reached = len(values), 1
    highest = values.take(np.arange(-(size // 2), n + size // 2), mode="clip")
    while 2 * reached <= size:
        highest = np.maximum(highest[:-reached], highest[reached:])
        reached *= 2
    both: NDArray[Any] = np.maximum(highest[:n], highest[size - reached :])
    return both


def _band_slopes(signal: NDArray[np.float32], short: int, long: int) -> NDArray[np.float32]:
    """Absolute slopes (leads, n), over two samples, of the means of ``short`` samples less those of ``long``.

    From one sample before to one after, a sum gains the two samples that enter its window and loses two that leave it.
    """
    leads, n = signal.shape
    slopes = np.zeros(signal.shape, dtype=np.float32)
    if n < 3:
        return slopes
    long = min(long, 2 * n + 1)
    outer = _sums(_in_line(signal, long // 2), 2)
    inside = (long - short) // 2
    inner = outer[inside : outer.size - inside]
    rise = (inner[short:] - inner[:-short]) * np.float32(1 / short)
    rise -= (outer[long:] - outer[:-long]) * np.float32(1 / long)
    np.abs(_rows(rise, (leads, n - 2), n + long - 1), out=slopes[:, 1:-1])
    return slopes


def _in_line(signal: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """All leads (leads, n) one after the other, each with ``reach`` samples mirrored at both ends.

    So numpy passes over all leads at once, in a third of the time; what it finds across two leads is left out.
    """
    return np.concatenate((signal[:, reach - 1 :: -1], signal, signal[:, : -reach - 1 : -1]), axis=1).reshape(-1)


def _rows(line: NDArray[np.float32], shape: tuple[int, int], period: int) -> NDArray[np.float32]:
    """The leads (leads, n) of a line in which one begins every ``period`` samples."""
    return np.ndarray(shape, line.dtype, line, strides=(period * line.itemsize, line.itemsize))


def _sums(line: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Sums (n - size + 1,) of ``size`` consecutive samples of a line (n,), in about 2 log2(size) additions."""
    if size == 1:
        return line
    half = _sums(line, size // 2)
    even = half[: -(size // 2)] + half[size // 2 :]
    return even[:-1] + line[size - 1 :] if size % 2 else even


def medians(values: NDArray[Any]) -> NDArray[Any]:
    """Medians (...) along the last axis, as numpy's of values without NaN, at a fraction of the cost."""
    size = values.shape[-1]
    ordered = np.sort(values, axis=-1)  # numpy sorts float32 faster than it parts them at two places
    low, high = ordered[..., (size - 1) // 2], ordered[..., size // 2]
    middle: NDArray[Any] = np.float32(0.5) * (low + high)
    return middle


def odd_samples(duration_s: float, rate_hz: float) -> int:
    """The odd number of samples, at least 3, nearest to a duration: a centred window without delay."""
    return max(3, 2 * int(duration_s * rate_hz / 2) + 1)


def qrs_energy(slopes: NDArray[np.float32], rate_hz: float) -> NDArray[np.float32]:
    """Slope activity (m,) of all leads (leads, m) together, weighted by how far the peaks exceed the background."""
    slopes = moving_means(slopes, odd_samples(_QRS_S, rate_hz))
    ranks = int(0.4 * slopes.shape[1]), int(0.97 * slopes.shape[1])
    background, peak = np.sort(slopes, axis=1)[:, ranks].T
    alive = peak > 0
    if not alive.any():
        return np.zeros(slopes.shape[1], dtype=np.float32)
    # A floor under the background: a noiseless lead must not silence the others.
    contrast = peak[alive] / np.maximum(background[alive], 0.02 * peak[alive])
    weight = (contrast / peak[alive]).astype(np.float32)
    energy: NDArray[np.float32] = weight @ slopes[alive] / np.float32(contrast.sum())
    return energy


def _select(energy: NDArray[np.float32], coarse: Coarse) -> NDArray[np.int64]:
    """Positions of the beats in an activity curve (m,)."""
    rate_hz = coarse.rate_hz
    reach = odd_samples(2 * _REFRACTORY_S, rate_hz)
    highest = moving_maxima(energy, reach)
    candidates = np.flatnonzero((energy == highest) & (energy > 0))
    if candidates.size > 1:  # a plateau of equal samples is one candidate
        candidates = candidates[np.append(True, candidates[1:] - candidates[:-1] > reach // 2)]
    level = _local_level(energy, rate_hz)
    rank = int(0.3 * energy.size)
    background = float(np.partition(energy, rank)[rank])
    if not candidates.size or float(medians(level)) < _LEAST_CONTRAST * background:
        return np.empty(0, dtype=np.int64)
    height = energy[candidates] / level[candidates]
    beats = _without_t_waves(candidates[height > _THRESHOLD], coarse)
    return _without_t_waves(_search_back(beats, candidates[height > _SEARCH_BACK_THRESHOLD], energy), coarse)


def _without_t_waves(beats: NDArray[np.int64], coarse: Coarse) -> NDArray[np.int64]:
    """The beats without those that are the tall T of the beat before.

    Pan and Tompkins (1985) tell a T wave by its slope; the narrow T of hyperkalaemia is as steep as a QRS that
    potassium has widened, but still less sharply bent.
    """
    within = _T_WITHIN_S * coarse.rate_hz
    if not (beats[1:] - beats[:-1] < within).any():
        return beats
    bend = np.zeros(coarse.signal.shape[1])
    bend[1:-1] = np.abs(np.diff(coarse.signal, n=2, axis=1)).sum(axis=0)
    bend = moving_maxima(bend, odd_samples(_QRS_S, coarse.rate_hz))[beats]
    kept: list[int] = []
    for i in range(beats.size):
        if not kept or beats[i] - beats[kept[-1]] >= within or bend[i] >= _T_CURVATURE * bend[kept[-1]]:
            kept.append(i)
    return beats[kept]


def _local_level(energy: NDArray[np.float32], rate_hz: float) -> NDArray[np.float64]:
    """The usual height (n,) of a beat around every sample: a median of block maxima."""
    size = max(1, round(_LEVEL_BLOCK_S * rate_hz))
    starts = np.arange(0, max(1, energy.size - size // 2), size)
    reach = _LEVEL_BLOCKS // 2
    around = np.arange(starts.size)[:, None] + np.arange(-reach, reach + 1)
    highest = np.maximum.reduceat(energy, starts).take(around, mode="clip")
    level: NDArray[np.float64] = np.interp(np.arange(energy.size), starts + size / 2, medians(highest))
    return level


def _search_back(
    beats: NDArray[np.int64], candidates: NDArray[np.int64], energy: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The beats and, in each gap that is too long, the strongest candidate."""
    if beats.size < 3:
        return beats
    intervals = beats[1:] - beats[:-1]
    found = []
    for gap in np.flatnonzero(intervals > _SEARCH_BACK_GAP * medians(intervals)):
        inside = candidates[(candidates > beats[gap]) & (candidates < beats[gap + 1])]
        if inside.size:
            found.append(inside[np.argmax(energy[inside])])
    return np.union1d(beats, np.asarray(found, dtype=np.int64)) if found else beats


def _refine(signal: NDArray[np.float32], fs_hz: float, centres: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sample near each centre at which the leads together stand farthest from their median in the window."""
    reach = max(1, round(_REFINE_S * fs_hz))
    index = centres[:, None] + np.arange(-reach, reach + 1)
    windows = signal.take(index, axis=1, mode="clip")  # (leads, beats, window)
    windows -= np.sort(windows, axis=2)[:, :, reach, None]
    distance = np.abs(windows, out=windows).sum(axis=0)
    # the window repeats the sample at an end beyond it; the first of equals lies before the beginning, or at the end
    return np.unique(np.maximum(centres - reach + np.argmax(distance, axis=1), 0))
