"""The averaged beat: what all whole beats of a recording have in common, in every lead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BEFORE_S, AFTER_S = 0.24, 0.40
"""The part of a beat that is averaged, from the R peak."""

_FEWEST_BEATS = 3
_LEVEL_S = (-0.080, -0.048)  # where the heart is silent
_WAVES_S = ((-BEFORE_S, -0.072), (-0.072, 0.080), (0.144, AFTER_S))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AveragedBeat:
    """``signal_mv`` (leads, m) at ``rate_hz``, from :data:`BEFORE_S` before the R peak to :data:`AFTER_S` after."""

    names: tuple[str, ...]
    signal_mv: NDArray[np.float32]
    rate_hz: float

    def samples(self, start_s: float, stop_s: float) -> slice:
        """The columns between two times from the R peak."""
        return slice(round((BEFORE_S + start_s) * self.rate_hz), round((BEFORE_S + stop_s) * self.rate_hz))

    def wave_products(self) -> NDArray[np.float64]:
        """(3, leads, leads): the mean products of the leads with each other over P, over QRS, and over T with most of
        ST, all measured from the level between P and QRS."""
        leads = self.signal_mv.astype(np.float64)
        before = leads[:, self.samples(*_LEVEL_S)]
        leads -= (before @ np.full(before.shape[1], 1 / before.shape[1]))[:, None]  # a third of the time of a mean
        products = np.empty((len(_WAVES_S), len(leads), len(leads)))
        for product, span_s in zip(products, _WAVES_S, strict=True):
            wave = leads[:, self.samples(*span_s)]
            np.matmul(wave, wave.T, out=product)
            product /= wave.shape[1]
        return products


def average_beat(
    names: tuple[str, ...], signal_mv: NDArray[np.float32], rate_hz: float, r_peaks: NDArray[np.int64]
) -> AveragedBeat | None:
    """The median over the beats of ``signal_mv`` (leads, n) at about 250 Hz, whose R peaks are samples of it; None of
    fewer than three whole beats. A premature beat or a burst of noise does not move a median."""
    index = r_peaks[:, None] + np.arange(-round(BEFORE_S * rate_hz), round(AFTER_S * rate_hz))
    index = index[(index[:, 0] >= 0) & (index[:, -1] < signal_mv.shape[1])]
    if len(index) < _FEWEST_BEATS:
        return None
    beats = _ordered(signal_mv.take(index.T, axis=1).astype(np.float32, copy=False).view(np.int32))  # (leads, m, beats)
    beats.sort(axis=2)
    median = _ordered(beats[:, :, len(index) // 2]).view(np.float32)
    return AveragedBeat(names=names, signal_mv=median, rate_hz=rate_hz)


def _ordered(bits: NDArray[np.int32]) -> NDArray[np.int32]:
    """The bits of float32 as whole numbers in the same order, and back: numpy sorts those in half the time."""
    ordered: NDArray[np.int32] = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return ordered
