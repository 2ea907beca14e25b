"""Metrics against scipy and against direct formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from ecg_ka.losses import CountRegions, LabelBins
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
    assert m["gm"] == pytest.approx(stats.gmean(np.abs(estimates - labels) + 1e-3))
    assert m["gm_few"] == pytest.approx(np.sqrt(0.601 * 1.001))
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


def shots_by_yang(train: NDArray[np.float64], labels: NDArray[np.float64], errors: NDArray[np.float64]) -> list[float]:
    """Mean absolute error of many-, median- and few-shot labels: the definition, label by label."""
    shots: dict[str, list[float]] = {"many": [], "median": [], "few": []}
    for age in np.unique(labels):
        n = int(np.sum(train == age))
        shots["many" if n > 100 else "few" if n < 20 else "median"] += list(np.abs(errors[labels == age]))
    return [float(np.mean(shots[name])) for name in ("many", "median", "few")]


def check_shots(train: NDArray[np.float64], test: NDArray[np.float64]) -> CountRegions:
    regions = CountRegions(bins=LabelBins.from_labels(train, width=1))
    estimates = test + np.random.default_rng(0).normal(0, 8, len(test))
    metrics = regression_metrics(test, estimates, regions)
    got = [float(str(metrics[f"mae_{name}"])) for name in ("many", "median", "few")]
    np.testing.assert_allclose(got, shots_by_yang(train, test, estimates - test), rtol=1e-12)
    by_age = [np.abs(estimates - test)[test == age].mean() for age in np.unique(test)]
    assert metrics["balanced_mae"] == pytest.approx(np.mean(by_age))
    return regions


def test_shot_metrics_of_integer_labels_are_those_of_yang() -> None:
    rng = np.random.default_rng(1)
    train, test = (np.rint(rng.gamma(9, 4, n)).clip(0, 101) for n in (6000, 900))
    check_shots(train, test)


@pytest.mark.shared
def test_shots_of_agedb(shared_data: Path) -> None:
    rows = [line.split(",") for line in (shared_data / "agedb" / "labels.csv").read_text().split()[1:]]
    train, test = (np.array([float(age) for age, split in rows if split == name]) for name in ("train", "test"))
    groups = check_shots(train, test).group(test)
    counts = [int(np.isin(groups, members).sum()) for members in ((2,), (1, 3), (0, 4))]
    assert counts == [1530, 448, 162]
