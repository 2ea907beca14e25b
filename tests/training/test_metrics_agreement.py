"""Agreement, coverage and risk against direct formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics_agreement import agreement, coverage, risk_coverage, slope, spread_ratio

RNG = np.random.default_rng(5)
LABELS = RNG.normal(4.2, 0.6, 3000)


def test_bland_altman_by_hand() -> None:
    estimates = LABELS + 0.2 + RNG.normal(0, 0.3, 3000)
    found = agreement(LABELS, estimates)
    difference = estimates - LABELS
    assert found.bias.value == pytest.approx(difference.mean())
    assert found.upper_limit.value - found.lower_limit.value == pytest.approx(2 * 1.96 * difference.std(ddof=1))
    assert np.mean((difference > found.lower_limit.value) & (difference < found.upper_limit.value)) > 0.93
    assert found.slope_on_label.lower < 0 < found.slope_on_label.upper
    mean = (estimates + LABELS) / 2
    assert found.slope_on_mean.value == pytest.approx(np.polyfit(mean, difference, 1)[0])


def test_the_slopes_tell_a_shrunken_estimate_from_a_wide_one() -> None:
    noise = RNG.normal(0, 0.4, 3000)
    shrunk = agreement(LABELS, 4.2 + 0.3 * (LABELS - 4.2))
    assert shrunk.slope_on_label.value == pytest.approx(-0.7)
    same_spread = 4.2 + (LABELS - 4.2 + noise) * LABELS.std() / (LABELS + noise).std()
    found = agreement(LABELS, same_spread)
    assert found.slope_on_mean.value == pytest.approx(0, abs=1e-9)
    assert found.slope_on_label.upper < 0
    assert np.isnan(slope(np.ones(5), np.arange(5.0))).all()


def test_the_spread_ratio_is_that_of_the_sds() -> None:
    estimates = LABELS * 0.5 + RNG.normal(0, 0.1, 3000)
    counts = RNG.integers(0, 3, (1, 3000)).astype(np.float64)
    kept = np.repeat(np.arange(3000), counts[0].astype(int))
    expected = estimates[kept].std() / LABELS[kept].std()
    assert spread_ratio(LABELS, estimates)(counts)[0, 0] == pytest.approx(expected)


def test_coverage_counts_both_ends() -> None:
    ends = np.array([[3.0, 4.0], [4.0, 5.0], [4.1, 5.0]])
    found = coverage(np.array([4.0, 4.0, 4.0]), ends)
    assert found.n == 3
    assert found.coverage.value == pytest.approx(2 / 3)
    assert found.mean_width == pytest.approx(2.9 / 3)
    assert np.isnan(coverage(np.empty(0), np.empty((0, 2))).mean_width)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=30))
def test_all_answers_kept_have_the_mean_error_and_ties_have_no_order(rows: list[tuple[int, int]]) -> None:
    errors, doubts = np.array(rows, dtype=np.float64).T
    shares = np.array([0.25, 0.5, 1.0])
    found = risk_coverage(errors, doubts, shares)
    assert found[-1] == pytest.approx(errors.mean())
    turned = np.lexsort((-errors, doubts))
    np.testing.assert_allclose(risk_coverage(errors[turned], doubts[turned], shares), found)


def test_doubt_that_knows_the_error_keeps_the_small_ones() -> None:
    errors = np.arange(10.0)
    np.testing.assert_allclose(risk_coverage(errors, errors, np.array([0.3, 1.0])), [1.0, 4.5])
