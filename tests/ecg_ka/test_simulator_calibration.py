"""Effects of potassium against what has been published, and against the textbook.

The reference is the published value, within 30 % or its published interval, whichever is wider. Measured are beats
without noise of 1,500 patients of the evidence preset, each beat alone so that its waves do not overlap with the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from ecg_ka.simulator import FS_HZ, Preset, Prior, draw_patient, sample_potassium, simulate
from ecg_ka.simulator.beats import Rhythm, electrode_potentials
from ecg_ka.simulator.effects import Shape, shape_beats
from ecg_ka.simulator.kernels import Kernel
from ecg_ka.simulator.patients import Traits, ckd_probability, draw_traits
from ecg_ka.simulator.recorder import plain_leads
from ecg_ka.simulator.visits import Visit, draw_visit

Floats = NDArray[np.float64]

N = 1500
STEP_MS = 1000.0 / FS_HZ
II, V1, V4, V5 = 1, 2, 5, 6  # places among I, II, V1..V6
ONSET = 300


@dataclass(frozen=True)
class Beats:
    """One beat of each patient: leads (n, 8, t) from QRS onset, T (n, 8) at its peak, and where that is (n,)."""

    shape: Shape
    mv: Floats
    t_mv: Floats
    t_at: NDArray[np.intp]


def _beats(traits: Traits, visit: Visit, potassium: Floats | float) -> Beats:
    n = len(traits)
    shape = shape_beats(traits, visit, np.broadcast_to(np.asarray(potassium, dtype=np.float64), n))
    rr = 60.0 / shape.hr_bpm
    mv = np.empty((n, 8, 450))
    t_mv, t_at = np.empty((n, 8)), np.empty(n, dtype=np.intp)
    for i in range(n):
        alone = Rhythm(np.array([ONSET]), rr[i : i + 1], np.ones((1, 9), dtype=np.float32), -1)
        mv[i] = plain_leads(electrode_potentials(shape, i, alone))[:, ONSET : ONSET + 450]
        start = int(shape.qrs_ms[i] / STEP_MS) + 25
        end = int(shape.qtc_ms[i] * np.cbrt(rr[i]) / STEP_MS) + 5
        t_at[i] = start + np.argmax((mv[i, :, start:end] ** 2).sum(axis=0))
        t_mv[i] = mv[i, :, t_at[i]]
    return Beats(shape, mv, t_mv, t_at)


@pytest.fixture(scope="module")
def people() -> tuple[Traits, Visit]:
    rng = np.random.default_rng(1)
    return draw_traits(rng, ckd_probability(None, N), Preset.EVIDENCE, healthy=False), draw_visit(rng, N)


@pytest.fixture(scope="module")
def normal(people: tuple[Traits, Visit]) -> Beats:
    return _beats(*people, 4.2)


def _slope(potassium: Floats, change: Floats) -> float:
    return float((potassium * change).sum() / (potassium**2).sum())


def _within(low: float, high: float) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(5)
    _, k = sample_potassium(Prior.WIDE, 60 * N, rng)
    chosen = k[(k >= low) & (k < high)][:N]
    return chosen, chosen - 4.2


@pytest.fixture(scope="module")
def low(people: tuple[Traits, Visit]) -> tuple[Floats, Beats]:
    k, distance = _within(2.0, 4.1)
    return distance, _beats(*people, k)


def test_t_falls_43_microvolts_for_each_mmol_below_4_1(low: tuple[Floats, Beats], normal: Beats) -> None:
    """Krogager 2019."""
    distance, beats = low
    assert 1000 * _slope(distance, beats.t_mv[:, V5] - normal.t_mv[:, V5]) == pytest.approx(43.1, rel=0.3)


def test_t_rises_less_between_4_2_and_6(people: tuple[Traits, Visit], low: tuple[Floats, Beats], normal: Beats) -> None:
    """Krogager 2019."""
    k, distance = _within(4.2, 6.0)
    middle = _slope(distance, _beats(*people, k).t_mv[:, V5] - normal.t_mv[:, V5])
    assert 0.005 < middle < 0.8 * _slope(low[0], low[1].t_mv[:, V5] - normal.t_mv[:, V5])


def test_qtc_and_pr_grow_as_potassium_falls(low: tuple[Floats, Beats], normal: Beats) -> None:
    """Krogager 2019: QTcF 12.8 ms, PR 4.6 ms for each mmol/L."""
    distance, beats = low
    assert -_slope(distance, beats.shape.qtc_ms - normal.shape.qtc_ms) == pytest.approx(12.8, rel=0.3)
    assert -_slope(distance, beats.shape.pr_ms - normal.shape.pr_ms) == pytest.approx(4.6, rel=0.3)


def test_dialysis_lowers_the_sum_of_t_by_a_fifth(people: tuple[Traits, Visit]) -> None:
    """Drighil 2007: 32.3 to 25.9 mm over 12 leads."""
    before, after = (_sum_of_t(_beats(*people, k).t_mv) for k in (5.6, 3.6))
    assert after / before == pytest.approx(0.80, rel=0.12)  # narrower than 30 %, which would admit no change at all


def _sum_of_t(t: Floats) -> float:
    i, ii = t[:, 0], t[:, 1]
    derived = np.stack([ii - i, -(i + ii) / 2, i - ii / 2, ii - i / 2], axis=1)
    return float(np.abs(t).sum() + np.abs(derived).sum())


def test_t_height_across_people_hardly_tells_potassium(people: tuple[Traits, Visit]) -> None:
    """Yoon 2018: correlations of -.22 to .02 in a general hospital; up to .2 is let pass."""
    _, k = sample_potassium(Prior.HOSPITAL, N, np.random.default_rng(6))
    t = _beats(*people, k).t_mv
    for lead in (II, V5):
        assert -0.22 < np.corrcoef(t[:, lead], k)[0, 1] < 0.2


@pytest.mark.parametrize(("potassium", "lowest", "highest"), [(6.5, 14.7, 27.3), (7.0, 18.0, 31.0)])
def test_peaked_t_becomes_as_frequent_as_reported(
    people: tuple[Traits, Visit], normal: Beats, potassium: float, lowest: float, highest: float
) -> None:
    """Varga 2019 and 2022: 4.7 % at normal potassium, 21 % from 6.5, 18 to 31 % above 7 mmol/L."""
    threshold = np.quantile(normal.t_mv[:, V1:].max(axis=1), 1 - 0.047)
    peaked = _beats(*people, potassium).t_mv[:, V1:].max(axis=1) > threshold
    assert lowest <= 100 * peaked.mean() <= highest


def test_wide_qrs_as_frequent_as_reported(people: tuple[Traits, Visit], normal: Beats) -> None:
    """13.2 % in MIMIC-IV; Varga 2019: 31.6 % above 7 mmol/L, where 7.25 is typical."""
    assert 100 * np.mean(normal.shape.qrs_ms >= 120) == pytest.approx(13.2, rel=0.3)
    wide = shape_beats(*people, np.full(N, 7.25)).qrs_ms >= 120
    assert 100 * wide.mean() == pytest.approx(31.6, rel=0.3)


@pytest.mark.xfail(strict=True, reason="P is lost in twice as many as the 3 % reported from 6.5 mmol/L (Varga 2019)")
def test_p_is_lost_as_often_as_reported(people: tuple[Traits, Visit]) -> None:
    sinus = ~people[0].conditions.atrial_fibrillation
    p = np.abs(shape_beats(*people, np.full(N, 6.5)).amplitude_mv[sinus, II, Kernel.P : Kernel.T]).sum(axis=1)
    assert 100 * np.mean(p < 0.025) == pytest.approx(3.0, rel=0.3)


@pytest.fixture(scope="module")
def followed(people: tuple[Traits, Visit]) -> list[tuple[Floats, Floats]]:
    """Steepest fall of T over its height in V4 and potassium, at 12 visits each of 60 patients."""
    series = []
    for patient in range(60):
        traits = people[0].take(np.full(12, patient))
        rng = np.random.default_rng(100 + patient)
        k = rng.uniform(3.5, 6.5, 12)
        beats = _beats(traits, draw_visit(rng, 12), k)
        if beats.t_mv[:, V4].min() < 0.1:
            continue
        fall = [np.gradient(mv[V4])[at : at + 60].min() for mv, at in zip(beats.mv, beats.t_at, strict=True)]
        series.append((-np.array(fall) / beats.t_mv[:, V4], k))
    return series


def test_slope_of_t_follows_potassium_within_a_patient(followed: list[tuple[Floats, Floats]]) -> None:
    """Palmieri 2021: r of about .87."""
    assert len(followed) > 40
    assert np.median([np.corrcoef(*pair)[0, 1] for pair in followed]) == pytest.approx(0.87, rel=0.3)


@pytest.mark.xfail(strict=True, reason="the simulated T widths of different people vary more than real ones (r .63)")
def test_slope_of_t_follows_potassium_across_patients(followed: list[tuple[Floats, Floats]]) -> None:
    slope, k = (np.concatenate(parts) for parts in zip(*followed, strict=True))
    assert np.corrcoef(slope, k)[0, 1] == pytest.approx(0.63, rel=0.3)


def test_nobody_stays_without_signs_at_8_5(people: tuple[Traits, Visit], normal: Beats) -> None:
    calm = people[0].sensitivity.qrs < 0.3
    assert calm.mean() > 0.1
    extreme = shape_beats(*people, np.full(N, 8.5))
    wider = extreme.qrs_ms[calm] / normal.shape.qrs_ms[calm]
    assert np.quantile(wider, 0.05) > 1.1
    taller = _beats(*people, 8.5).t_mv[calm, V4] - normal.t_mv[calm, V4]
    assert np.quantile(taller, 0.05) > 0.1


@pytest.mark.parametrize("seed", range(6))
def test_textbook_signs_grow_steadily_within_one_patient(seed: int) -> None:
    rng = np.random.default_rng(seed)
    traits = draw_traits(rng, ckd_probability(None, 1), Preset.PUBLISHED, healthy=True)
    visit = draw_visit(rng, 1)
    k = np.linspace(2.2, 8.8, 34)
    shapes = [shape_beats(traits, visit, np.array([x])) for x in k]
    qrs = np.array([s.qrs_ms[0] for s in shapes])
    t = np.array([s.amplitude_mv[0, V4 - 2 : V4 + 2, Kernel.T].mean() for s in shapes])  # V2..V5
    p = np.array([np.abs(s.amplitude_mv[0, II, Kernel.P : Kernel.TA]).sum() for s in shapes])
    u = np.array([np.abs(s.amplitude_mv[0, V4, Kernel.U]) for s in shapes])
    st = np.array([s.amplitude_mv[0, V5, Kernel.ST] for s in shapes])
    assert (np.diff(qrs) >= -1e-9).all()
    assert qrs[-1] > 1.2 * qrs[0]
    assert (np.diff(t) > -0.01).all()
    assert t[-1] > t[0] + 0.3
    assert (np.diff(p[k > 4.2]) <= 1e-9).all()
    assert p[-1] < 0.6 * p[k > 4.2][0]
    assert (np.diff(u) <= 1e-3).all()  # its potassium part has a ceiling, where a faster heart takes a little off it
    assert (np.diff(st) >= -1e-9).all()


def test_extreme_hyperkalaemia_turns_into_a_sine_wave() -> None:
    """At 9 mmol/L most of the energy of V4 lies below 6 Hz, where at 4.2 mmol/L QRS puts it above."""
    shares = []
    for potassium in (4.2, 9.0):
        share = []
        for seed in range(40):
            patient = draw_patient(seed, Preset.PUBLISHED, healthy=True)
            v4 = simulate(patient, potassium, 1, noise=False).lead("V4").astype(np.float64)
            power = np.abs(np.fft.rfft(v4 - v4.mean())) ** 2
            frequency = np.fft.rfftfreq(v4.size, 1.0 / FS_HZ)
            share.append(power[frequency < 6.0].sum() / power.sum())
        shares.append(float(np.median(share)))
    assert shares[1] > shares[0] + 0.2
    assert shares[1] > 0.8
