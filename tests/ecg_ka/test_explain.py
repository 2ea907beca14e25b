"""explain(): what dominates in hyperkalaemia, what is replaced, and what it costs."""

from __future__ import annotations

import sys
import time
from collections import defaultdict

import numpy as np
import pytest

from ecg_ka import Estimator, Explanation, Flag, MissingDependency, UnusableRecord, Wave, explain
from ecg_ka.exporters import estimate_page, explanation_text
from ecg_ka.quality import detect_r_peaks
from ecg_ka.waves import delineate, replaced
from tests.ecg_ka.ecgs import ecg
from tests.ecg_ka.test_estimator import altered

Changes = dict[tuple[Wave, tuple[str, ...]], float]
MAIN = ("II", "V2", "V3", "V4", "V5")
ALL = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator.load()


@pytest.fixture(scope="module")
def found(estimator: Estimator) -> Explanation:
    return explain(estimator, ecg(3, 7.0))


@pytest.fixture(scope="module")
def changes(estimator: Estimator) -> Changes:
    """Mean change by wave and leads over 36 patients, 12 each at 6.5, 7.0 and 7.5 mmol/L."""
    return _means([explain(estimator, ecg(seed, (6.5, 7.0, 7.5)[seed % 3])) for seed in range(37) if seed != 17])


def _means(explanations: list[Explanation]) -> Changes:
    found: dict[tuple[Wave, tuple[str, ...]], list[float]] = defaultdict(list)
    for effect in (effect for explained in explanations for effect in explained.effects):
        if effect.change_mmol_l is not None:
            found[effect.wave, effect.leads].append(effect.change_mmol_l)
    return {key: float(np.mean(values)) for key, values in found.items()}


def test_in_hyperkalaemia_the_t_wave_of_v2_to_v5_and_ii_dominates(changes: Changes) -> None:
    """With a usual T there the estimate falls by most of what it falls by with a usual T in all leads, and by far more
    than with any other wave replaced anywhere, or with a usual T in any other lead."""
    t_wave = changes[Wave.T, MAIN]
    assert t_wave < -0.8
    assert t_wave < 0.6 * changes[Wave.T, ALL]
    assert t_wave < 4 * min(change for (wave, _), change in changes.items() if wave is not Wave.T)
    assert t_wave < 10 * min(changes[Wave.T, (lead,)] for lead in ("I", "V1", "V6"))


def test_at_4_2_mmol_a_usual_t_wave_changes_little(estimator: Estimator, changes: Changes) -> None:
    at_4_2 = _means([explain(estimator, ecg(seed, 4.2)) for seed in range(20)])
    for leads in (MAIN, ALL):
        assert abs(at_4_2[Wave.T, leads]) < 0.25 * abs(changes[Wave.T, leads])


@pytest.mark.parametrize(("seed", "potassium_mmol_l"), [(11, 7.0), (16, 6.5), (30, 7.0), (22, 8.0)])
def test_a_tall_t_wave_is_not_taken_for_a_beat(estimator: Estimator, seed: int, potassium_mmol_l: float) -> None:
    """In a heart that beats less than 100 times a minute no two beats are found within 0.4 s."""
    record = ecg(seed, potassium_mmol_l)
    assert np.diff(detect_r_peaks(record.signal_mv, record.fs_hz)).min() > 0.4 * record.fs_hz
    assert explain(estimator, record).effects


def test_a_beat_that_is_cut_at_the_edge_spoils_no_explanation(estimator: Estimator) -> None:
    record = ecg(18, 4.2)
    assert detect_r_peaks(record.signal_mv, record.fs_hz)[0] == 0
    spans = delineate(record, detect_r_peaks(record.signal_mv, record.fs_hz))
    assert np.median(np.diff(spans[Wave.QRS], axis=1)) < 0.15 * record.fs_hz


def test_an_explanation_takes_less_than_a_second_of_one_core(estimator: Estimator, found: Explanation) -> None:
    """Once neurokit2 is imported, as it is here."""
    assert found.effects
    started = time.process_time()
    explain(estimator, ecg(4, 6.0))
    assert time.process_time() - started < 1.0


def test_nothing_but_the_wave_is_replaced_and_the_waves_cover_the_beat_in_order() -> None:
    record = ecg(3, 5.0)
    spans = delineate(record, detect_r_peaks(record.signal_mv, record.fs_hz))
    for wave in Wave:
        changed = replaced(record, spans, wave) != record.signal_mv
        inside = np.zeros(record.signal_mv.shape[1], dtype=bool)
        for first, last in spans[wave]:
            inside[first : last + 1] = True
        assert not changed[:, ~inside].any(), wave
        assert changed[:, inside].mean() > 0.8, wave
    inner = slice(1, -1)
    assert (spans[Wave.P][inner, 1] <= spans[Wave.QRS][inner, 0]).all()
    assert (spans[Wave.QRS][inner, 1] <= spans[Wave.ST][inner, 0]).all()
    assert (spans[Wave.ST][inner, 1] <= spans[Wave.T][inner, 0]).all()
    assert (spans[Wave.T][1:-2, 1] <= spans[Wave.P][2:-1, 0]).all()


def test_without_qrs_little_of_it_is_left() -> None:
    record = ecg(3, 5.0)
    spans = delineate(record, detect_r_peaks(record.signal_mv, record.fs_hz))
    first, last = spans[Wave.QRS][2]
    before, after = record.signal_mv[:, first:last], replaced(record, spans, Wave.QRS)[:, first:last]
    assert (np.ptp(after, axis=1) < 0.3 * np.ptp(before, axis=1)).all()


def test_the_usual_t_wave_is_as_tall_as_that_of_simulated_patients_at_4_2_mmol() -> None:
    """Of other patients than those behind the table."""
    before, after = [], []
    for seed in range(24):
        record = ecg(seed)
        spans = delineate(record, detect_r_peaks(record.signal_mv, record.fs_hz))
        first, last = spans[Wave.T][2]
        rows = [record.leads.index(lead) for lead in MAIN]
        before.append(np.ptp(record.signal_mv[rows, first:last], axis=1))
        after.append(np.ptp(replaced(record, spans, Wave.T)[rows, first:last], axis=1))
    np.testing.assert_allclose(np.median(after, axis=0), np.median(before, axis=0), rtol=0.25)


def test_every_group_of_leads_has_each_wave_once_and_the_text_shows_them(found: Explanation) -> None:
    keys = [(effect.wave, effect.leads) for effect in found.effects]
    assert len(keys) == len(set(keys)) == 4 * 7
    text = explanation_text(found, (Flag.DEMO_MODEL,))
    assert f"DEMO_MODEL: {Flag.DEMO_MODEL.sentence}" in text
    for effect in found.effects:
        assert effect.change_mmol_l is not None
        assert f"{effect.change_mmol_l:+.2f}" in text
    assert found.effect(Wave.T, "V3") == found.effect(Wave.T, "V5") != found.effect(Wave.T, "V1")
    assert found.effect(Wave.T, "aVR") == 0


def test_the_page_shades_the_leads_that_the_model_sees(estimator: Estimator, found: Explanation) -> None:
    record = ecg(3, 7.0)
    estimate = estimator.estimate(record)
    page, plain = estimate_page(record, estimate, found), estimate_page(record, estimate)
    assert "fill-opacity" not in plain
    assert page.count("fill-opacity") >= 5
    assert "Shaded: waves that raise the estimate" in page


def test_what_has_no_estimate_or_no_beats_has_no_explanation(estimator: Estimator) -> None:
    record = ecg(1)
    noise = np.random.default_rng(0).normal(0, 0.05, record.signal_mv.shape)
    with pytest.raises(UnusableRecord, match="withheld"):
        explain(estimator, altered(record, record.signal_mv * 50))
    with pytest.raises(UnusableRecord):
        explain(estimator, altered(record, noise))
    with pytest.raises(UnusableRecord, match="2 whole beats found; expected at least 3"):
        delineate(record, np.array([500, 900]))


def test_without_neurokit_the_extra_is_named(estimator: Estimator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neurokit2", None)
    with pytest.raises(MissingDependency, match=r"ecg-ka\[quality\]"):
        explain(estimator, ecg(1))
