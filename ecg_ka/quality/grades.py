"""How good each lead and the whole record is, in one word."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ecg_ka.quality.beats import Coarse, coarsen, find_beats
from ecg_ka.quality.indices import LeadIndices, measure
from ecg_ka.record import EcgRecord

HEART_RATE_RANGE_BPM = (20.0, 300.0)

# Limits for (noise in microvolt, wander in mV, share of clipped samples, share of still blocks). Among 200 clinical
# ECGs 95 % have their worst lead below 18 uV of noise and 1.1 mV of wander. A frozen end of 0.1 s, as some carts write,
# can alone put 1.1 % of the samples at the highest value.
_GOOD = (15.0, 0.5, 0.005, 0.0)
_ACCEPTABLE = (40.0, 1.5, 0.015, 0.1)
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graded:
    """A record with its grade, the leads in record order, and what they were graded by."""

    grade: Grade
    leads: tuple[LeadQuality, ...]
    coarse: Coarse
    r_peaks: NDArray[np.int64]
    heart_rate_bpm: float | None


def grade(record: EcgRecord) -> Grade:
    """The grade that :func:`ecg_ka.quality.assess` gives a record, for less than half the cost: no more is sought."""
    return graded(record, ()).grade


def graded(record: EcgRecord, inconsistent: Collection[str]) -> Graded:
    """Grade a record of any length, lead count and sampling rate, of which some leads are known as ``inconsistent``.

    It is unusable when no heart rate between 20 and 300 per minute is found or when most leads are unusable; otherwise
    it is as good as its worst lead, and poor when that is unusable.
    """
    signal = np.ascontiguousarray(record.signal_mv)
    coarse = coarsen(signal, record.fs_hz)
    r_peaks = find_beats(signal, record.fs_hz, coarse)
    leads = _lead_qualities(record.leads, measure(signal, record.fs_hz, coarse, r_peaks), inconsistent)
    heart_rate_bpm = _heart_rate_bpm(r_peaks, record.fs_hz)
    return Graded(
        grade=_record_grade(leads, heart_rate_bpm),
        leads=leads,
        coarse=coarse,
        r_peaks=r_peaks,
        heart_rate_bpm=heart_rate_bpm,
    )


def _lead_qualities(
    names: tuple[str, ...], indices: LeadIndices, inconsistent: Collection[str]
) -> tuple[LeadQuality, ...]:
    usual_range = float(np.median(indices.range_mv))
    return tuple(
        _lead_quality(name, indices, row, usual_range, inconsistent=name in inconsistent)
        for row, name in enumerate(names)
    )


def _lead_quality(
    name: str, indices: LeadIndices, row: int, usual_range_mv: float, *, inconsistent: bool
) -> LeadQuality:
    range_mv, still = float(indices.range_mv[row]), float(indices.still_fraction[row])
    noise_uv, wander_mv = float(indices.noise_uv[row]), float(indices.wander_mv[row])
    clipped = float(indices.clipped_fraction[row])
    flat = range_mv <= _FLAT_RANGE * usual_range_mv or still > _FLAT_STILL_FRACTION
    disconnected = float(indices.beat_contrast[row]) < _LEAST_BEAT_CONTRAST
    measures = (noise_uv, wander_mv, clipped, still)
    return LeadQuality(
        lead=name,
        flat=flat,
        disconnected=disconnected,
        inconsistent=inconsistent,
        clipped_fraction=clipped,
        noise_uv=noise_uv,
        wander_mv=wander_mv,
        amplitude_mv=float(indices.amplitude_mv[row]),
        grade=Grade.UNUSABLE if flat or disconnected else _grade(measures),
    )


def _grade(measures: tuple[float, ...]) -> Grade:
    for limits, grade in ((_GOOD, Grade.GOOD), (_ACCEPTABLE, Grade.ACCEPTABLE)):
        if all(measure <= limit for measure, limit in zip(measures, limits, strict=True)):
            return grade
    return Grade.POOR


def _heart_rate_bpm(r_peaks: NDArray[np.int64], fs_hz: float) -> float | None:
    if r_peaks.size < 2:
        return None
    return 60.0 * fs_hz / float(np.median(np.diff(r_peaks)))


def _record_grade(leads: tuple[LeadQuality, ...], heart_rate_bpm: float | None) -> Grade:
    low, high = HEART_RATE_RANGE_BPM
    if heart_rate_bpm is None or not low <= heart_rate_bpm <= high:
        return Grade.UNUSABLE
    unusable = sum(lead.grade is Grade.UNUSABLE for lead in leads)
    if 2 * unusable > len(leads):
        return Grade.UNUSABLE
    if unusable:
        return Grade.POOR
    return max((lead.grade for lead in leads), key=_ORDER.index)
