"""Compare simulated healthy ECGs with real ones of PTB-XL, feature by feature.

    python -m training.compare_simulator --data ../shared/data/ptbxl

prints mean and SD of wave features in both. Real: records 1 to 100 with statement NORM at 80 % or more; records from
101 on are left for testing. Simulated: the healthy population at the potassium of healthy people. Both are measured by
the same code, so its biases cancel. Only anatomy and signal are compared: nothing here tells about potassium.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from ecg_ka.readers import read
from ecg_ka.record import LEADS
from ecg_ka.simulator import FS_HZ, CohortSpec, Preset, Prior, simulate_cohort
from training.config import parse
from training.ptbxl import entries

Floats = NDArray[np.float64]

LAST_REAL_ID = 100
HEALTHY_MMOL_L = (3.8, 4.7)
BEFORE, AFTER = 180, 320  # samples of the averaged beat around the R peak
MS = 1000.0 / FS_HZ
T_ENDS_BEFORE = 0.72  # of the interval between beats


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareConfig:
    """Compare simulated healthy ECGs with real ones of PTB-XL, feature by feature."""

    data: Path = field(metadata={"help": "folder of PTB-XL with ptbxl_database.csv"})
    simulated: int = field(default=320, metadata={"help": "how many ECGs to simulate"})
    seed: int = field(default=1, metadata={"help": "same seed, same simulated ECGs"})


@dataclass(frozen=True, slots=True)
class Beat:
    """Averaged beat (12, BEFORE + AFTER) in mV, zero before QRS, with QRS onset and end as samples."""

    mv: Floats
    onset: int
    end: int
    rr: Floats  # samples
    stack: Floats  # (beats, 12, BEFORE + AFTER)


def main() -> None:
    """Print the table: entry point of ``python -m training.compare_simulator``."""
    config = parse(CompareConfig)
    real = [features(x) for x in real_healthy(config.data)]
    simulated = [features(x) for x in simulated_healthy(config.simulated, config.seed)]
    for line in table([x for x in real if x], [x for x in simulated if x]):
        print(line)


def real_healthy(data: Path) -> Iterator[Floats]:
    """Signals (12, n) in mV of the real ECGs."""
    for ecg_id, entry in entries(data).items():
        if ecg_id <= LAST_REAL_ID and entry.is_healthy:
            yield read(entry.header_500_hz).signal_mv.astype(np.float64)


def simulated_healthy(n: int, seed: int) -> Iterator[Floats]:
    """Signals (12, n) in mV of simulated ECGs without diseases at normal potassium."""
    spec = CohortSpec(
        preset=Preset.EVIDENCE, prior=Prior.HOSPITAL, n_patients=4 * n, visits_per_patient=1, seed=seed, healthy=True
    )
    found = 0
    for batch in simulate_cohort(spec):
        low, high = HEALTHY_MMOL_L
        normal = (batch.true_potassium_mmol_l > low) & (batch.true_potassium_mmol_l < high)
        for row in np.flatnonzero(
            normal & np.equal(batch.covariates["pvc"], 0) & np.equal(batch.covariates["reversal"], 0)
        ):
            yield batch.signal_mv[row].astype(np.float64)
            found += 1
            if found == n:
                return


def features(x: Floats) -> dict[str, float]:
    """Features by name of one ECG (12, n) in mV at FS_HZ; empty when no beats, or no room for T, are found."""
    beat = average_beat(x)
    if beat is None or beat.end + 60 > beat.onset + T_ENDS_BEFORE * np.median(beat.rr):
        return {}
    return {**_waves(beat), **_timing(beat), **_noise(x)}


def average_beat(x: Floats) -> Beat | None:
    """The median beat, or None when fewer than 4 beats are found."""
    clean = signal.sosfiltfilt(signal.butter(1, 0.4, "high", fs=FS_HZ, output="sos"), x, axis=1)
    steep = signal.sosfiltfilt(signal.butter(2, (6, 30), "band", fs=FS_HZ, output="sos"), x, axis=1)
    energy = np.sqrt((steep**2).mean(axis=0))
    peaks, _ = signal.find_peaks(energy, height=0.45 * np.percentile(energy, 99), distance=int(0.3 * FS_HZ))
    peaks = peaks[(peaks > BEFORE) & (peaks < x.shape[1] - AFTER)]
    if peaks.size < 4:
        return None
    stack = np.stack([clean[:, p - BEFORE : p + AFTER] for p in peaks])
    stack = _aligned(clean, peaks, np.median(stack, axis=0))
    mean = np.median(stack, axis=0)
    onset, end = _qrs_limits(mean)
    level = mean[:, onset - 10 : onset - 1].mean(axis=1, keepdims=True)
    return Beat(mean - level, onset, end, np.diff(peaks).astype(np.float64), stack)


def _aligned(clean: Floats, peaks: NDArray[np.intp], template: Floats) -> Floats:
    """Beats cut where they fit the template best, within 6 samples."""
    core = slice(BEFORE - 40, BEFORE + 40)
    beats = []
    for peak in peaks:
        shifts = [s for s in range(-6, 7) if peak + s >= BEFORE and peak + s + AFTER <= clean.shape[1]]
        cuts = [clean[:, peak + s - BEFORE : peak + s + AFTER] for s in shifts]
        cost = [float(((cut[:, core] - template[:, core]) ** 2).sum()) for cut in cuts]
        beats.append(cuts[int(np.argmin(cost))])
    return np.stack(beats)


def _qrs_limits(mean: Floats) -> tuple[int, int]:
    """First and last sample of QRS, where the smoothed speed of all leads falls to 7 % of its peak."""
    speed = np.abs(np.gradient(signal.savgol_filter(mean, 9, 3, axis=1), axis=1)).sum(axis=0)
    speed = np.convolve(speed, np.ones(5) / 5, "same")
    window = speed[BEFORE - 50 : BEFORE + 60]
    threshold = 0.07 * window.max() + np.percentile(speed[40:130], 30)
    active = np.flatnonzero(window > threshold)
    return BEFORE - 50 + int(active[0]), BEFORE - 50 + int(active[-1])


def _waves(beat: Beat) -> dict[str, float]:
    qrs = beat.mv[:, beat.onset : beat.end + 1]
    st = beat.mv[:, beat.end + 20 : beat.end + 23].mean(axis=1)
    start = beat.end + 30
    stop = min(beat.mv.shape[1] - 1, beat.onset + int(T_ENDS_BEFORE * np.median(beat.rr)))
    t_at = start + int(np.argmax(_rms(beat.mv[:, start:stop])))
    around = beat.mv[:, max(t_at - 25, 0) : t_at + 25]
    t = np.take_along_axis(around, np.abs(around).argmax(axis=1)[:, None], axis=1)[:, 0]
    p_window = beat.mv[:, max(beat.onset - 120, 0) : beat.onset - 20]
    result = {}
    for i, lead in enumerate(LEADS):
        result[f"R {lead}"] = float(qrs[i].max())
        result[f"S {lead}"] = float(qrs[i].min())
        result[f"ST {lead}"] = float(st[i])
        result[f"T {lead}"] = float(t[i])
        result[f"P {lead}"] = float(p_window[i][np.abs(_detrended(p_window[i])).argmax()])
        result[f"QRS slope {lead}"] = float(np.abs(np.diff(qrs[i])).max() / np.ptp(qrs[i]) / MS * 1000)
        result[f"QRS turns {lead}"] = float(_turns(qrs[i]))
    return result | _t_shape(beat, t_at, stop)


def _detrended(x: Floats) -> Floats:
    return x - np.linspace(x[0], x[-1], x.size)


def _rms(x: Floats) -> Floats:
    root: Floats = np.sqrt((x**2).mean(axis=0))
    return root


def _turns(x: Floats) -> int:
    """Peaks and troughs that stand out by 0.04 mV."""
    return sum(signal.find_peaks(y, prominence=0.04)[0].size for y in (x, -x))


def _t_shape(beat: Beat, t_at: int, stop: int) -> dict[str, float]:
    result: dict[str, float] = {}
    for lead in ("II", "V2", "V3", "V5"):
        wave = beat.mv[LEADS.index(lead), beat.end + 8 : stop + 20]
        at = t_at - beat.end - 8
        wave = wave * np.sign(wave[at])
        at = max(at - 20, 0) + int(np.argmax(wave[max(at - 20, 0) : at + 20]))
        half = wave[at] / 2
        up = np.flatnonzero(wave[:at] < half)
        down = np.flatnonzero(wave[at:] < half)
        if wave[at] < 0.08 or not up.size or not down.size:
            continue
        rise, fall = (at - up[-1]) * MS, down[0] * MS
        steepest = np.gradient(signal.savgol_filter(wave, 11, 2))[at : at + 60].min()
        result |= {
            f"T rise {lead} ms": rise,
            f"T fall {lead} ms": fall,
            f"T half-width {lead} ms": rise + fall,
            f"T rise/fall {lead}": rise / fall,
            f"T slope/amp {lead}": -steepest / wave[at] / MS * 1000,
        }
    result["QTpeak ms"] = (t_at - beat.onset) * MS
    result["QTpeak/RR^1/3"] = (t_at - beat.onset) * MS / np.cbrt(np.median(beat.rr) / FS_HZ)
    return result


def _timing(beat: Beat) -> dict[str, float]:
    p_window = beat.mv[:, max(beat.onset - 120, 0) : beat.onset - 20]
    p_at = int(np.argmax(_rms(signal.detrend(p_window, axis=1))))
    qrs = slice(beat.onset, beat.end + 1)
    ptp = np.ptp(beat.stack[:, :, qrs], axis=2)
    t_part = beat.stack[:, :, beat.end + 40 : beat.end + 130]
    spread = t_part.std(axis=0).mean(axis=1) / np.maximum(
        np.abs(beat.mv[:, beat.end + 40 : beat.end + 130]).max(axis=1), 0.05
    )
    return {
        "HR bpm": 60.0 * FS_HZ / float(np.median(beat.rr)),
        "RR SD/mean %": 100.0 * float(beat.rr.std() / beat.rr.mean()),
        "QRS ms": (beat.end - beat.onset) * MS,
        "P peak to QRS ms": (p_window.shape[1] - p_at + 20) * MS,
        "QRS beat-to-beat %": 100.0 * float(np.median(ptp.std(axis=0) / ptp.mean(axis=0))),
        "T beat-to-beat %": 100.0 * float(np.median(spread)),
        "rank-3 share": _rank3(beat),
    }


def _rank3(beat: Beat) -> float:
    """Share of the energy of QRS and T in I, II, V1..V6 that three components explain."""
    rows = beat.mv[[0, 1, 6, 7, 8, 9, 10, 11], beat.onset : beat.onset + 220]
    energy = np.linalg.svd(rows, compute_uv=False) ** 2
    return float(energy[:3].sum() / energy.sum())


def _noise(x: Floats) -> dict[str, float]:
    bands = {"noise >50 Hz uV": (52, 240), "noise 15-45 Hz uV": (15, 45)}
    result = {}
    for name, band in bands.items():
        part = signal.sosfiltfilt(signal.butter(2, band, "band", fs=FS_HZ, output="sos"), x, axis=1)
        result[name + " limb"] = 1000 * float(np.median(np.abs(part[:2]))) / 0.6745
        result[name + " chest"] = 1000 * float(np.median(np.abs(part[6:]))) / 0.6745
    slow = signal.sosfiltfilt(signal.butter(2, 0.5, "low", fs=FS_HZ, output="sos"), x, axis=1)
    result["wander <0.5 Hz uV"] = 1000 * float(slow.std(axis=1).mean())
    return result


def table(real: list[dict[str, float]], simulated: list[dict[str, float]]) -> Iterator[str]:
    """Lines of the table; d is the difference of means in real SDs, ratio that of the SDs."""
    yield f"real n={len(real)}, simulated n={len(simulated)}"
    yield f"{'feature':28s} {'real':>17s} {'simulated':>17s} {'d':>6s} {'SD ratio':>9s} {'medians':>17s}"
    for name in real[0]:
        a = np.array([x[name] for x in real if name in x])
        b = np.array([x[name] for x in simulated if name in x])
        shift = (b.mean() - a.mean()) / a.std()
        yield (
            f"{name:28s} {a.mean():8.3f} ±{a.std():7.3f} {b.mean():8.3f} ±{b.std():7.3f} "
            f"{shift:6.2f} {b.std() / a.std():9.2f} {np.median(a):8.3f} {np.median(b):8.3f}"
        )


if __name__ == "__main__":
    main()
