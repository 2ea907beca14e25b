"""explain(): what dominates in hyperkalaemia, what is replaced, and what it costs."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from contextlib import suppress

import numpy as np
import pytest

from ecg_ka import Estimator, Explanation, MissingDependency, UnusableRecord, Wave, explain
from ecg_ka.exporters import estimate_page, explanation_text
from ecg_ka.quality import detect_r_peaks
from ecg_ka.waves import delineate, flattened
from tests.ecg_ka.ecgs import ecg
from tests.ecg_ka.test_estimator import altered

Changes = dict[tuple[Wave, tuple[str, ...]], float]


@pytest.fixture(scope="module")
def estimator() -> Estimator:
    return Estimator.load()


@pytest.fixture(scope="module")
def found(estimator: Estimator) -> Explanation:
    return explain(estimator, ecg(3, 7.0))


@pytest.fixture(scope="module")
def changes(estimator: Estimator) -> Changes:
    """Mean change by wave and leads over a dozen patients at 7.0 mmol/L."""
    found: dict[tuple[Wave, tuple[str, ...]], list[float]] = defaultdict(list)
    for explained in _explained(estimator, 7.0):
        for effect in explained.effects:
            if effect.change_mmol_l is not None:
                found[effect.wave, effect.leads].append(effect.change_mmol_l)
    return {key: float(np.mean(values)) for key, values in found.items()}


def test_in_hyperkalaemia_the_t_wave_dominates(changes: Changes) -> None:
    """Without it in all leads the estimate falls by far more than without any other wave."""
    t_wave = changes[Wave.T, ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]
    assert t_wave < -0.2
    assert t_wave < 2 * min(change for (wave, _), change in changes.items() if wave is not Wave.T)


@pytest.mark.xfail(strict=True, reason="without T in the chest leads alone, the shipped network sees no ECG it knows")
def test_in_hyperkalaemia_the_t_wave_of_v2_to_v5_and_ii_dominates(changes: Changes) -> None:
    t_wave = changes[Wave.T, ("II", "V2", "V3", "V4", "V5")]
    assert t_wave < -0.4
    assert t_wave < 1.3 * min(change for (wave, _), change in changes.items() if wave is not Wave.T)


def _explained(estimator: Estimator, potassium_mmol_l: float) -> list[Explanation]:
    """Of 14 patients, without the few whose tall T was taken for a beat: those are refused."""
    out = []
    for seed in range(14):
        with suppress(UnusableRecord):
            out.append(explain(estimator, ecg(seed, potassium_mmol_l)))
    assert len(out) >= 11
    return out


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
        changed = flattened(record, spans, wave) != record.signal_mv
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


def test_without_qrs_and_t_little_of_the_tracing_is_left() -> None:
    record = ecg(3, 5.0)
    spans = delineate(record, detect_r_peaks(record.signal_mv, record.fs_hz))
    middle = slice(int(spans[Wave.QRS][1, 0]), int(spans[Wave.QRS][-2, 0]))
    before = record.lead("V2")[middle]
    for wave in (Wave.QRS, Wave.T):
        record = altered(record, flattened(record, spans, wave))
    assert np.ptp(record.lead("V2")[middle]) < 0.35 * np.ptp(before)


def test_every_group_of_leads_has_each_wave_once_and_the_text_shows_them(found: Explanation) -> None:
    keys = [(effect.wave, effect.leads) for effect in found.effects]
    assert len(keys) == len(set(keys)) == 4 * 7
    text = explanation_text(found)
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
    with pytest.raises(UnusableRecord, match="2 beats found; expected at least 3"):
        delineate(record, np.array([500, 900]))


def test_without_neurokit_the_extra_is_named(estimator: Estimator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neurokit2", None)
    with pytest.raises(MissingDependency, match=r"ecg-ka\[quality\]"):
        explain(estimator, ecg(1))
