"""A judgement on each lead and on the whole record, fast enough to be made for every estimate."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ecg_ka.flags import Flag
from ecg_ka.quality.averaged_beat import AveragedBeat, average_beat
from ecg_ka.quality.beats import coarsen, find_beats
from ecg_ka.quality.cables import interchanged_cables
from ecg_ka.quality.einthoven import disagreements_mv
from ecg_ka.quality.indices import LeadIndices, measure
from ecg_ka.quality.lead_order import limb_lead_note, order_note
from ecg_ka.quality.pacing import is_paced
from ecg_ka.quality.qrs import WIDE_QRS_MS, qrs_ms
from ecg_ka.quality.rhythm import is_irregular
from ecg_ka.record import DERIVED_FROM_I_II, INDEPENDENT_LEADS, EcgRecord

HEART_RATE_RANGE_BPM = (20.0, 300.0)
AMPLITUDE_RANGE_MV = (0.3, 4.0)
"""Peak to peak of the median lead. Outside, a wrong gain is likelier than such a heart: PTB-XL 1-100 lie between 0.58
and 2.46 mV, and at 5 times their gain, a common mistake, 91 % lie above 4 mV (42 % above 6), at a fifth of it 86 %
below 0.3. No estimate is given there, because the model reads the height of the waves."""

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
class SignalQuality:
    """The quality of a record: ``leads`` in record order, R peaks as sample indices (n_beats,), and flags.

    ``heart_rate_bpm`` comes from the median beat interval and is None with fewer than two beats; ``qrs_ms`` is measured
    on the averaged beat of the usable leads and None with fewer than three. ``notes`` say in words which leads and
    numbers stand behind the flags.
    """

    leads: tuple[LeadQuality, ...]
    grade: Grade
    r_peaks: NDArray[np.int64]
    heart_rate_bpm: float | None
    qrs_ms: float | None
    flags: frozenset[Flag]
    notes: tuple[str, ...]


def assess(record: EcgRecord) -> SignalQuality:
    """Judge a record of any length, lead count and sampling rate.

    The record is unusable when no heart rate between 20 and 300 per minute is found or when most leads are unusable;
    otherwise it is as good as its worst lead, and poor when that is unusable. Poor and unusable records carry
    LOW_QUALITY. What the file states is doubted where the ECG contradicts it: a median lead below 0.3 mV or above 4 mV
    peak to peak gives IMPLAUSIBLE_AMPLITUDE, a heart rate outside its range IMPLAUSIBLE_HEART_RATE, limb leads that do
    not fit each other INCONSISTENT_LEADS, limb leads that do not fit V6 LEAD_REVERSAL_SUSPECTED, and leads that seem to
    stand under each other's names LEAD_ORDER_IMPLAUSIBLE. WIDE_QRS, IRREGULAR_RHYTHM and PACED_SUSPECTED say what the
    heart does.
    """
    signal = np.ascontiguousarray(record.signal_mv)
    coarse = coarsen(signal, record.fs_hz)
    r_peaks = find_beats(signal, record.fs_hz, coarse)
    inconsistent_mv = disagreements_mv(record)
    leads = _lead_qualities(record.leads, measure(signal, record.fs_hz, coarse, r_peaks), set(inconsistent_mv))
    heart_rate_bpm = _heart_rate_bpm(r_peaks, record.fs_hz)
    grade = _record_grade(leads, heart_rate_bpm)
    unusable = frozenset(lead.lead for lead in leads if lead.grade is Grade.UNUSABLE)
    usable = _Usable.among(record, unusable)
    beat = average_beat(usable.names, usable.signal_mv, record.fs_hz, r_peaks)
    width_ms = None if beat is None else qrs_ms(beat)
    doubts = {
        Flag.IMPLAUSIBLE_AMPLITUDE: _amplitude_note(leads),
        Flag.IMPLAUSIBLE_HEART_RATE: _rate_note(heart_rate_bpm),
        Flag.INCONSISTENT_LEADS: _inconsistency_note(inconsistent_mv),
        Flag.LEAD_REVERSAL_SUSPECTED: _cables_note(interchanged_cables(record.leads, coarse, r_peaks, unusable)),
        Flag.LEAD_ORDER_IMPLAUSIBLE: (limb_lead_note(usable.names, usable.signal_mv) or _order_note(beat, record)),
        Flag.WIDE_QRS: _width_note(width_ms),
    }
    raised = {flag for flag, note in doubts.items() if note}
    seen = {
        Flag.LOW_QUALITY: grade in (Grade.POOR, Grade.UNUSABLE),
        Flag.IRREGULAR_RHYTHM: is_irregular(r_peaks),
        Flag.PACED_SUSPECTED: is_paced(usable.signal_mv[::-2], record.fs_hz, r_peaks),
    }
    return SignalQuality(
        leads=leads,
        grade=grade,
        r_peaks=r_peaks,
        heart_rate_bpm=heart_rate_bpm,
        qrs_ms=width_ms,
        flags=frozenset(raised | {flag for flag, is_seen in seen.items() if is_seen}),
        notes=tuple(note for note in doubts.values() if note),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Usable:
    """The independent leads with a heartbeat: ``signal_mv`` (leads, n)."""

    names: tuple[str, ...]
    signal_mv: NDArray[np.float32]

    @classmethod
    def among(cls, record: EcgRecord, unusable: frozenset[str]) -> _Usable:
        """All leads of a record that has none of the independent ones."""
        there = [lead for lead in record.leads if lead not in unusable] or list(record.leads)
        names = tuple(lead for lead in INDEPENDENT_LEADS if lead in there) or tuple(there)
        return cls(names=names, signal_mv=record.signal_mv[[record.leads.index(name) for name in names]])


def _lead_qualities(names: tuple[str, ...], indices: LeadIndices, inconsistent: set[str]) -> tuple[LeadQuality, ...]:
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


def _amplitude_note(leads: tuple[LeadQuality, ...]) -> str | None:
    (low, high), usual_mv = AMPLITUDE_RANGE_MV, float(np.median([lead.amplitude_mv for lead in leads]))
    if low <= usual_mv <= high:
        return None
    return f"the median lead is {usual_mv:.3g} mV peak to peak; expected {low:g} to {high:g}"


def _rate_note(heart_rate_bpm: float | None) -> str | None:
    low, high = HEART_RATE_RANGE_BPM
    if heart_rate_bpm is None or low <= heart_rate_bpm <= high:
        return None
    return f"{heart_rate_bpm:.3g} beats a minute at the stated sampling rate; expected {low:g} to {high:g}"


def _inconsistency_note(inconsistent_mv: dict[str, float]) -> str | None:
    if not inconsistent_mv:
        return None
    leads = ", ".join(f"{lead} (by up to {mv:.2f} mV)" for lead, mv in inconsistent_mv.items())
    return f"not what I and II make it: {leads}"


def _order_note(beat: AveragedBeat | None, record: EcgRecord) -> str | None:
    recorded = any(lead in record.leads and lead not in record.leads_derived for lead in DERIVED_FROM_I_II)
    return None if beat is None else order_note(beat, limb_leads_checked=recorded)


def _width_note(width_ms: float | None) -> str | None:
    return f"QRS measures {width_ms:.0f} ms" if width_ms is not None and width_ms >= WIDE_QRS_MS else None


def _cables_note(pair: str | None) -> str | None:
    return f"beside V6 the cables {pair} look interchanged" if pair else None
