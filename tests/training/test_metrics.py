"""Metrics against scipy and against direct formulas."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ecg_ka.uncertainty import Regions
from training.metrics import alarm_metrics, auroc, quantile_map, regression_metrics


@given(st.lists(st.integers(0, 6), min_size=2, max_size=40), st.lists(st.integers(0, 6), min_size=2, max_size=40))
@settings(max_examples=60, deadline=None)
def test_auroc_is_the_mann_whitney_statistic_also_with_ties(positive: list[int], negative: list[int]) -> None:
    scores = np.array([*positive, *negative], dtype=np.float64)
    is_positive = np.arange(len(scores)) < len(positive)
    u = stats.mannwhitneyu(positive, negative).statistic
    found = auroc(is_positive, scores)
    assert found.value == pytest.approx(u / (len(positive) * len(negative)))
    assert found.lower <= found.value <= found.upper


def test_the_interval_of_delong_covers_as_often_as_it_says() -> None:
    truth = float(stats.norm.cdf(1 / np.sqrt(2)))
    hits = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        is_positive = np.arange(400) < 80
        found = auroc(is_positive, rng.normal(size=400) + is_positive)
        hits.append(found.lower <= truth <= found.upper)
    assert 0.92 <= np.mean(hits) <= 0.98


def test_one_class_alone_has_no_auroc() -> None:
    assert np.isnan(auroc(np.zeros(5, dtype=np.bool_), np.arange(5.0)).value)


def test_regression_metrics_by_hand() -> None:
    labels = np.array([2.5, 3.4, 4.0, 4.0, 5.0, 6.0])
    estimates = labels + np.array([0.6, 0.2, 0.1, -0.1, -0.4, -1.0])
    m = regression_metrics(labels, estimates, Regions())
    assert m["mae"] == pytest.approx(2.4 / 6)
    assert m["mae_many"] == pytest.approx(0.1)
    assert m["mae_median"] == pytest.approx(0.3)
    assert m["mae_few"] == pytest.approx(0.8)
    assert (m["mae_few_low"], m["mae_few_high"]) == (pytest.approx(0.6), pytest.approx(1.0))
    assert m["balanced_mae"] == pytest.approx((0.6 + 0.2 + 0.1 + 0.4 + 1.0) / 5)
    assert m["bias"] == pytest.approx(-0.1)
    assert m["wasserstein"] == pytest.approx(stats.wasserstein_distance(labels, estimates))


def test_a_constant_predictor_is_seen_for_what_it_is() -> None:
    labels = np.random.default_rng(0).normal(4.2, 0.6, 500)
    m = regression_metrics(labels, np.full(500, np.median(labels)), Regions())
    assert m["mae"] == m["mae_of_the_median"]
    assert m["r"] == 0.0
    assert m["sd_estimates"] == pytest.approx(0.0, abs=1e-12)


def test_alarms_count_labels_at_the_threshold() -> None:
    labels = np.array([3.0, 3.4, 3.5, 4.0, 5.4, 5.5, 5.6, 6.0])
    found = alarm_metrics(labels, labels)
    assert {key: value["n_positive"] for key, value in found.items()} == {
        ">=5.5": 3, ">=6.0": 1, ">=6.5": 0, "<3.5": 2, "<3.0": 0,
    }  # fmt: skip
    assert found[">=5.5"]["value"] == found["<3.5"]["value"] == 1.0


def test_quantile_mapping_is_monotone_and_gives_the_distribution_of_the_labels() -> None:
    rng = np.random.default_rng(1)
    labels, estimates = rng.gamma(4, 1, 4000), rng.normal(0, 1, 4000)
    mapped = quantile_map(estimates, estimates, labels)
    assert stats.wasserstein_distance(mapped, labels) < 0.02
    assert (np.diff(mapped[np.argsort(estimates)]) >= 0).all()
