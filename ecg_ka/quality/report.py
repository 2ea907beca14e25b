"""The slow, detailed look at a record: neurokit2's quality index and delineation for every lead."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import MissingDependency
from ecg_ka.quality.assessment import SignalQuality
from ecg_ka.record import EcgRecord

_FEWEST_BEATS = 3  # neurokit2 makes templates and wavelet searches that need them


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadReport:
    """One lead as neurokit2 sees it: ``similarity`` 0..1 of its beats to their average, and median intervals.

    None stands for what could not be found.
    """

    lead: str
    similarity: float | None
    pr_ms: float | None
    qrs_ms: float | None
    qt_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FullReport:
    """A report a lead, and intervals of the record: medians over the leads.

    ``qtc_ms`` is QT / cube root of the beat interval in seconds (Fridericia 1920).
    """

    leads: tuple[LeadReport, ...]
    pr_ms: float | None
    qrs_ms: float | None
    qt_ms: float | None
    qtc_ms: float | None


def full_report(record: EcgRecord, quality: SignalQuality) -> FullReport:
    """Delineate every lead of a record that :func:`~ecg_ka.quality.assess` has judged; takes about 0.1 s a lead.

    Raises:
        MissingDependency: when neurokit2 is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # neurokit2 and what it imports warn about their own dependencies
        neurokit = _neurokit()
        leads = tuple(
            _lead_report(neurokit, name, row, record.fs_hz, quality.r_peaks)
            for name, row in zip(record.leads, record.signal_mv, strict=True)
        )
    qt_ms = _median([lead.qt_ms for lead in leads])
    beat_s = 60.0 / quality.heart_rate_bpm if quality.heart_rate_bpm else None
    return FullReport(
        leads=leads,
        pr_ms=_median([lead.pr_ms for lead in leads]),
        qrs_ms=_median([lead.qrs_ms for lead in leads]),
        qt_ms=qt_ms,
        qtc_ms=float(qt_ms / np.cbrt(beat_s)) if qt_ms is not None and beat_s is not None else None,
    )


def _neurokit() -> Any:
    try:
        import neurokit2
    except ImportError as error:
        raise MissingDependency(
            "the full report needs neurokit2, which is not installed. Install it with: pip install 'ecg-ka[quality]'"
        ) from error
    return neurokit2


def _lead_report(
    neurokit: Any,
    name: str,
    row_mv: NDArray[np.float32],
    fs_hz: float,
    r_peaks: NDArray[np.int64],
) -> LeadReport:
    nothing = LeadReport(lead=name, similarity=None, pr_ms=None, qrs_ms=None, qt_ms=None)
    if r_peaks.size < _FEWEST_BEATS or np.ptp(row_mv) == 0:
        return nothing
    rate_hz = round(fs_hz)  # neurokit2 takes whole rates
    try:
        clean = neurokit.ecg_clean(row_mv.astype(np.float64), sampling_rate=rate_hz)
        similarity = float(np.mean(neurokit.ecg_quality(clean, rpeaks=r_peaks, sampling_rate=rate_hz)))
        # Of its delineators this one gives the most plausible QRS durations; those of "dwt" are some 80 ms longer.
        waves = neurokit.ecg_delineate(clean, r_peaks, sampling_rate=rate_hz, method="prominence")[1]
    except Exception:  # noqa: BLE001  neurokit2 fails with errors of many kinds on leads it cannot follow
        return nothing
    r_onsets, r_offsets = waves["ECG_R_Onsets"], waves["ECG_R_Offsets"]
    return LeadReport(
        lead=name,
        similarity=similarity if np.isfinite(similarity) else None,
        pr_ms=_interval_ms(waves["ECG_P_Onsets"], r_onsets, fs_hz),
        qrs_ms=_interval_ms(r_onsets, r_offsets, fs_hz),
        qt_ms=_interval_ms(r_onsets, waves["ECG_T_Offsets"], fs_hz),
    )


def _interval_ms(starts: list[float], ends: list[float], fs_hz: float) -> float | None:
    """Median time in ms from each start to the first end after it."""
    first, last = np.asarray(starts, dtype=np.float64), np.asarray(ends, dtype=np.float64)
    first, last = np.sort(first[np.isfinite(first)]), np.sort(last[np.isfinite(last)])
    following = np.searchsorted(last, first, side="right")
    first, following = first[following < last.size], following[following < last.size]
    return float(np.median(last[following] - first)) / fs_hz * 1000.0 if first.size else None


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
