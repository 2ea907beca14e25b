"""What holds for each kind of true value: label-conditional interval and bands, and the operating points of alarms."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from ecg_ka.estimate import (
    BANDS_ALPHA,
    BANDS_SENTENCE,
    FALSE_ALARM_SHARE,
    SEVERE_SENTENCE,
    Band,
    Category,
    SevereBand,
)
from ecg_ka.estimator import THRESHOLDS
from ecg_ka.uncertainty import (
    Calibration,
    LabelConditional,
    OperatingPoints,
    Pairs,
    Predictive,
    QuantileCurves,
    Regions,
    band_index,
)
from ecg_ka.uncertainty.label_conditional import band_distances, in_severe, least_calibration, severe_distances
from ecg_ka.uncertainty.scores import quantile
from tests.ecg_ka.test_curves import NORMAL

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import crepes

Floats = NDArray[np.float64]
Ecgs = tuple[Floats, Floats, Floats]
"""Estimates, spreads and labels (n,) each."""
Held = tuple[int, NDArray[np.bool_], float]

REGIONS = Regions()
GROUPS = range(5)


def drawn(n: int, seed: int) -> Ecgs:
    """ECGs of a model that pulls to the middle and errs more where few data are, as real ones do."""
    rng = np.random.default_rng(seed)
    labels = np.asarray(np.round(np.clip(4.3 + 0.8 * rng.standard_t(4, n), 1.5, 11.5), 1), dtype=np.float64)
    spreads = rng.uniform(0.25, 0.8, n) * (1 + 0.3 * np.abs(labels - 4.3))
    return 4.3 + 0.6 * (labels - 4.3) + spreads * rng.standard_t(5, n) * 0.7, spreads, labels


CALIBRATION = drawn(4000, 0)
CURVES = QuantileCurves.fit(Pairs(*drawn(4000, 90)))
MADE = Calibration.fit(Pairs(*CALIBRATION), CURVES, REGIONS)
BY_LABEL = MADE.label_conditional


@given(st.lists(st.floats(0, 5, width=32), max_size=60), st.floats(0.05, 0.99))
def test_the_quantile_is_the_exact_order_statistic(scores: list[float], level: float) -> None:
    rank = math.ceil(level * (len(scores) + 1) - 1e-9)
    expected = sorted(scores)[rank - 1] if rank <= len(scores) else math.inf
    assert quantile(np.sort(np.array(scores, dtype=np.float32)), level) == expected


@pytest.mark.parametrize(("n", "level"), [(19, 0.9), (40, 0.9), (99, 0.95), (250, 0.8)])
def test_coverage_over_1000_random_splits_is_beta_binomial(n: int, level: float) -> None:
    """The coverage of one split on 200 further ECGs follows the beta-binomial of its order statistic: the mean is the
    exact one, and no more splits than it allows lie outside of its 99 % limits (Vovk 2012, Angelopoulos & Bates)."""
    rank, m, rng = math.ceil(level * (n + 1) - 1e-9), 200, np.random.default_rng(n)
    errors = np.abs(rng.standard_t(3, (1000, n + m))).astype(np.float32)
    radii = np.array([quantile(np.sort(row[:n]), level) for row in errors])
    covered = (errors[:, n:] <= radii[:, None]).sum(axis=1)
    expected = stats.betabinom(m, rank, n + 1 - rank)
    assert covered.mean() == pytest.approx(expected.mean(), abs=4 * expected.std() / math.sqrt(1000))
    assert expected.mean() / m >= level
    assert np.mean((covered < expected.ppf(0.005)) | (covered > expected.ppf(0.995))) <= 0.02


def test_over_50_draws_interval_and_bands_hold_in_every_true_region_and_band() -> None:
    """Calibration split and further ECGs drawn anew: the mean coverage is at least the level, but for 3 standard errors
    of the 50 draws, that of the bands exactly what their ranks give, and single draws lie below the 99 % limits of the
    beta-binomial no more often than those allow."""
    shares, promised, too_low = [], [], []
    for seed in range(50):
        made = Calibration.fit(Pairs(*drawn(2000, 2 * seed + 100)), CURVES, REGIONS).label_conditional
        found = _held(made, *drawn(4000, 2 * seed + 101))
        shares.append([kept.mean() for _, kept, _ in found])
        promised.append([math.ceil(level * (n + 1) - 1e-9) / (n + 1) for n, _, level in found])
        too_low += [kept.sum() < _least(n, len(kept), level) for n, kept, level in found]
    error = np.std(shares, axis=0) / math.sqrt(50)
    assert (np.mean(shares, axis=0) >= np.array([0.9] * 5 + [0.95] * 6) - 3 * error).all()
    assert error[:8].max() < 0.005
    assert error[8:].max() < 0.006  # the severe bands, of which there are fewer ECGs
    assert (np.abs(np.mean(shares, axis=0) - np.mean(promised, axis=0))[5:] <= 3 * error[5:]).all()
    assert np.mean(too_low) <= 0.01


def _held(made: LabelConditional, estimates: Floats, spreads: Floats, labels: Floats) -> list[Held]:
    """For each true region and then each true band of ECGs: how many calibrated it, which ECGs are held, the level."""
    groups, bands = REGIONS.group(labels), band_index(labels)
    intervals = [made.interval(float(e), 0.9) for e in estimates]
    ends = np.array([(i.lower - 1e-6, i.upper + 1e-6) for i in intervals])
    inside = (ends[:, 0] <= labels) & (labels <= ends[:, 1])
    limits = np.array([quantile(made.distances[band], 1 - BANDS_ALPHA) for band in Band])
    kept = band_distances(estimates, spreads) <= limits
    severe_limits = np.array([quantile(made.severe[band], 1 - BANDS_ALPHA) for band in SevereBand])
    severe, lies_in = severe_distances(estimates, spreads) <= severe_limits, in_severe(labels)
    return [
        *((len(made.errors[g]), inside[groups == g], 0.9) for g in GROUPS),
        *((len(made.distances[band]), kept[bands == b, b], 1 - BANDS_ALPHA) for b, band in enumerate(Band)),
        *((len(made.severe[s]), severe[lies_in[:, b], b], 1 - BANDS_ALPHA) for b, s in enumerate(SevereBand)),
    ]


def test_every_set_holds_a_band_and_few_hold_all() -> None:
    estimates, spreads, _ = drawn(2000, 1)
    sizes = [len(BY_LABEL.bands(*pair)) for pair in zip(estimates, spreads, strict=True)]
    assert min(sizes) >= 1
    assert np.mean(sizes) < 2.6


def _least(n: int, m: int, level: float) -> float:
    rank = math.ceil(level * (n + 1) - 1e-9)
    return float(stats.betabinom(m, rank, n + 1 - rank).ppf(0.005))


def test_the_marginal_interval_misses_the_high_values_that_the_other_holds() -> None:
    """Both say so themselves, as measured on other ECGs."""
    estimates, spreads, labels = drawn(8000, 2)
    high = labels >= 5.45
    pairs = list(zip(estimates[high], spreads[high], labels[high], strict=True))
    marginal = [MADE.distribution.predict(e, s).interval(0.9) for e, s, _ in pairs]
    by_label = [BY_LABEL.interval(e, 0.9) for e, *_ in pairs]
    shares = [
        np.mean([i.lower - 1e-6 <= k <= i.upper + 1e-6 for i, (*_, k) in zip(found, pairs, strict=True)])
        for found in (marginal, by_label)
    ]
    for share, (first, *_) in zip(shares, (marginal, by_label), strict=True):
        assert share == pytest.approx(first.coverage_at_least_5_5, abs=0.06)
    assert shares[0] < 0.83 < 0.86 < shares[1]


@given(st.floats(0.5, 13), st.floats(0.05, 2))
@settings(max_examples=200, deadline=None)
def test_sets_grow_as_alpha_shrinks_and_hold_the_estimate(estimate: float, spread: float) -> None:
    alphas = (0.5, 0.3, 0.1, 0.05, 0.01, 0.0001)
    intervals = [BY_LABEL.interval(estimate, 1 - alpha) for alpha in alphas]
    for narrow, wide in pairwise(intervals):
        assert wide.lower <= narrow.lower <= min(max(estimate, 1.0), 12.0) <= narrow.upper <= wide.upper
    bands = [set(BY_LABEL.bands(estimate, spread, alpha)) for alpha in alphas]
    assert list(Band)[int(band_index(estimate - 2e-6))] in bands[0]
    assert all(few <= many for few, many in pairwise(bands))
    assert bands[-1] == set(Band)


@given(st.floats(1.5, 9), st.sampled_from([0.6, 0.8, 0.9]))
@settings(max_examples=100, deadline=None)
def test_the_interval_is_the_hull_of_the_values_within_the_quantile_of_their_own_region(k: float, level: float) -> None:
    """No value that is kept lies outside, and both ends are limits of values that are kept."""
    radii = np.array([quantile(errors, level) for errors in BY_LABEL.errors])
    values = np.arange(1.0, 12.0001, 0.001)
    kept = values[np.abs(values - k) <= radii[REGIONS.group(values)]]
    interval = BY_LABEL.interval(k, level)
    assert interval.lower - 1e-6 <= kept.min() <= kept.max() <= interval.upper + 1e-6
    for end in (interval.lower, interval.upper):
        beside = end + np.array([-3e-6, 0.0, 3e-6])
        assert (np.abs(beside - k) <= radii[REGIONS.group(beside)] + 1e-5).any()


@pytest.mark.parametrize("n", [0, 5, 18, 19, 40])
@pytest.mark.parametrize("band", Band)
def test_a_band_with_too_few_calibration_ecgs_is_in_every_set(n: int, band: Band) -> None:
    """Fewer than ceil(1 / alpha) - 1 = 19 at alpha .05."""
    few = replace(BY_LABEL, distances={**BY_LABEL.distances, band: np.zeros(n, dtype=np.float32)})
    far = {Band.BELOW_3_5: 9.0, Band.FROM_3_5_TO_5_4: 9.0, Band.FROM_5_5: 2.0}[band]
    assert (band in few.bands(far, 0.01)) == (n < math.ceil(1 / BANDS_ALPHA) - 1)


@pytest.mark.parametrize("n", [0, 18, 19, 40])
@pytest.mark.parametrize("band", SevereBand)
def test_a_severe_band_with_too_few_calibration_ecgs_is_in_every_set_and_said_to_be(n: int, band: SevereBand) -> None:
    few = replace(BY_LABEL, severe={**BY_LABEL.severe, band: np.zeros(n, dtype=np.float32)})
    far = 9.0 if band is SevereBand.BELOW_3_0 else 2.0
    assert (band in few.severe_bands(far, 0.01)) == (n < least_calibration())
    assert few.always_kept() == ({band: n} if n < 19 else {})


@pytest.mark.parametrize(
    ("k", "inside"), [(2.9, "100"), (3.0, "000"), (5.9, "000"), (6.0, "010"), (6.4, "010"), (0.1 * 65, "011")]
)
def test_severe_band_edges(k: float, inside: str) -> None:
    """An ECG inside of a band is at no distance from it, whichever side it came from."""
    assert "".join(str(int(i)) for i in in_severe(k)) == inside
    assert (severe_distances(k, 0.3)[in_severe(k)] < 1e-5).all()
    assert (severe_distances(k, 0.3)[~in_severe(k)] >= 0).all()


def test_a_region_with_too_few_calibration_ecgs_is_whole_in_every_interval() -> None:
    few = replace(BY_LABEL, errors=(*BY_LABEL.errors[:4], BY_LABEL.errors[4][:5]))
    assert few.interval(3.0, 0.9).upper == 12.0


@pytest.mark.parametrize(
    ("k", "band"), [(3.4, 0), (3.5, 1), (0.1 * 35, 1), (5.4, 1), (5.5, 2), (0.1 * 55, 2), (float(np.float32(5.4)), 1)]
)
def test_band_edges(k: float, band: int) -> None:
    assert int(band_index(k)) == band


def test_the_sentence_of_the_bands_is_the_alpha_that_they_are_made_with() -> None:
    assert BANDS_SENTENCE == "Of ECGs with K >= 5.5, at most 5 % get an answer without this band."
    assert BANDS_ALPHA == 0.05
    assert SEVERE_SENTENCE.startswith("Of ECGs with K < 3.0, at most 5 % get an answer without that band;")


def test_of_other_ecgs_no_more_than_stated_give_a_false_alarm() -> None:
    estimates, spreads, labels = drawn(6000, 3)
    found = np.array(
        [
            MADE.operating_points.category(MADE.distribution.predict(e, s).probabilities(THRESHOLDS))
            for e, s in zip(estimates, spreads, strict=True)
        ]
    )
    for alarm, negative in ((Category.ALARM_5_5_AND_ABOVE, labels < 5.45), (Category.ALARM_BELOW_3_5, labels > 3.45)):
        assert np.mean(found[negative] == alarm) <= FALSE_ALARM_SHARE + 0.015
        assert np.mean(found[~negative] == alarm) > 0.4


def test_an_operating_point_is_the_exact_quantile_of_the_ecgs_on_the_other_side() -> None:
    """In the calibration split just under the stated share of them exceeds it, but for equal probabilities."""
    estimates, spreads, labels = CALIBRATION
    predicted = [MADE.distribution.predict(e, s) for e, s in zip(estimates, spreads, strict=True)]
    points = MADE.operating_points
    for threshold, comparator, negative, point in (
        (5.5, ">=", labels < 5.45, points.at_least_5_5),
        (3.5, "<", labels > 3.45, points.below_3_5),
    ):
        p = np.array([one.probabilities(((comparator, threshold),))[0].p for one in predicted])[negative]
        assert (p > point).mean() <= FALSE_ALARM_SHARE
        assert (p >= point).mean() >= FALSE_ALARM_SHARE - 1 / len(p)


@pytest.mark.parametrize(
    ("values", "category"),
    [
        ([4.0, 4.1, 4.2, 4.3], Category.NO_ALARM),
        ([4.0, 4.1, 5.6, 5.7], Category.ALARM_5_5_AND_ABOVE),
        ([3.0, 3.1, 3.2, 4.0], Category.ALARM_BELOW_3_5),
        ([3.0, 3.1, 5.6, 5.7], Category.ALARM_5_5_AND_ABOVE),
    ],
)
def test_the_category_comes_from_the_probabilities_alone(values: list[float], category: Category) -> None:
    points = OperatingPoints(at_least_5_5=0.3, below_3_5=0.3)
    assert points.category(Predictive(np.array(values), np.empty(0, np.float32)).probabilities(THRESHOLDS)) is category


def test_a_probability_at_its_operating_point_is_no_alarm() -> None:
    """Calibration ECGs that share it would else count as false alarms."""
    high, low = (Predictive(np.array(v), np.empty(0, np.float32)) for v in ([4.0, 4.1, 5.6, 5.7], [3.0, 3.1, 4.0, 4.1]))
    points = OperatingPoints(at_least_5_5=high.p_at_least(5.5), below_3_5=1 - low.p_at_least(3.5))
    assert {points.category(one.probabilities(THRESHOLDS)) for one in (high, low)} == {Category.NO_ALARM}


def test_without_ecgs_to_fix_an_operating_point_there_is_no_alarm() -> None:
    estimates, spreads, labels = CALIBRATION
    few = Calibration.fit(Pairs(estimates[:5], spreads[:5], labels[:5]), CURVES, REGIONS)
    assert few.operating_points == OperatingPoints(at_least_5_5=1.0, below_3_5=1.0)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("group", GROUPS)
def test_radii_equal_those_of_crepes(group: int, level: float) -> None:
    """Absolute errors by true region."""
    estimates, _, labels = CALIBRATION
    own = REGIONS.group(labels) == group
    peer = crepes.ConformalRegressor().fit(residuals=(labels - estimates)[own])
    (low, high), *_ = peer.predict_int(y_hat=np.array([4.0]), confidence=level)
    radius = quantile(BY_LABEL.errors[group], level)
    assert (4.0 - radius, 4.0 + radius) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize("level", [0.81, 0.91, 0.95])
@pytest.mark.parametrize("curves", [NORMAL, CURVES], ids=["normal", "fitted"])
def test_marginal_intervals_and_probabilities_equal_those_of_crepes(curves: QuantileCurves, level: float) -> None:
    """The predictive system by predicted region, each a bin of its own, of the scores: with the curves of the normal
    distribution these are the errors in spreads, as crepes would make them. Levels at which no rank is a whole number:
    there crepes rounds 0.1 (n + 1) down by one rank. It draws where values are equal: probabilities may differ by a
    step. Labels are rounded to 0.1: P(K >= 5.5) of a recorded value is what crepes gives at 5.45."""
    estimates, spreads, labels = CALIBRATION
    made = Calibration.fit(Pairs(*CALIBRATION), curves, REGIONS).distribution
    bins = np.array([int(made.name(float(e))) for e in estimates])
    scores = curves.scores(Pairs(*CALIBRATION)).astype(np.float64)
    if curves is NORMAL:
        np.testing.assert_allclose(scores, (labels - estimates) / spreads, atol=1e-5)
    system = crepes.ConformalPredictiveSystem().fit(residuals=scores, sigmas=np.ones(len(scores)), bins=bins)
    assert len(set(bins)) == 5
    for bin_ in sorted(set(bins)):
        k = float(np.median(estimates[bins == bin_]))
        new = {"y_hat": np.zeros(1), "sigmas": np.ones(1), "bins": np.array([bin_])}
        ends, *_ = system.predict_int(**new, confidence=level)
        low, high = curves.at(k, 0.4).value(ends)
        found = made.predict(k, 0.4)
        interval = found.interval(level)
        assert (interval.lower, interval.upper) == pytest.approx((max(low, 1), min(high, 12)), abs=1e-6)
        below = float(np.ravel(system.predict_p(**new, y=np.ravel(curves.at(k, 0.4).score(5.45))))[0])
        assert 1 - found.p_at_least(5.5) == pytest.approx(below, abs=1 / (bins == bin_).sum())


def test_bands_equal_the_class_conditional_sets_of_crepes() -> None:
    estimates, spreads, labels = CALIBRATION
    bands = band_index(labels)
    distances = band_distances(estimates, spreads).astype(np.float32)
    peer = crepes.ConformalClassifier().fit(alphas=distances[np.arange(len(bands)), bands], bins=bands)
    new_estimates, new_spreads, _ = drawn(300, 9)
    new = band_distances(new_estimates, new_spreads)
    expected = np.column_stack(
        [
            peer.predict_set(alphas=new[:, [b]], bins=np.full(300, b), confidence=1 - BANDS_ALPHA, smoothing=False)
            for b in range(3)
        ]
    )
    found = [[b in BY_LABEL.bands(*pair) for b in Band] for pair in zip(new_estimates, new_spreads, strict=True)]
    np.testing.assert_array_equal(np.array(found), expected.astype(bool))
    assert 0 < np.mean(found) < 1
