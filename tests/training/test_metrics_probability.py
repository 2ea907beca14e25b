"""Calibration and net benefit against what they have to be at their extremes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from training.metrics_bootstrap import Statistic
from training.metrics_probability import (
    group_of,
    net_benefit,
    net_benefit_of_testing_all,
    overall,
    recalibration,
    reliability,
)

RNG = np.random.default_rng(3)
P = RNG.beta(1, 6, 8000)
EVENT = RNG.random(8000) < P


def once(statistic: Statistic, n: int = 8000) -> list[float]:
    return [float(v) for v in statistic(np.ones((1, n)))[0]]


def test_brier_score_skill_and_ratio_by_hand() -> None:
    brier, skill, ratio = once(overall(P, EVENT))
    assert brier == pytest.approx(np.mean((P - EVENT) ** 2))
    assert skill == pytest.approx(1 - brier / np.mean((EVENT.mean() - EVENT) ** 2))
    assert ratio == pytest.approx(EVENT.sum() / P.sum())
    rate = np.full(8000, EVENT.mean())
    assert once(overall(rate, EVENT))[1:] == pytest.approx([0, 1], abs=1e-12)
    assert once(overall(EVENT.astype(float), EVENT))[:2] == pytest.approx([0, 1])


def test_right_probabilities_need_no_recalibration_and_wrong_ones_show_how_they_are_wrong() -> None:
    found = recalibration(P, EVENT)
    assert found.in_the_large.lower < 0 < found.in_the_large.upper
    assert found.slope.lower < 1 < found.slope.upper
    shifted = recalibration(expit(logit(P) - 0.7), EVENT)
    assert shifted.in_the_large.value == pytest.approx(found.in_the_large.value + 0.7, abs=1e-6)
    extreme = recalibration(expit(2 * logit(P)), EVENT)
    assert extreme.slope.value == pytest.approx(found.slope.value / 2, abs=1e-3)
    assert np.isnan(recalibration(P[:50], np.arange(50) < 9).slope).all()


@pytest.mark.parametrize("p", [[0.6, 0.4], [0.0, 1.0], [0.2, 0.2]])
def test_no_slope_is_given_where_none_is_the_most_likely(p: list[float]) -> None:
    event = np.arange(100) < 20
    found = recalibration(np.where(event, *p), event)
    assert np.isnan(found.slope).all()
    assert np.isfinite(found.in_the_large).all()


def test_the_interval_of_the_slope_covers_as_often_as_it_says() -> None:
    hits = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        p = rng.beta(2, 5, 400)
        found = recalibration(p, rng.random(400) < p)
        hits.append((found.slope.lower <= 1 <= found.slope.upper, found.in_the_large.lower <= 0))
    assert 0.92 <= np.mean(hits, axis=0)[0] <= 0.98
    assert 0.955 <= np.mean(hits, axis=0)[1] <= 0.995


def test_bins_hold_every_ecg_once_and_right_probabilities_lie_in_their_intervals() -> None:
    bins = reliability(P, EVENT)
    assert sum(b.n for b in bins) == 8000
    assert sum(b.n * b.mean_p for b in bins) == pytest.approx(P.sum())
    assert sum(b.observed.lower <= b.mean_p <= b.observed.upper for b in bins) >= 8
    assert len(reliability(np.full(100, 0.2), EVENT[:100])) == 1
    assert np.isnan(group_of(P[:0], EVENT[:0]).mean_p)


def test_net_benefit_at_its_extremes() -> None:
    thresholds = np.array([0.01, 0.1, 0.3])
    everyone = once(net_benefit(np.ones(8000), EVENT, thresholds))
    assert everyone == pytest.approx(net_benefit_of_testing_all(float(EVENT.mean()), thresholds))
    assert once(net_benefit(np.zeros(8000), EVENT, thresholds)) == [0, 0, 0]
    assert once(net_benefit(EVENT.astype(float), EVENT, thresholds)) == pytest.approx([EVENT.mean()] * 3)
    p, t = P, 0.1
    true, false = ((p >= t) & EVENT).sum(), ((p >= t) & ~EVENT).sum()
    assert once(net_benefit(p, EVENT, thresholds))[1] == pytest.approx(true / 8000 - false / 8000 * t / (1 - t))
    assert once(net_benefit(p, EVENT, thresholds))[1] > max(0, everyone[1])  # right probabilities never harm
