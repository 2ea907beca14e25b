"""A judgement on each lead and on the whole record, fast enough to be made for every estimate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg_ka.flags import Flag
from ecg_ka.quality.averaged_beat import average_beat
from ecg_ka.quality.cables import interchanged_cables
from ecg_ka.quality.einthoven import disagreements_mv
from ecg_ka.quality.grades import HEART_RATE_RANGE_BPM, Grade, LeadQuality, graded
from ecg_ka.quality.lead_order import LIMB_STRIDE, limb_lead_note, order_note
from ecg_ka.quality.pacing import is_paced
from ecg_ka.quality.qrs import WIDE_QRS_MS, qrs_ms
from ecg_ka.quality.rhythm import is_irregular
from ecg_ka.record import DERIVED_FROM_I_II, INDEPENDENT_LEADS, EcgRecord

WaveProducts = NDArray[np.float64]

AMPLITUDE_RANGE_MV = (0.3, 4.0)
"""Peak to peak of the median lead. Outside, a wrong gain is likelier than such a heart: PTB-XL 1-100 lie between 0.58
and 2.46 mV, and at 5 times their gain, a common mistake, 91 % lie above 4 mV (42 % above 6), at a fifth of it 86 %
below 0.3. No estimate is given there, because the model reads the height of the waves."""


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

    :func:`ecg_ka.quality.grades.graded` says what the grades mean; poor and unusable records carry LOW_QUALITY. What
    the file states is doubted where the ECG contradicts it: a median lead below 0.3 mV or above 4 mV peak to peak
    gives IMPLAUSIBLE_AMPLITUDE, a heart rate outside its range IMPLAUSIBLE_HEART_RATE, limb leads that do
    not fit each other INCONSISTENT_LEADS, limb leads that do not fit V6 LEAD_REVERSAL_SUSPECTED, and leads that seem to
    stand under each other's names LEAD_ORDER_IMPLAUSIBLE. WIDE_QRS, IRREGULAR_RHYTHM and PACED_SUSPECTED say what the
    heart does.
    """
    inconsistent_mv = disagreements_mv(record)
    found = graded(record, inconsistent_mv)
    leads, r_peaks = found.leads, found.r_peaks
    unusable = frozenset(lead.lead for lead in leads if lead.grade is Grade.UNUSABLE)
    usable = _Usable.among(record, unusable)
    fine = found.fine
    fine_mv = fine.signal[usable.rows]
    beat = average_beat(usable.names, fine_mv, fine.rate_hz, r_peaks // fine.factor)
    width_ms = None if beat is None else qrs_ms(beat)
    products = None if beat is None else beat.wave_products()
    doubts = {
        Flag.IMPLAUSIBLE_AMPLITUDE: _amplitude_note(leads),
        Flag.IMPLAUSIBLE_HEART_RATE: _rate_note(found.heart_rate_bpm),
        Flag.INCONSISTENT_LEADS: _inconsistency_note(inconsistent_mv),
        Flag.LEAD_REVERSAL_SUSPECTED: _cables_note(usable.names, products),
        Flag.LEAD_ORDER_IMPLAUSIBLE: limb_lead_note(usable.names, fine_mv[:, ::LIMB_STRIDE])
        or _order_note(usable.names, products, record),
        Flag.WIDE_QRS: _width_note(width_ms),
    }
    raised = {flag for flag, note in doubts.items() if note}
    seen = {
        Flag.LOW_QUALITY: found.grade in (Grade.POOR, Grade.UNUSABLE),
        Flag.IRREGULAR_RHYTHM: is_irregular(r_peaks),
        Flag.PACED_SUSPECTED: is_paced([record.signal_mv[row] for row in usable.rows[::-2]], record.fs_hz, r_peaks),
    }
    return SignalQuality(
        leads=leads,
        grade=found.grade,
        r_peaks=r_peaks,
        heart_rate_bpm=found.heart_rate_bpm,
        qrs_ms=width_ms,
        flags=frozenset(raised | {flag for flag, is_seen in seen.items() if is_seen}),
        notes=tuple(note for note in doubts.values() if note),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Usable:
    """The independent leads with a heartbeat, and which rows of the record they are."""

    names: tuple[str, ...]
    rows: list[int]

    @classmethod
    def among(cls, record: EcgRecord, unusable: frozenset[str]) -> _Usable:
        """All leads of a record that has none of the independent ones."""
        there = [lead for lead in record.leads if lead not in unusable] or list(record.leads)
        names = tuple(lead for lead in INDEPENDENT_LEADS if lead in there) or tuple(there)
        return cls(names=names, rows=[record.leads.index(name) for name in names])


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


def _order_note(names: tuple[str, ...], products: WaveProducts | None, record: EcgRecord) -> str | None:
    recorded = any(lead in record.leads and lead not in record.leads_derived for lead in DERIVED_FROM_I_II)
    return None if products is None else order_note(names, products, limb_leads_checked=recorded)


def _width_note(width_ms: float | None) -> str | None:
    if width_ms is None or width_ms < WIDE_QRS_MS:
        return None
    return f"QRS measures {width_ms:.0f} ms; this measure is mostly about 12 ms short"


def _cables_note(names: tuple[str, ...], products: WaveProducts | None) -> str | None:
    pair = None if products is None else interchanged_cables(names, products)
    return f"beside V6 the cables {pair} look interchanged" if pair else None
