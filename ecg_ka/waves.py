"""Where P, QRS, ST and T of each beat lie, by neurokit2, and what a record is like with one of them replaced."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.errors import MissingDependency, UnusableRecord
from ecg_ka.explanation import Wave
from ecg_ka.record import EcgRecord
from ecg_ka.usual_t import usual_t

Spans = dict[Wave, NDArray[np.int64]]
"""First and last sample (n_beats, 2) of each wave that was found; clipped to the record."""

_LOOKED_AT = ("II", "V2", "V5")  # 0.05 s each on an idle core; their waves lie within 20 ms of those of other leads
_FEWEST_BEATS = 3  # neurokit2 searches in what lies between beats
_BASELINE_S = 0.020  # before the QRS: the end of the PR segment
_LONGEST_ST_S = 0.080  # neurokit2 puts the onset of T at most 0.1 s before its peak, where a wide T is half done
_RAMP_S = 0.012  # from the tracing to the baseline and back, so that no step is drawn
_GAP_S = 0.010  # between T(U) and what follows
_LATEST_T_PEAK_S = 0.40  # after its onset, in a heart that beats 60 times a minute
_SMOOTHED_S = 0.020
_SLACK_S = 0.040  # in one lead neurokit2 may see QRS begin after, or end before, the R peak of all leads
_EDGE_S = 0.250  # neurokit2 fails on a beat that is cut


def delineate(record: EcgRecord, r_peaks: NDArray[np.int64]) -> Spans:
    """The waves of all beats, all at the same distances from their R peaks: medians over beats, then over leads the
    median for P and the outermost ends for QRS and T. T(U) ends where the next P (without one, QRS) begins.

    Raises:
        MissingDependency: neurokit2 is not installed.
        UnusableRecord: fewer than 3 beats, or no QRS or T was found.
    """
    edge, n = _EDGE_S * record.fs_hz, record.signal_mv.shape[1]
    whole = r_peaks[(r_peaks >= edge) & (r_peaks < n - edge)]
    if whole.size < _FEWEST_BEATS:
        raise UnusableRecord(
            f"{whole.size} whole beats found; expected at least {_FEWEST_BEATS} to tell the waves apart"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # neurokit2 and what it imports warn about their own dependencies
        neurokit = _neurokit()
        leads = [lead for lead in _LOOKED_AT if lead in record.leads]
        found = [_fiducials(neurokit, record.lead(lead), record.fs_hz, whole) for lead in leads]
    at = {name: [f[name] for f in found if name in f] for name in _SIDES}
    if not (at["R_Onsets"] and at["R_Offsets"] and at["T_Onsets"]):
        raise UnusableRecord("neither QRS nor T could be told apart; expected a recording with clear beats")
    return _spans(at, r_peaks, record)


def replaced(record: EcgRecord, spans: Spans, wave: Wave) -> NDArray[np.float32]:
    """The signal (leads, n) in mV with one wave of every beat replaced: P, QRS and ST by the baseline, a line through
    the ends of the PR segments, T by the baseline and a usual T at the place and in the scale of the record's own.

    A beat without T is nothing that a network knows. On simulated ECGs its answer to one is not that to a beat with the
    same patient's T at 4.2 mmol/L; its answer to the usual T is, on average over patients (docs/uncertainty.md).
    """
    baseline = _baseline(record, spans)
    weight = _weight(spans[wave], record.signal_mv.shape[1], max(1, round(_RAMP_S * record.fs_hz)))
    new = baseline + _usual_t(record, spans, baseline) if wave is Wave.T else baseline
    return np.asarray((1 - weight) * record.signal_mv + weight * new, dtype=np.float32)


def _baseline(record: EcgRecord, spans: Spans) -> NDArray[np.float64]:
    """(leads, n)"""
    n = record.signal_mv.shape[1]
    qrs_onsets = spans[Wave.QRS][:, 0]
    width = max(1, round(_BASELINE_S * record.fs_hz))
    levels = np.stack([np.median(record.signal_mv[:, max(0, q - width) : q + 1], axis=1) for q in qrs_onsets])
    return np.stack([np.interp(np.arange(n), qrs_onsets, level) for level in levels.T])


def _usual_t(record: EcgRecord, spans: Spans, baseline: NDArray[np.float64]) -> NDArray[np.float64]:
    """(leads, n) in mV over the baseline, 0 outside of T."""
    over = record.signal_mv - baseline
    rr_s = float(np.median(np.diff(spans[Wave.QRS][:, 0]))) / record.fs_hz
    peak = t_peak(over, spans, rr_s, record.fs_hz)
    swing = np.median([np.ptp(over[:, a : b + 1], axis=1) for a, b in spans[Wave.QRS]], axis=0)
    out = np.zeros_like(over)
    for start, stop in spans[Wave.T]:
        after_peak_s = (np.arange(stop - start + 1) - peak) / record.fs_hz
        shape = np.stack([usual_t(lead, after_peak_s, rr_s) for lead in record.leads])
        out[:, start : stop + 1] = swing[:, None] * shape
    return out


def t_peak(over_mv: NDArray[np.float64], spans: Spans, rr_s: float, fs_hz: float) -> int:
    """Samples from the onset of T to its peak: where all leads (leads, n) together stand farthest from the baseline,
    over the beats that are whole. A U wave comes later than is searched."""
    from scipy.ndimage import uniform_filter1d  # here, as an estimate needs no scipy

    longest = round(_LATEST_T_PEAK_S * np.cbrt(rr_s) * fs_hz)
    onsets, stops = spans[Wave.T].T
    reach = max(1, min(longest, round(float(np.median(stops - onsets)))))
    whole = onsets[onsets + reach < over_mv.shape[1]]
    if not whole.size:
        return 0
    usual = np.median(np.abs(over_mv).sum(axis=0)[whole[:, None] + np.arange(reach)], axis=0)
    return int(np.argmax(uniform_filter1d(usual, max(1, round(_SMOOTHED_S * fs_hz)))))


_SIDES: dict[str, int] = {"P_Onsets": -1, "P_Offsets": -1, "R_Onsets": -1, "R_Offsets": 1, "T_Onsets": 1}
"""Points of a beat as neurokit2 names them: before (-1) or after (1) its R peak."""


def _neurokit() -> Any:
    try:
        import neurokit2
    except ImportError as error:
        raise MissingDependency(
            "an explanation needs neurokit2, which is not installed. Install it with: pip install 'ecg-ka[quality]'"
        ) from error
    return neurokit2


def _fiducials(
    neurokit: Any, row_mv: NDArray[np.float32], fs_hz: float, r_peaks: NDArray[np.int64]
) -> dict[str, float]:
    """Median distance in samples of each point from the R peak of its beat; without those that were not found."""
    rate_hz = round(fs_hz)  # neurokit2 takes whole rates
    try:
        clean = neurokit.ecg_clean(row_mv.astype(np.float64), sampling_rate=rate_hz)
        points = neurokit.ecg_delineate(clean, r_peaks, sampling_rate=rate_hz, method="prominence")[1]
    except Exception:  # noqa: BLE001  neurokit2 fails with errors of many kinds on leads it cannot follow
        return {}
    out = {}
    for name, side in _SIDES.items():
        at = np.asarray(points[f"ECG_{name}"], dtype=np.float64)
        at = at[np.isfinite(at)]
        past = at + side * _SLACK_S * fs_hz
        beat = np.searchsorted(r_peaks, past) + (0 if side < 0 else -1)
        inside = (beat >= 0) & (beat < r_peaks.size)
        if inside.sum() * 2 >= r_peaks.size:  # a wave that most beats lack is none: fibrillation has no P
            out[name] = float(np.median(at[inside] - r_peaks[beat[inside]]))
    return out


def _spans(at: dict[str, list[float]], r_peaks: NDArray[np.int64], record: EcgRecord) -> Spans:
    n = record.signal_mv.shape[1]
    qrs = min(0.0, *at["R_Onsets"]), max(0.0, *at["R_Offsets"])
    t_onset = max(qrs[1], min(*at["T_Onsets"], qrs[1] + _LONGEST_ST_S * record.fs_hz))
    has_p = bool(at["P_Onsets"] and at["P_Offsets"])
    first = float(np.median(at["P_Onsets"])) if has_p else qrs[0]
    gap = _GAP_S * record.fs_hz
    ends = np.append(r_peaks[1:] + first - gap, r_peaks[-1] + np.median(np.diff(r_peaks)) + first - gap)
    out: Spans = {Wave.QRS: _around(r_peaks, *qrs, n), Wave.ST: _around(r_peaks, qrs[1], t_onset, n)}
    t = np.stack([r_peaks + t_onset, np.maximum(ends, r_peaks + t_onset)], axis=1)
    out[Wave.T] = np.clip(np.rint(t), 0, n - 1).astype(np.int64)
    if has_p:
        out[Wave.P] = _around(r_peaks, first, min(float(np.median(at["P_Offsets"])), qrs[0]), n)
    return out


def _around(r_peaks: NDArray[np.int64], start: float, stop: float, n: int) -> NDArray[np.int64]:
    both = np.stack([r_peaks + start, r_peaks + max(start, stop)], axis=1)
    return np.clip(np.rint(both), 0, n - 1).astype(np.int64)


def _weight(spans: NDArray[np.int64], n: int, ramp: int) -> NDArray[np.float64]:
    """1 inside the spans, 0 outside, with ramps inside of them (n,)."""
    weight = np.zeros(n)
    for start, stop in spans:
        rise = np.arange(1, stop - start + 2) / ramp
        weight[start : stop + 1] = np.minimum(1.0, np.minimum(rise, rise[::-1]))
    return weight
