"""How good each lead and the whole record is, in one word."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg_ka.quality.beats import FINE_RATE_HZ, Averaged, Coarse, coarsen, find_beats, medians
from ecg_ka.quality.indices import LeadIndices, measure
from ecg_ka.record import EcgRecord

HEART_RATE_RANGE_BPM = (20.0, 300.0)

# Limits for (noise in microvolt, wander in mV, share of clipped samples, share of still blocks). Among 200 clinical
# ECGs 95 % have their worst lead below 18 uV of noise and 1.1 mV of wander. A frozen end of 0.1 s, as some carts write,
# can alone put 1.1 % of the samples at the highest value.
_GOOD = (15.0, 0.5, 0.005, 0.0)
_ACCEPTABLE = (40.0, 1.5, 0.015, 0.1)
_LIMITS = np.array((_GOOD, _ACCEPTABLE))[:, :, None]  # (grades, measures, leads)
_FLAT_STILL_FRACTION = 0.5
_FLAT_RANGE = 0.02  # of the median lead
_LEAST_BEAT_CONTRAST = 1.4  # a lead of noise alone lies at 1.0 +- 0.15, its worst of 10 s at 1.25


class Grade(StrEnum):
    """How good a signal is, in one word."""

    GOOD = "good"
    ACCEPTABLE = "acceptable"
    POOR = "poor"
    UNUSABLE = "unusable"


_ORDER = tuple(Grade)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadQuality:
    """The quality of one lead; :func:`ecg_ka.quality.indices.measure` defines the measures.

    ``flat`` means that nothing, or next to nothing beside the other leads, moves for most of the time;
    ``disconnected`` that the heartbeat is not in this lead; ``inconsistent`` that it does not follow from I and II.
    """

    lead: str
    flat: bool
    disconnected: bool
    inconsistent: bool
    clipped_fraction: float
    noise_uv: float
    wander_mv: float
    amplitude_mv: float
    grade: Grade


class _Verdicts(NamedTuple):
    """Arrays (leads,); ``levels`` are places in ``_ORDER``."""

    flat: NDArray[np.bool_]
    disconnected: NDArray[np.bool_]
    levels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graded:
    """A record with its grade and what it was graded by."""

    grade: Grade
    verdicts: _Verdicts
    indices: LeadIndices
    fine: Averaged
    coarse: Coarse
    r_peaks: NDArray[np.int64]
    heart_rate_bpm: float | None
    names: tuple[str, ...]
    inconsistent: Collection[str]

    @property
    def leads(self) -> tuple[LeadQuality, ...]:
        """The leads in record order, made when they are asked for."""
        i, verdicts = self.indices, self.verdicts
        columns = (i.clipped_fraction, i.noise_uv, i.wander_mv, i.amplitude_mv)
        measures = (column.tolist() for column in columns)
        judged = (column.tolist() for column in (verdicts.flat, verdicts.disconnected, verdicts.levels))
        return tuple(
            LeadQuality(
                lead=lead,
                flat=flat,
                disconnected=disconnected,
                inconsistent=lead in self.inconsistent,
                clipped_fraction=clipped,
                noise_uv=noise_uv,
                wander_mv=wander_mv,
                amplitude_mv=amplitude_mv,
                grade=_ORDER[level],
            )
            for lead, flat, disconnected, level, clipped, noise_uv, wander_mv, amplitude_mv in zip(
                self.names, *judged, *measures, strict=True
            )
        )


def grade(record: EcgRecord) -> Grade:
    """The grade that :func:`ecg_ka.quality.assess` gives a record, at a fraction of the cost."""
    return graded(record, ()).grade


def graded(record: EcgRecord, inconsistent: Collection[str]) -> Graded:
    """Grade a record of any length, lead count and sampling rate, of which some leads are known as ``inconsistent``.

    It is unusable when no heart rate between 20 and 300 per minute is found or when most leads are unusable; otherwise
    it is as good as its worst lead, and poor when that is unusable.
    """
    signal = np.ascontiguousarray(record.signal_mv)
    coarse = coarsen(signal, record.fs_hz)
    r_peaks = find_beats(signal, record.fs_hz, coarse)
    fine = Averaged.down_to(FINE_RATE_HZ, signal, record.fs_hz)
    indices = measure(signal, record.fs_hz, fine, coarse, r_peaks)
    verdicts = _verdicts(indices)
    heart_rate_bpm = _heart_rate_bpm(r_peaks, record.fs_hz)
    return Graded(
        grade=_record_grade(verdicts.levels, heart_rate_bpm),
        verdicts=verdicts,
        indices=indices,
        fine=fine,
        coarse=coarse,
        r_peaks=r_peaks,
        heart_rate_bpm=heart_rate_bpm,
        names=record.leads,
        inconsistent=inconsistent,
    )


def _verdicts(indices: LeadIndices) -> _Verdicts:
    usual_range = float(medians(indices.range_mv))
    still = indices.still_fraction
    flat = (indices.range_mv <= _FLAT_RANGE * usual_range) | (still > _FLAT_STILL_FRACTION)
    disconnected = indices.beat_contrast < _LEAST_BEAT_CONTRAST
    measures = np.stack((indices.noise_uv, indices.wander_mv, indices.clipped_fraction, still))
    levels = (~(measures <= _LIMITS).all(axis=1)).sum(axis=0)
    levels[flat | disconnected] = _ORDER.index(Grade.UNUSABLE)
    return _Verdicts(flat=flat, disconnected=disconnected, levels=levels)


def _heart_rate_bpm(r_peaks: NDArray[np.int64], fs_hz: float) -> float | None:
    if r_peaks.size < 2:
        return None
    return 60.0 * fs_hz / float(medians(r_peaks[1:] - r_peaks[:-1]))


def _record_grade(levels: NDArray[np.int64], heart_rate_bpm: float | None) -> Grade:
    low, high = HEART_RATE_RANGE_BPM
    if heart_rate_bpm is None or not low <= heart_rate_bpm <= high:
        return Grade.UNUSABLE
    unusable = int(np.count_nonzero(levels == _ORDER.index(Grade.UNUSABLE)))
    if 2 * unusable > levels.size:
        return Grade.UNUSABLE
    return Grade.POOR if unusable else _ORDER[int(levels.max())]
