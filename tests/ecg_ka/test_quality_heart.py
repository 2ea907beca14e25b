"""What the heart does and whether leads stand under their names: QRS width, rhythm, pacing, order of leads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ecg_ka import Estimator, Flag, read
from ecg_ka.errors import UnusableRecord
from ecg_ka.quality import assess, assessment, lead_order
from ecg_ka.quality.averaged_beat import AveragedBeat, average_beat
from ecg_ka.quality.cables import interchanged_cables
from ecg_ka.quality.lead_order import limb_lead_note, order_note
from ecg_ka.quality.pacing import is_paced
from ecg_ka.quality.qrs import qrs_ms
from ecg_ka.record import INDEPENDENT_LEADS, EcgRecord
from training.alterations import (
    Alteration,
    disconnected,
    flat,
    noise,
    three_chest_leads_swapped,
    three_leads_swapped,
    unchanged,
)
from training.checks import Simulated, simulated, withheld
from training.ptbxl import entries


@pytest.fixture(scope="module")
def truth() -> Simulated:
    return simulated(320, 4711)


@pytest.fixture(scope="module")
def real(shared_data: Path) -> dict[int, EcgRecord]:
    return {i: read(entry.header_500_hz) for i, entry in entries(shared_data / "ptbxl").items()}


def raised(records: tuple[EcgRecord, ...], flag: Flag) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.array([flag in assess(record).flags for record in records])


def test_qrs_width_follows_the_simulated_one(truth: Simulated) -> None:
    found = np.array([assess(record).qrs_ms or np.nan for record in truth.records])
    errors = found - truth.qrs_ms
    assert np.isfinite(errors).all()
    assert abs(np.median(errors)) <= 15
    assert np.median(np.abs(errors - np.median(errors))) <= 8
    wide = truth.qrs_ms >= 120  # less than in docs/checks.md: few, and many of them near the edge
    flagged = raised(truth.records, Flag.WIDE_QRS)
    assert flagged[wide].mean() >= 0.75
    assert flagged[~wide].mean() <= 0.05


def test_a_qrs_width_scales_with_time_and_not_with_gain(truth: Simulated) -> None:
    record = truth.records[0]
    width = assess(record).qrs_ms or 0
    assert assess(replace(record, signal_mv=2 * record.signal_mv)).qrs_ms == pytest.approx(width, rel=1e-3)
    assert assess(replace(record, fs_hz=0.8 * record.fs_hz)).qrs_ms == pytest.approx(width / 0.8, rel=0.08)


@pytest.mark.parametrize("rate_hz", [250.0, 500.0])
@pytest.mark.parametrize("second_mv", [0.5, 2.0])
def test_a_pause_of_12_ms_lies_within_qrs_and_a_longer_one_ends_it(rate_hz: float, second_mv: float) -> None:
    """Two steps of one lead, of which the steeper one is where QRS is: the other follows it, or comes before."""
    r, n, longest = round(0.24 * rate_hz), round(0.64 * rate_hz), round(0.012 * rate_hz)

    def samples(*steps: tuple[int, float]) -> float:
        signal = np.sum([height * (np.arange(n) > place) for place, height in steps], axis=0)[None].astype(np.float32)
        width = qrs_ms(AveragedBeat(names=("II",), signal_mv=signal, rate_hz=rate_hz))
        assert width is not None
        return width / 1000 * rate_hz

    widths = [samples((r, 1.0), (r + 1 + pause, second_mv)) for pause in range(1, longest + 2)]
    np.testing.assert_allclose(np.diff(widths[:-1]), 1)
    assert widths[-1] == pytest.approx(samples((r, 1.0)))


def test_the_averaged_beat_has_its_r_peak_where_it_says(truth: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far from its surroundings there as anywhere within 60 ms, to a sample."""
    beats: list[AveragedBeat | None] = []

    def kept(*given: Any) -> AveragedBeat | None:
        beats.append(average_beat(*given))
        return beats[-1]

    monkeypatch.setattr(assessment, "average_beat", kept)
    for record in truth.records[:40]:
        assess(record)
    found = [beat for beat in beats if beat is not None]
    around = np.stack([beat.signal_mv[:, beat.samples(-0.06, 0.06)] for beat in found])
    distance = np.abs(around - np.median(around, axis=2, keepdims=True)).sum(axis=1)
    off = np.abs(distance.argmax(axis=1) - round(0.06 * found[0].rate_hz))
    assert len(found) >= 30
    assert (off <= 1).mean() > 0.9


def test_fibrillation_is_irregular_and_a_regular_heart_is_not(truth: Simulated) -> None:
    flagged = raised(truth.records, Flag.IRREGULAR_RHYTHM)
    assert flagged[truth.fibrillation].mean() >= 0.9
    assert flagged[~truth.fibrillation].mean() <= 0.12  # premature beats and sinus arrhythmia are irregular too


def test_spikes_are_taken_for_pacing_and_sharp_qrs_is_not(truth: Simulated) -> None:
    records = simulated(1024, 99)
    assert raised(tuple(np.array(records.records, dtype=object)[records.paced]), Flag.PACED_SUSPECTED).mean() >= 0.7
    assert raised(truth.records, Flag.PACED_SUSPECTED)[~truth.paced].mean() <= 0.04


@pytest.mark.shared
def test_paced_and_fibrillating_patients_are_named(real: dict[int, EcgRecord], shared_data: Path) -> None:
    known = entries(shared_data / "ptbxl")
    for code, flag in (("PACE", Flag.PACED_SUSPECTED), ("AFIB", Flag.IRREGULAR_RHYTHM)):
        flagged = {i for i, record in real.items() if flag in assess(record).flags}
        coded = {i for i in real if code in known[i].statements}
        assert coded <= flagged
        assert len(flagged - coded) <= 0.05 * len(real)


@pytest.mark.shared
@pytest.mark.parametrize("change", [noise, flat, disconnected, three_leads_swapped, three_chest_leads_swapped])
def test_broken_real_ecgs_get_no_value(real: dict[int, EcgRecord], change: Alteration) -> None:
    """At least 97 % of each kind here; docs/checks.md has the shares."""
    estimator, rng = Estimator.load(), np.random.default_rng(2)
    assert np.mean([withheld(estimator, change(record, rng)) for record in list(real.values())[::2]]) >= 0.97


@pytest.mark.shared
def test_few_real_ecgs_are_withheld(real: dict[int, EcgRecord]) -> None:
    estimator = Estimator.load()
    assert (
        np.mean([withheld(estimator, unchanged(record, np.random.default_rng(0))) for record in real.values()]) <= 0.1
    )


def test_a_limb_lead_among_the_chest_leads_is_named(truth: Simulated) -> None:
    """aVL is computed from I and II, so that a chest lead equal to it is no chest lead."""
    record = truth.records[1]
    rows = record.signal_mv.copy()
    rows[record.leads.index("V3")] = record.lead("aVL")
    found = assess(replace(record, signal_mv=rows))
    assert Flag.LEAD_ORDER_IMPLAUSIBLE in found.flags
    assert "V3 is the limb lead aVL" in found.notes


@pytest.mark.parametrize("seed", range(20))
def test_where_i_and_ii_are_alike_a_flat_chest_lead_is_no_limb_lead(seed: int) -> None:
    """Of III is left what rounding leaves, below 0 in one file of four."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((8, 5000), dtype=np.float32)
    rows[0] = rng.normal(size=5000)
    rows[1] = rows[0] * np.float32(1 + 1e-7 * rng.integers(-3, 3))
    assert limb_lead_note(INDEPENDENT_LEADS, rows) is None


def test_wave_products_are_mean_products_from_the_level_before_qrs() -> None:
    """Against the definition, wave by wave and sample by sample."""
    rng = np.random.default_rng(3)
    beat = AveragedBeat(names=("I", "II", "V6"), signal_mv=rng.normal(5, 1, (3, 160)).astype(np.float32), rate_hz=250.0)
    at = -0.24 + np.arange(160) / 250
    leads = beat.signal_mv.astype(np.float64)
    levelled = leads - leads[:, (at > -0.081) & (at < -0.049)].mean(axis=1, keepdims=True)
    for product, (start, stop) in zip(beat.wave_products(), ((-1, -0.073), (-0.073, 0.079), (0.143, 1)), strict=True):
        wave = levelled[:, (at > start) & (at < stop)]
        np.testing.assert_allclose(product, np.einsum("at,bt->ab", wave, wave) / wave.shape[1], rtol=1e-12)


@pytest.mark.parametrize(("moved", "what"), [((3, 4, 6), "three chest leads"), ((0, 4, 5), "I or II and chest leads")])
def test_the_order_of_leads_is_judged_by_the_best_exchange_of_three(moved: tuple[int, int, int], what: str) -> None:
    """Against the definition of the misfit, tr(C^-1 S), for every exchange, of leads of which three are exchanged."""
    usual = np.array(lead_order._PRODUCTS)
    inverse = np.linalg.inv(usual + lead_order._RIDGE * np.eye(8))

    def exchanged(a: int, b: int, c: int) -> list[int]:
        return [{a: b, b: c, c: a}.get(k, k) for k in range(8)]

    def misfit(products: NDArray[np.float64], order: list[int]) -> float:
        return sum(float(np.trace(c @ s[np.ix_(order, order)])) for c, s in zip(inverse, products, strict=True))

    found = usual[:, exchanged(*moved)][:, :, exchanged(*moved)]
    found *= 8 / found.trace(axis1=1, axis2=2)[:, None, None]
    trios = [trio for trio in combinations(range(8), 3) if (trio[0] > 1) == (moved[0] > 1)]
    best = min(misfit(found, exchanged(*trio)) for chosen in trios for trio in (chosen, chosen[::-1]))
    times = misfit(found, [*range(8)]) / best
    products = np.concatenate([np.eye(8)[None], found * [[[3.0]], [[0.02]]]])  # of any size, and whatever P is like
    told = order_note(INDEPENDENT_LEADS, products, limb_leads_checked=False)
    assert told == f"{what} exchanged would fit {times:.2f} times as well"
    assert order_note(INDEPENDENT_LEADS[::-1], products, limb_leads_checked=False) is None


def cables_by_definition(waves: Sequence[NDArray[np.float64]]) -> str | None:
    """From I, II and V6 (3, n) of P, QRS and T."""
    floor = 0.05**2 * np.square(waves[1][2]).mean()

    def agreement(a: float, b: float) -> float:
        alike = ((a * i + b * ii, v6) for i, ii, v6 in waves)
        return sum(
            float((x * y).mean()) / float(np.sqrt(np.square(x).mean() * np.square(y).mean()) + floor) for x, y in alike
        )

    as_recorded = agreement(1, 0) + agreement(0, 1)
    arms = agreement(-1, 0) + agreement(-1, 1) - as_recorded
    arms_alone = agreement(-1, 1) - agreement(1, 0) - as_recorded
    leg = agreement(1, -1) + agreement(0, -1) - as_recorded
    assert arms == pytest.approx(arms_alone)
    raised = {pair: gain for pair, gain, least in (("RA and LA", arms, 2), ("RA and LL", leg, 4)) if gain > least}
    return max(raised, key=raised.__getitem__, default=None)


def test_cables_are_judged_by_correlations_with_v6() -> None:
    """Against the definition, of 2,000 beats of noise that V6 shares with I and II more or less, upside down or not,
    and of waves between nothing and ten times QRS."""
    rng = np.random.default_rng(6)
    told = []
    for _ in range(2000):
        sizes = 10 ** rng.uniform(-2.5, 1, 3) * (1, 0, 1) + (0, 1, 0)
        shared = rng.choice([-1, 1], (2, 1)) * rng.uniform(0, 3, (2, 1))
        waves = []
        for size, n in zip(sizes, (42, 38, 64), strict=True):
            v6 = rng.normal(size=n)
            waves.append(size * np.concatenate([shared * v6 + rng.normal(size=(2, n)), v6[None]]))
        products = np.stack([wave @ wave.T / wave.shape[1] for wave in waves])
        told.append(interchanged_cables(("I", "II", "V6"), products))
        assert told[-1] == cables_by_definition(waves)
    assert {None, "RA and LA", "RA and LL"} == set(told)


def is_paced_by_definition(signal_mv: NDArray[np.float64], fs_hz: float, r_peaks: list[int]) -> bool:
    near, far, before, after = (round(s * fs_hz) for s in (0.004, 0.012, 0.22, 0.04))
    beats = [r for r in r_peaks if before + far <= r < signal_mv.shape[1] - after - far]
    if len(beats) < 3:
        return False

    def height(at: int, away: int) -> float:
        here, sides = signal_mv[:, at], signal_mv[:, [at - away, at + away]]
        return float(np.maximum(0, np.maximum(here - sides.max(axis=1), sides.min(axis=1) - here)).sum())

    around = np.concatenate([signal_mv[:, r - before - far : r + after + far + 1] for r in beats], axis=1)
    least = 0.04 * np.ptp(around, axis=1).sum()
    spiked = [
        any(height(at, near) > max(least, 0.7 * height(at, far)) for at in range(r - before, r + after + 1))
        for r in beats
    ]
    return sum(spiked) > len(beats) // 2


def test_a_spike_is_what_its_definition_says(truth: Simulated) -> None:
    """Sample by sample in double precision, for paced hearts and as many others, and for spikes at the ends of what is
    looked at, where one beat is next to another."""
    records = simulated(512, 99)
    chosen = [i for i in range(512) if records.paced[i]][:12] + [i for i in range(512) if not records.paced[i]][:12]
    found = []
    for record in (records.records[i] for i in chosen):
        peaks, rows = assess(record).r_peaks, record.signal_mv[[6, 7, 10, 11]]
        beats = [r for r in peaks if 116 <= r < 4974]
        for place, at in ((-110, beats), (-111, beats), (20, beats), (21, beats), (-60, beats[: len(beats) // 2])):
            spiked = rows.copy()
            spiked[:, [r + place for r in at]] += np.float32(1.5)
            for signal in (rows, spiked):
                found.append(is_paced([*signal], 500.0, peaks))
                assert found[-1] == is_paced_by_definition(signal.astype(np.float64), 500.0, peaks.tolist())
    assert 0.3 < np.mean(found) < 0.9


@pytest.mark.parametrize("gain", [1e-30, 1e9])
@pytest.mark.parametrize("spike_mv", [0.0, 1e10])
def test_no_amplitude_makes_an_estimate_overflow(truth: Simulated, gain: float, spike_mv: float) -> None:
    """No warning, and no number that JSON has not, of all that a record may hold."""
    record = truth.records[2]
    rows = record.signal_mv * np.float32(gain)
    rows[6, 1000:1002] = spike_mv, -spike_mv
    given = replace(record, signal_mv=rows)
    assert assess(given).flags & {Flag.LOW_QUALITY, Flag.IMPLAUSIBLE_AMPLITUDE}
    with suppress(UnusableRecord):  # too flat
        json.dumps(Estimator.load().estimate(given).to_dict(), allow_nan=False)


def test_of_beats_without_a_wave_nothing_is_said() -> None:
    nothing = np.zeros((3, 8, 8))
    assert order_note(INDEPENDENT_LEADS, nothing, limb_leads_checked=False) is None
    assert interchanged_cables(INDEPENDENT_LEADS, nothing) is None


def test_spikes_are_not_sought_where_samples_are_as_wide_as_waves() -> None:
    """Below 240 Hz."""
    rows = np.zeros((4, 2400), dtype=np.float32)
    peaks = np.arange(200, 2200, 200)
    rows[:, peaks - 30] = 1.0
    assert is_paced([*rows], 240.0, peaks)
    assert not is_paced([*rows], 239.0, peaks)
