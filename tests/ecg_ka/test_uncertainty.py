"""Regions, label density, and the guarantees of the conformal predictive distribution."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecg_ka.uncertainty import ConformalDistribution, LabelDensity, Pairs, Predictive, Regions
from ecg_ka.uncertainty.conformal import LABEL_STEPS_MMOL_L, label_step
from tests.ecg_ka.test_curves import NORMAL

REGIONS = Regions()
STEPS = st.sampled_from(LABEL_STEPS_MMOL_L)
UNKNOWN = np.empty(0, dtype=np.float32)


@pytest.mark.parametrize(
    ("k", "name"),
    [
        (2.0, "few"), (3.1, "few"), (3.2, "median"), (3.5, "median"), (3.6, "many"), (4.6, "many"), (4.7, "median"),
        (5.3, "median"), (5.4, "few"), (8.0, "few"), (0.1 * 32, "median"), (0.1 * 36, "many"), (0.1 * 53, "median"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("number", [float, np.float64])
def test_region_edges(k: float, name: str, number: type[float]) -> None:
    assert REGIONS.name(number(k)) == name == ("few", "median", "many", "median", "few")[int(REGIONS.group(k))]


@given(st.floats(2, 9), st.floats(2, 9), STEPS)
def test_the_regions_reached_are_those_of_the_values_between(one: float, other: float, step: float) -> None:
    lower, upper = sorted((one, other))
    between = np.append(np.arange(lower, upper, 0.01), upper)
    on_an_edge = [k for k in (lower, upper) if step and abs(k / step % 1 - 0.5) < 1e-6]  # of rounding: to either side
    assume(not on_an_edge)
    there = {REGIONS.name(k) for k in (np.rint(between / step) * step if step else between)}
    reached = REGIONS.reached(np.float64(lower), upper, step)
    assert reached == tuple(name for name in ("many", "median", "few") if name in there)


@pytest.mark.parametrize(("highest", "n_steps"), [(4.45, 5), (4.5, 6), (4.59, 6)])
def test_the_last_step_of_the_distribution_holds_the_highest_value(highest: float, n_steps: int) -> None:
    found = Predictive(np.array([4.05, 4.2, highest]), UNKNOWN).in_steps()
    assert (found.lower_mmol_l, len(found.p)) == (4.0, n_steps)


def test_density_counts_labels_within_a_tenth() -> None:
    labels = np.array([4.0, 4.1, 4.1, 4.2, 4.3, 6.0])
    density = LabelDensity.from_labels(labels)
    assert [density.n_near(k) for k in (4.1, 4.14, 4.2, 5.0, 6.04, 6.1, 9.0, 1.0)] == [4, 4, 4, 0, 1, 1, 0, 0]
    assert density.density(4.1) == pytest.approx(4 / 6 / 0.3)
    again = LabelDensity.from_dict(density.to_dict())
    assert again.n_near(4.1) == 4


def test_after_enrichment_the_natural_density_is_scaled_to_the_training_set() -> None:
    labels = np.array([4.0, 4.1, 4.1, 4.2, 4.3, 6.0])
    density = LabelDensity.from_labels(labels, n_train=60)
    assert (density.n_near(4.1), density.n_near(6.0)) == (40, 10)
    assert density.density(4.1) == pytest.approx(LabelDensity.from_labels(labels).density(4.1))


def test_density_integrates_to_one() -> None:
    labels = np.round(np.random.default_rng(0).normal(4.2, 0.6, 2000), 1)
    density = LabelDensity.from_labels(labels)
    grid = np.round(np.arange(0.0, 10.0, 0.1), 1)
    assert sum(density.density(k) for k in grid) * 0.1 == pytest.approx(1.0)


def fitted(n: int, seed: int) -> tuple[ConformalDistribution, NDArray[np.float64], NDArray[np.float64]]:
    """A calibration split of n, and a test pair (estimate, label) from the same source."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(4.2, 0.6, n + 1)
    estimates = truth + rng.standard_t(4, n + 1) * 0.3
    made = ConformalDistribution.fit(Pairs(estimates[:n], np.full(n, 0.3), truth[:n]), NORMAL, REGIONS)
    return made, estimates[n:], truth[n:]


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_the_interval_covers_as_often_as_it_says_on_small_splits(level: float) -> None:
    """Finite-sample validity: over many random splits of 60 the coverage is at least the level, and not far above."""
    hits = []
    for seed in range(1500):
        made, estimate, truth = fitted(60, seed)
        interval = made.predict(float(estimate[0]), 0.3).interval(level)
        hits.append(interval.lower <= truth[0] <= interval.upper)
    assert level - 0.02 <= np.mean(hits) <= level + 0.055


@given(st.lists(st.floats(2, 9), min_size=40, max_size=120, unique=True), st.sampled_from([0.5, 0.8, 0.9, 0.95]))
@settings(max_examples=60, deadline=None)
def test_interval_ends_are_order_statistics(values: list[float], level: float) -> None:
    ordered = np.sort(values)
    n = len(ordered)
    interval = Predictive(ordered, UNKNOWN).interval(level)
    inside = int(np.sum((ordered >= interval.lower) & (ordered <= interval.upper)))
    assert inside >= np.ceil(level * (n + 1)) - 1
    assert interval.lower <= np.median(ordered) <= interval.upper


def test_too_few_scores_give_the_limits_not_a_guess() -> None:
    interval = Predictive(np.array([4.0, 4.1, 4.2]), UNKNOWN).interval(0.9)
    assert (interval.lower, interval.upper) == (1.0, 12.0)


@given(st.lists(st.floats(2, 9), min_size=5, max_size=60), STEPS)
@settings(max_examples=50, deadline=None)
def test_probabilities_fall_with_the_threshold_and_complement_each_other(values: list[float], step: float) -> None:
    predictive = Predictive(np.sort(values), UNKNOWN, step)
    p = [predictive.p_at_least(t) for t in np.arange(1.0, 10.0, 0.25)]
    assert all(a >= b for a, b in pairwise(p))
    assert all(0 < value < 1 for value in p)
    high, low = predictive.probabilities(((">=", 5.5), ("<", 5.5)))
    assert high.p + low.p == pytest.approx(1)


@given(st.lists(st.floats(0, 14), min_size=1, max_size=60), STEPS)
@settings(max_examples=50, deadline=None)
def test_the_distribution_in_steps_adds_up_to_one_and_to_each_probability(values: list[float], step: float) -> None:
    predictive = Predictive(np.sort(values), UNKNOWN, step)
    told = predictive.in_steps()
    starts = told.lower_mmol_l + told.step_mmol_l * np.arange(len(told.p))
    assert sum(told.p) == pytest.approx(1)
    assert min(told.p) >= 0
    for threshold in np.round(starts[1:], 1):
        above = sum(p for start, p in zip(starts, told.p, strict=True) if start > threshold - 0.05)
        assert above == pytest.approx(predictive.p_at_least(threshold), abs=1e-5)


@given(st.lists(st.floats(2, 9), min_size=40, max_size=90), st.sampled_from([0.5, 0.8, 0.9, 0.95]), STEPS)
@settings(max_examples=60, deadline=None)
def test_probabilities_are_consistent_with_the_interval(values: list[float], level: float, step: float) -> None:
    """Beyond either end, a continuous value, lies at most half of what the interval leaves out, and inside of it at
    least its level."""
    predictive, tail = Predictive(np.sort(values), UNKNOWN, step), (1 - level) / 2 + 1e-9
    interval = predictive.interval(level)
    above = predictive.p_at_least(interval.upper + step / 2 + 1e-6)
    below = 1 - predictive.p_at_least(interval.lower + step / 2 - 1e-6)
    assert above <= tail
    assert below <= tail
    assert 1 - above - below >= level - 2e-9


@pytest.mark.parametrize(
    ("labels", "step"),
    [
        ([4.0, 5.5, 6.1], 0.1),
        ([0.1 * 41, 0.1 * 53, 4.1 + 0.2], 0.1),
        (np.array([3.3, 7.9, 11.7], np.float32).astype(np.float64).tolist(), 0.1),
        ([4.0, 5.5, 6.13], 0.01),
        ([4.0, 5.55], 0.01),
        ([4.0, 5.5, 6.125], 0.0),
        ([4.0, 5.5, 6.100_01], 0.0),
        ([*99 * [4.1], 4.13], 0.1),
        ([*98 * [4.1], 4.13, 4.17], 0.01),
        ([*98 * [4.13], 4.1, 4.125], 0.01),
    ],
)
def test_the_step_is_the_coarsest_that_nearly_all_labels_are_on(labels: list[float], step: float) -> None:
    assert label_step(np.array(labels)) == step


def values_and_their_records(step: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values (999,) in ascending order, and what a laboratory makes of them."""
    values = np.sort(np.random.default_rng(3).uniform(2.0, 7.0, 999))
    return values, np.rint(values / step) * step if step else values


@pytest.mark.parametrize("step", LABEL_STEPS_MMOL_L)
def test_probabilities_steps_and_the_few_shot_share_count_what_is_recorded(step: float) -> None:
    values, records = values_and_their_records(step)
    predictive = Predictive(values, UNKNOWN, step)
    told = predictive.in_steps()
    for k, p in enumerate(told.p):
        start = told.lower_mmol_l + 0.1 * k
        here = (records >= start - 1e-6) & (records < start + 0.1 - 1e-6)
        assert p == pytest.approx(here.mean(), abs=2e-3)  # the ends hold half of what lies beyond all values
        assert predictive.p_at_least(start) == pytest.approx((records >= start - 1e-6).mean(), abs=2e-3)
    few = np.isin(REGIONS.group(records), (0, 4))
    assert predictive.share_outside(REGIONS.few_low, REGIONS.few_high) == pytest.approx(few.mean())


def measured(decimals: int, seed: int, n: int = 20_000) -> Pairs:
    """Potassium that lies around the estimate, recorded with so many decimals."""
    rng = np.random.default_rng(seed)
    estimates, spreads = rng.normal(4.4, 0.6, n), np.full(n, 0.4)
    return Pairs(estimates, spreads, np.round(estimates + rng.normal(0, 0.4, n), decimals))


def misses(made: ConformalDistribution, test: Pairs, threshold: float) -> float:
    """By how many standard errors of the observed share the mean of P(K >= threshold) is off."""
    p = [made.predict(float(e), 0.4).p_at_least(threshold) for e in test.estimates]
    share = (test.labels >= threshold - 1e-6).mean()
    return float(abs(np.mean(p) - share) / (share * (1 - share) / len(p)) ** 0.5)


@pytest.mark.parametrize("threshold", [3.5, 4.2, 5.5])
def test_the_mean_probability_is_the_share_of_recorded_values(threshold: float) -> None:
    """Cut at the threshold itself it would miss what is rounded up to it."""
    made, test = ConformalDistribution.fit(measured(1, 0), NORMAL, REGIONS), measured(1, 1)
    assert made.label_step_mmol_l == 0.1
    assert misses(made, test, threshold) < 2
    assert misses(replace(made, label_step_mmol_l=0.0), test, threshold) > 3


@pytest.mark.parametrize("threshold", [3.5, 4.2, 5.5])
def test_labels_on_no_grid_are_not_corrected(threshold: float) -> None:
    made, test = ConformalDistribution.fit(measured(9, 0), NORMAL, REGIONS), measured(9, 1)
    assert made.label_step_mmol_l == 0.0
    assert misses(made, test, threshold) < 2


def test_each_predicted_region_has_its_own_scores() -> None:
    """Estimates that are stretched too far high up: the distribution pulls the median back there, not in the middle."""
    rng = np.random.default_rng(4)
    estimates = np.concatenate([rng.normal(4.1, 0.2, 2000), rng.normal(6.2, 0.2, 500)])
    labels = np.concatenate([estimates[:2000], estimates[2000:] - 0.8]) + rng.normal(0, 0.05, 2500)
    made = ConformalDistribution.fit(Pairs(estimates, np.full(2500, 0.3), labels), NORMAL, REGIONS)
    assert made.predict(6.2, 0.3).median() == pytest.approx(5.4, abs=0.05)
    assert made.predict(4.1, 0.3).median() == pytest.approx(4.1, abs=0.05)
    assert made.predict(2.0, 0.3).median() == pytest.approx(2.0, abs=0.05)  # no scores there: those of the middle
    assert made.predict(7.0, 0.3).median() == pytest.approx(6.2, abs=0.05)  # nor there: those from 5.3 on


@pytest.mark.parametrize("n_high", [5, 99, 150, 400])
def test_a_small_group_of_estimates_joins_its_neighbour_and_no_score_is_lost(n_high: int) -> None:
    rng = np.random.default_rng(8)
    estimates = np.concatenate([rng.uniform(3.2, 5.3, 900), rng.uniform(6.5, 8.0, n_high)])
    made = ConformalDistribution.fit(Pairs(estimates, np.ones(len(estimates)), estimates), NORMAL, REGIONS)
    kept = {name: len(scores) for name, scores in made.scores.items() if name != "all"}
    assert sum(kept.values()) == made.n
    assert min(kept.values()) >= 100
    name = "4" if n_high >= 100 else "3"
    np.testing.assert_array_equal(made.predict(7.0, 1.0).scores, made.scores[name])


def test_where_the_middle_itself_has_too_few_scores_those_of_all_are_used() -> None:
    """Low estimates and high ones, none between: those of the middle have no neighbour further in to join."""
    rng = np.random.default_rng(9)
    estimates = np.concatenate([rng.uniform(2.0, 2.4, 200), np.full(40, 4.1), rng.uniform(6.6, 8.0, 200)])
    made = ConformalDistribution.fit(Pairs(estimates, np.ones(440), estimates), NORMAL, REGIONS)
    assert {name: len(scores) for name, scores in made.scores.items()} == {"all": 440, "0": 200, "4": 200}
    assert len(made.predict(4.1, 1.0).values) == 440


@given(st.lists(st.floats(2, 9), min_size=1, max_size=60))
@settings(max_examples=50, deadline=None)
def test_the_median_is_the_middle(values: list[float]) -> None:
    assert Predictive(np.sort(values), UNKNOWN).median() == pytest.approx(np.median(values))


@pytest.mark.parametrize("estimate", [-4.0, 0.9, 12.3, 30.0])
def test_beyond_the_limits_the_median_stays_within_the_interval(estimate: float) -> None:
    predictive = Predictive(estimate + np.linspace(-0.1, 0.1, 99), UNKNOWN)
    interval = predictive.interval(0.9)
    assert interval.lower <= predictive.median() <= interval.upper


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_the_coverage_beside_the_interval_is_that_of_the_calibration_ecgs(level: float) -> None:
    rng = np.random.default_rng(2)
    labels = np.round(rng.normal(4.6, 0.8, 900), 1)
    estimates = 4.4 + 0.7 * (labels - 4.6) + rng.normal(0, 0.4, 900)
    made = ConformalDistribution.fit(Pairs(estimates, np.full(900, 0.4), labels), NORMAL, REGIONS)
    high = labels >= 5.45
    held = [
        (interval := made.predict(e, 0.4).interval(level)).lower - 1e-6 <= k <= interval.upper + 1e-6
        for e, k in zip(estimates[high], labels[high], strict=True)
    ]
    assert made.predict(4.0, 0.4).interval(level).coverage_at_least_5_5 == pytest.approx(np.mean(held), abs=1e-9)
    assert np.mean(held) < level


def test_without_a_high_label_the_coverage_of_high_labels_is_unknown() -> None:
    made = ConformalDistribution.fit(Pairs(np.full(50, 4.0), np.ones(50), np.linspace(3, 5, 50)), NORMAL, REGIONS)
    assert made.predict(4.0, 1.0).interval(0.9).coverage_at_least_5_5 is None


def test_no_answer_can_change_the_scores_that_all_share() -> None:
    made, *_ = fitted(300, 0)
    with pytest.raises(ValueError, match="read-only"):
        made.predict(4.2, 0.3).scores[0] = 9.0
