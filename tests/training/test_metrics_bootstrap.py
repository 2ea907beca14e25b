"""Intervals hold as often as they say, and patients stay whole."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from training.metrics_bootstrap import bootstrap, mean_of, patient_counts, share


def test_resampling_ecgs_would_be_too_sure_and_resampling_patients_is_not() -> None:
    """60 patients with 5 ECGs each that hardly differ within a patient; the mean of all is 0."""
    patients, hits, widths = np.repeat(np.arange(60), 5), [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        values = rng.normal(size=60)[patients] + 0.1 * rng.normal(size=300)
        (by_patient,) = bootstrap(mean_of(values[:, None]), patients, 400)
        (by_ecg,) = bootstrap(mean_of(values[:, None]), np.arange(300), 400)
        hits.append((by_patient.lower <= 0 <= by_patient.upper, by_ecg.lower <= 0 <= by_ecg.upper))
        widths.append(by_patient.upper - by_patient.lower)
    covered = np.mean(hits, axis=0)
    assert 0.90 <= covered[0] <= 0.98
    assert covered[1] < 0.75
    assert np.mean(widths) == pytest.approx(2 * 1.96 / np.sqrt(60), rel=0.1)


def test_ecgs_of_a_patient_come_and_go_together() -> None:
    seen: list[NDArray[np.float64]] = []

    def remembered(counts: NDArray[np.float64]) -> NDArray[np.float64]:
        seen.append(counts)
        return counts[:, :1]

    bootstrap(remembered, np.array([7, 3, 7, 3, 3]), 50)
    for counts in seen:
        np.testing.assert_array_equal(counts[:, 0], counts[:, 2])
        np.testing.assert_array_equal(counts[:, 1], counts[:, 3])
    assert {tuple(row) for row in seen[1][:, :2]} <= {(0, 2), (1, 1), (2, 0)}


def test_a_resample_has_as_many_patients_and_the_seed_repeats() -> None:
    one, other = (patient_counts(20, 9, np.random.default_rng(4)) for _ in range(2))
    assert (one.sum(axis=1) == 20).all()
    np.testing.assert_array_equal(one, other)
    values = np.random.default_rng(0).normal(size=(30, 2))
    assert bootstrap(mean_of(values), np.arange(30), 200) == bootstrap(mean_of(values), np.arange(30), 200)


def test_large_cohorts_are_resampled_in_chunks_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=(50, 1))
    whole = bootstrap(mean_of(values), np.arange(50), 300)
    monkeypatch.setattr("training.metrics_bootstrap._CHUNK", 350)
    assert bootstrap(mean_of(values), np.arange(50), 300) == whole


def test_resamples_that_all_agree_or_say_nothing_give_no_interval() -> None:
    (same,) = bootstrap(mean_of(np.ones((40, 1))), np.arange(40), 200)
    assert same.value == 1
    assert np.isnan([same.lower, same.upper]).all()
    assert np.isnan(bootstrap(mean_of(np.empty((0, 1))), np.empty(0, np.int64), 100)[0]).all()


@pytest.mark.parametrize(("n_yes", "n"), [(0, 9), (3, 40), (40, 40), (499, 1000)])
def test_the_interval_of_a_share_is_wilsons(n_yes: int, n: int) -> None:
    expected = stats.binomtest(n_yes, n).proportion_ci(0.95, method="wilson")
    found = share(n_yes, n)
    assert list(found) == pytest.approx([n_yes / n, expected.low, expected.high], abs=1e-12)
    assert np.isnan(share(0, 0)).all()
