"""Quantile curves: they find how errors change with the estimate, take away the jumps between the regions, and the
guarantee does not rest on them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from ecg_ka import Estimator
from ecg_ka.uncertainty import ConformalDistribution, Pairs, QuantileCurves, Regions
from ecg_ka.uncertainty.curves import LEVELS

Floats = NDArray[np.float64]

REGIONS = Regions()
PLACES: Floats = np.asarray(stats.norm.ppf(LEVELS))
NORMAL = QuantileCurves.fit(Pairs(np.empty(0), np.empty(0), np.empty(0)))  # scores are errors in spreads
ODD = QuantileCurves(
    np.array([3.0, 4.0, 5.5], dtype=np.float32),
    np.sort(np.random.default_rng(0).normal(0, 3, (3, 15)), axis=1).astype(np.float32),
)
FLAT = QuantileCurves(np.array([4.0], dtype=np.float32), (1e-6 * np.arange(15, dtype=np.float32))[None])


def stretched(n: int, seed: int) -> Pairs:
    """Estimates that are right in the middle and stretched beyond it, the farther out the less; errors that grow."""
    rng = np.random.default_rng(seed)
    estimates = np.concatenate([rng.normal(4.1, 0.4, n // 2), rng.uniform(2.6, 7.2, n - n // 2)])
    labels = mean_label(estimates) + sd_of_label(estimates) * rng.standard_normal(n)
    return Pairs(estimates, np.full(n, 0.5), labels)


def mean_label(estimates: Floats) -> Floats:
    return np.interp(estimates, [2.5, 3.4, 4.6, 5.4, 6.8], [3.0, 3.8, 4.6, 4.9, 6.6])


def sd_of_label(estimates: Floats) -> Floats:
    return 0.3 + 0.1 * np.abs(estimates - 4.2)


@given(st.floats(1, 9), st.floats(0.05, 2), st.lists(st.floats(-20, 20), min_size=2, max_size=20))
@settings(deadline=None)
def test_a_curve_rises_and_leads_back(estimate: float, spread: float, scores: list[float]) -> None:
    curve = ODD.at(estimate, spread)
    values = curve.value(np.sort(scores))
    np.testing.assert_allclose(curve.score(values), np.sort(scores), atol=1e-6)
    assert (np.diff(values)[np.diff(np.sort(scores)) > 1e-6] > 0).all()


@given(st.floats(2, 8), st.floats(0.1, 1))
@settings(deadline=None)
def test_between_quantiles_it_is_straight_and_nowhere_does_it_jump(estimate: float, spread: float) -> None:
    here, beside = (ODD.at(estimate + step, spread).value(PLACES) for step in (0.0, 1e-9))
    np.testing.assert_allclose(here, beside, atol=1e-7)
    between = ODD.at(estimate, spread).value((PLACES[1:] + PLACES[:-1]) / 2)
    np.testing.assert_allclose(between, (here[1:] + here[:-1]) / 2, atol=1e-9)
    row = [np.interp(estimate, ODD.knots, column) for column in ODD.quantiles.T]
    np.testing.assert_allclose(here, estimate + spread * np.array(row), atol=1e-6)
    slope = (here[-1] - here[-2]) / (PLACES[-1] - PLACES[-2])
    assert ODD.at(estimate, spread).value(PLACES[-1] + 5) == pytest.approx(here[-1] + 5 * slope)


def test_the_quantiles_of_errors_are_found_at_each_estimate() -> None:
    made = QuantileCurves.fit(stretched(60_000, 1))
    assert made.knots[0] < 3.0 < 6.8 < made.knots[-1] + 0.4
    for estimate in (3.0, 3.6, 4.1, 5.0, 6.0):
        found = made.at(estimate, 0.5).value(PLACES)
        at = np.array([estimate])
        expected = mean_label(at) + sd_of_label(at) * PLACES
        np.testing.assert_allclose(found, expected, atol=0.13)


def test_the_nearer_to_a_knot_the_more_an_ecg_counts_and_beyond_the_last_one_all_count_alike() -> None:
    """Errors that are known exactly, rising with the estimate: a quantile of them is one of the estimates around."""
    estimates = np.concatenate([np.linspace(2.2, 2.6, 90), np.linspace(3.0, 5.2, 11_001), np.linspace(5.3, 6.0, 90)])
    made = QuantileCurves.fit(Pairs(estimates, np.ones(len(estimates)), 2 * estimates))
    assert len(made.knots) == 7
    for knot, quantiles in zip(made.knots.astype(np.float64), made.quantiles, strict=True):
        weights = np.maximum(1 - np.abs(estimates - knot) / 0.4, 0)
        beyond = estimates < knot if knot == made.knots[0] else estimates > knot
        weights = np.where(beyond & (knot in made.knots[[0, -1]]), 1, weights)
        below = [weights[estimates < q].sum() / weights.sum() for q in quantiles]
        np.testing.assert_allclose(below, LEVELS, atol=2e-3)


def test_a_quantile_lies_in_the_middle_of_its_ecg() -> None:
    """Else the median of a hundred ECGs would be off by half of one."""
    errors = np.random.default_rng(0).normal(0, 1, 101)
    made = QuantileCurves.fit(Pairs(np.full(101, 4.0), np.ones(101), 4.0 + errors))
    assert made.at(4.0, 1.0).value(0.0) == pytest.approx(4.0 + np.median(errors), abs=1e-6)


@pytest.mark.parametrize("n", [0, 1, 99])
def test_few_ecgs_tell_no_curve(n: int) -> None:
    found = QuantileCurves.fit(stretched(60_000, 1).where(np.arange(60_000) < n))
    np.testing.assert_allclose(found.quantiles, PLACES[None], atol=1e-6)


@pytest.mark.parametrize("n", [100, 150, 1000])
def test_a_knot_has_a_hundred_ecgs_beside_it_and_the_knots_have_no_gap(n: int) -> None:
    pairs = stretched(60_000, 1).where(np.random.default_rng(n).permutation(60_000) < n)
    knots = QuantileCurves.fit(pairs).knots
    np.testing.assert_allclose(np.diff(knots), 0.4, atol=1e-6)
    near = [(np.abs(pairs.estimates - knot) < 0.4).sum() for knot in knots]
    assert len(knots) == 1 or min(near) >= 100
    for beyond in (knots[0] - 0.4, knots[-1] + 0.4):
        assert (np.abs(pairs.estimates - beyond) < 0.4 - 1e-6).sum() < 100


@pytest.mark.parametrize("apart", [0.4, 0.45, 0.8])
@pytest.mark.parametrize("n_between", [0, 1, 99])
def test_where_the_middle_has_too_few_ecgs_one_knot_takes_all(apart: float, n_between: int) -> None:
    """Low estimates and high ones, few between: else a knot would stand for a few ECGs, or for none."""
    rng = np.random.default_rng(n_between)
    estimates = np.concatenate([np.full(200, 4.4 - apart), np.full(n_between, 4.4), np.full(200, 4.4 + apart)])
    labels = estimates + rng.normal(0, 0.5, len(estimates))
    made = QuantileCurves.fit(Pairs(estimates, np.full(len(estimates), 5.0), labels))
    np.testing.assert_allclose(made.knots, [4.4])
    expected = np.quantile((labels - estimates) / 5.0, LEVELS, method="hazen")
    np.testing.assert_allclose(made.quantiles[0], expected, atol=1e-5)


def test_the_knots_lie_where_most_ecgs_do_however_far_some_are() -> None:
    estimates = np.concatenate([np.random.default_rng(0).uniform(3.8, 4.4, 1000), np.full(400, 9.0)])
    made = QuantileCurves.fit(Pairs(estimates, np.ones(1400), estimates))
    np.testing.assert_allclose(made.knots, [3.6, 4.0, 4.4], atol=1e-6)


@pytest.mark.parametrize("estimate", [2.8, 3.6, 4.0, 4.3, 5.2])
def test_one_estimate_for_all_makes_a_curve_too(estimate: float) -> None:
    labels = np.random.default_rng(0).normal(4.2, 0.5, 300)
    made = QuantileCurves.fit(Pairs(np.full(300, estimate), np.full(300, 0.5), labels))
    np.testing.assert_allclose(made.at(estimate, 0.5).value(0.0), np.median(labels), atol=1e-3)


@pytest.mark.parametrize("curves", [NORMAL, ODD, FLAT], ids=["none", "odd", "flat"])
@pytest.mark.parametrize("spread", [0.05, 0.5, 2.0])
def test_no_value_that_potassium_can_have_lies_beyond_a_curve(curves: QuantileCurves, spread: float) -> None:
    """Beyond its ends all values would have one score, and intervals would miss them."""
    values = np.linspace(0.5, 14.0, 100)
    for estimate in (2.0, 4.2, 9.0):
        curve = curves.at(estimate, spread)
        np.testing.assert_allclose(curve.value(curve.score(values).astype(np.float32)), values, atol=1e-4)


def test_equal_errors_still_make_a_curve_that_rises() -> None:
    made = QuantileCurves.fit(Pairs(np.full(500, 4.2), np.ones(500), np.full(500, 4.5)))
    assert made.at(4.2, 1.0).score(4.5) == pytest.approx(0, abs=2.5)
    assert made.at(4.2, 1.0).score(6.0) > made.at(4.2, 1.0).score(5.0) + 1


@pytest.mark.parametrize(
    "curves", [NORMAL, ODD, FLAT, QuantileCurves.fit(stretched(4000, 2))], ids=["none", "odd", "flat", "fitted"]
)
def test_the_guarantee_holds_in_each_predicted_region_whatever_the_curves(curves: QuantileCurves) -> None:
    """Mean coverage of an interval at 0.8 over 100 calibration splits of 2,000, in each predicted region: all of
    them have the 100 ECGs that it takes to stand alone."""
    held = {g: [0, 0] for g in range(5)}
    for seed in range(100):
        made = ConformalDistribution.fit(stretched(2000, 2 * seed + 10), curves, REGIONS)
        assert len(made.scores) == 6
        test = stretched(80, 2 * seed + 11)
        for e, s, k in zip(test.estimates.tolist(), test.spreads.tolist(), test.labels.tolist(), strict=True):
            interval = made.predict(e, s).interval(0.8)
            count = held[int(REGIONS.group(e))]
            count[0] += interval.lower <= k <= interval.upper
            count[1] += 1
    for covered, n in held.values():
        assert 0.8 - 3 * (0.16 / n) ** 0.5 <= covered / n <= 0.81 + 3 * (0.16 / n) ** 0.5


def worst_fall(made: ConformalDistribution, spread: float = 0.5) -> float:
    """By how much, at most, P(K >= 5.5) falls, or P(K < 3.5) rises, from one estimate to a higher one."""
    predicted = [made.predict(float(e), spread) for e in np.arange(2.8, 7.0, 0.01)]
    high, not_low = (np.array([one.p_at_least(threshold) for one in predicted]) for threshold in (5.5, 3.5))
    return float(max((np.maximum.accumulate(p) - p).max() for p in (high, not_low)))


def test_with_curves_no_alarm_is_lost_at_the_edge_of_a_region() -> None:
    pairs = stretched(16_000, 3)
    with_curves, without = (
        ConformalDistribution.fit(pairs, curves, REGIONS) for curves in (QuantileCurves.fit(stretched(8000, 4)), NORMAL)
    )
    assert worst_fall(without) > 0.1
    assert worst_fall(with_curves) < 0.02


def test_no_value_falls_where_the_estimate_rises_even_if_labels_do() -> None:
    """At spreads up to 0.7; where labels rise by themselves nothing is changed."""
    rng = np.random.default_rng(12)
    estimates = np.concatenate([rng.normal(4.1, 0.4, 4000), rng.uniform(4.4, 6.2, 4000)])
    labels = np.minimum(estimates, 4.8 - 0.5 * (estimates - 4.8)) + rng.normal(0, 0.3, 8000)
    made = QuantileCurves.fit(Pairs(estimates, np.full(8000, 0.5), labels))
    steps = np.arange(made.knots[0], made.knots[-1], 0.05)
    for spread, most in ((0.05, 1e-6), (0.3, 1e-6), (0.7, 1e-6), (1.4, 0.2)):
        values = np.stack([made.at(float(e), spread).value(PLACES) for e in steps])
        fall = (np.maximum.accumulate(values, axis=0) - values).max()
        assert most / 2 <= fall <= 10 if spread > 1 else fall <= most
    found = made.at(4.0, 0.5).value(PLACES)
    np.testing.assert_allclose(found[[4, 7, 10]], 4.0 + 0.3 * PLACES[[4, 7, 10]], atol=0.05)


@pytest.mark.parametrize("spread", [0.3, 0.4, 0.5, 0.6, 0.7])
def test_the_shipped_calibration_hardly_jumps(spread: float) -> None:
    assert worst_fall(Estimator.load().bundle.calibration.distribution, spread) < 0.03


@pytest.mark.parametrize("spread", np.arange(0.3, 0.95, 0.05).round(2).tolist())
def test_an_alarm_for_high_potassium_is_not_lost_where_the_estimate_rises(spread: float) -> None:
    calibration = Estimator.load().bundle.calibration
    raised = [
        calibration.distribution.predict(float(e), spread).p_at_least(5.5) > calibration.operating_points.at_least_5_5
        for e in np.arange(2.8, 9.0, 0.01)
    ]
    assert all(raised[raised.index(True) :])


@pytest.mark.parametrize("spread", np.arange(0.3, 0.95, 0.05).round(2).tolist())
def test_an_alarm_for_low_potassium_comes_back_over_a_tenth_at_most(spread: float) -> None:
    """Where the estimate rises; at the edge between two regions."""
    calibration, estimates = Estimator.load().bundle.calibration, np.arange(2.0, 5.0, 0.005)
    p = np.array([1 - calibration.distribution.predict(float(e), spread).p_at_least(3.5) for e in estimates])
    raised = p > calibration.operating_points.below_3_5
    first_off = int(np.argmin(raised))
    assert raised[0]
    assert 0.005 * raised[first_off:].sum() <= 0.11


def test_probabilities_agree_with_what_is_observed_within_a_region_too() -> None:
    """Among estimates from one edge of a region to its middle, and from there to the other edge."""
    pairs, test = stretched(16_000, 5), stretched(16_000, 6)
    made = ConformalDistribution.fit(pairs, QuantileCurves.fit(stretched(8000, 7)), REGIONS)
    without = ConformalDistribution.fit(pairs, NORMAL, REGIONS)
    misses = {
        name: max(
            abs(np.mean([one.predict(float(e), 0.5).p_at_least(threshold) for e in test.estimates[here]])
                - (test.labels[here] >= threshold).mean())
            for low, high, threshold in ((3.6, 3.9, 3.5), (4.3, 4.6, 5.0), (5.3, 5.6, 5.5), (6.5, 7.2, 6.5))
            for here in [(test.estimates >= low) & (test.estimates < high)]
        )
        for name, one in (("curves", made), ("none", without))
    }  # fmt: skip
    assert misses["curves"] < 0.06
    assert misses["none"] > 2 * misses["curves"]


@pytest.mark.parametrize(
    "change",
    [
        {"knots": np.array([3.0, 3.0, 5.0], dtype=np.float32)},
        {"knots": np.array([3.0, 4.0], dtype=np.float32)},
        {"knots": np.array([3.0, 4.0, np.inf], dtype=np.float32)},
        {"knots": np.array([3.0, 4.0, 5.0])},
        {"knots": np.empty(0, dtype=np.float32), "quantiles": np.empty((0, 15), dtype=np.float32)},
        {"quantiles": ODD.quantiles[:, :14]},
        {"quantiles": ODD.quantiles[:, ::-1].copy()},
        {"quantiles": np.full((3, 15), np.nan, dtype=np.float32)},
        {"quantiles": np.linspace(-3e38, 3e38, 45, dtype=np.float32).reshape(3, 15)},
    ],
)
def test_curves_that_do_not_rise_are_refused(change: dict[str, NDArray[np.float32]]) -> None:
    with pytest.raises(ValueError, match="curves"):
        replace(ODD, **change)
