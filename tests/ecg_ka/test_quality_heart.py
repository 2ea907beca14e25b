"""What the heart does and whether leads stand under their names: QRS width, rhythm, pacing, order of leads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg_ka import Estimator, Flag, read
from ecg_ka.quality import assess, assessment
from ecg_ka.quality.averaged_beat import AveragedBeat, average_beat
from ecg_ka.quality.lead_order import limb_lead_note
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
