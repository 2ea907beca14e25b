"""Personal calibration: the best linear unbiased predictor, what it gains, and that the interval keeps its level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ecg_ka import BundleError, Estimator, UnusableRecord
from ecg_ka.uncertainty import (
    ConformalDistribution,
    Pairs,
    Predictive,
    QuantileCurves,
    Regions,
    VarianceComponents,
)
from tests.ecg_ka.ecgs import ecg
from tests.ecg_ka.test_estimator import altered

Floats = NDArray[np.float64]
MADE = VarianceComponents(intercept=1.5, slope=0.65, between=0.2, within=0.1, n_patients=500)


def patients(n: int, visits: int, seed: int) -> tuple[Floats, Floats]:
    """Estimates and potassium (n, visits) of patients who differ as MADE says."""
    rng = np.random.default_rng(seed)
    k = np.asarray(np.round(np.clip(4.3 + 0.7 * rng.standard_t(6, (n, visits)), 2, 9), 1), dtype=np.float64)
    offsets = rng.normal(0, MADE.between**0.5, (n, 1))
    return MADE.intercept + MADE.slope * k + offsets + rng.normal(0, MADE.within**0.5, (n, visits)), k


def test_the_components_of_simulated_patients_are_found_again_whatever_their_number_of_ecgs() -> None:
    y, k = patients(4000, 5, 0)
    who = np.repeat(np.arange(4000), 5).reshape(4000, 5)
    rng = np.random.default_rng(1)
    kept = rng.random((4000, 5)) < rng.uniform(0.3, 1, (4000, 1))
    found = VarianceComponents.fit(who[kept], y[kept], k[kept])
    assert found is not None
    assert found.intercept == pytest.approx(MADE.intercept, abs=0.08)
    assert found.slope == pytest.approx(MADE.slope, abs=0.02)
    assert found.between == pytest.approx(MADE.between, rel=0.08)
    assert found.within == pytest.approx(MADE.within, rel=0.05)
    assert found.n_patients == (kept.sum(axis=1) > 1).sum()


def test_one_ecg_a_patient_gives_no_components() -> None:
    y, k = patients(1000, 1, 0)
    assert VarianceComponents.fit(np.arange(1000), y[:, 0], k[:, 0]) is None


@pytest.mark.parametrize("n", [1, 2, 5])
def test_offset_and_sd_are_mean_and_sd_of_the_conditional_normal_distribution(n: int) -> None:
    """By the matrices of the joint distribution of b and the n residuals."""
    y, k = patients(1, n, 3)
    residuals = y[0] - MADE.intercept - MADE.slope * k[0]
    cov = np.full((n, n), MADE.between) + MADE.within * np.eye(n)
    gain = np.full(n, MADE.between) @ np.linalg.inv(cov)
    offset = MADE.offset(y[0].tolist(), k[0].tolist())
    assert offset.offset_mmol_l == pytest.approx(gain @ residuals)
    assert offset.sd_mmol_l**2 == pytest.approx(MADE.between - gain @ np.full(n, MADE.between))
    assert offset.n_pairs == n


def test_without_differences_between_patients_history_changes_nothing() -> None:
    same = replace(MADE, between=0.0)
    predictive = Predictive(np.sort(np.random.default_rng(0).normal(4.5, 0.6, 400)), np.empty(0, np.float32), 0.1)
    offset = same.offset([6.0, 6.2], [4.0, 4.1])
    assert (offset.offset_mmol_l, offset.sd_mmol_l) == (0.0, 0.0)
    sharpened = same.sharpen(predictive, 5.0, offset)
    np.testing.assert_allclose(sharpened.values, predictive.values, atol=1e-9)
    assert sharpened.p_at_least(5.0) == pytest.approx(predictive.p_at_least(5.0), abs=1 / 400)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_history_sharpens_the_interval_keeps_its_level_and_brings_the_median_nearer(n: int) -> None:
    y, k = patients(9000, 6, 4)
    curves = QuantileCurves.fit(Pairs(y[:2000, 0], np.ones(2000), k[:2000, 0]))
    calibrates = Pairs(y[2000:6000, 0], np.ones(4000), k[2000:6000, 0])
    distribution = ConformalDistribution.fit(calibrates, curves, Regions())
    held: list[bool] = []
    widths, errors = [], []
    for before, row in zip(y[6000:], k[6000:], strict=True):
        estimate, label = before[5], row[5]
        plain = distribution.predict(float(estimate), 1.0)
        personal = MADE.sharpen(
            plain, float(estimate), MADE.offset(before[5 - n : 5].tolist(), row[5 - n : 5].tolist())
        )
        interval, wide = personal.interval(0.9), plain.interval(0.9)
        held.append(bool(interval.lower - 1e-6 <= label <= interval.upper + 1e-6))
        widths.append((interval.upper - interval.lower) / (wide.upper - wide.lower))
        errors.append((abs(personal.median() - label), abs(plain.median() - label)))
    assert np.mean(held) == pytest.approx(0.9, abs=0.02)
    assert np.mean(widths) < {1: 0.95, 2: 0.92, 5: 0.88}[n]
    assert np.mean(errors, axis=0)[0] < 0.97 * np.mean(errors, axis=0)[1]


def test_earlier_pairs_change_the_answer_and_nothing_is_kept() -> None:
    estimator = Estimator.load()
    record, history = ecg(7, 6.2), [(ecg(7, 4.0), 4.0), (ecg(7, 4.4), 4.4)]
    before = estimator.estimate(record)
    personal = estimator.personalize(history)
    answer = estimator.estimate(record, personal=personal)
    assert answer.personal == personal
    assert answer.potassium_mmol_l == pytest.approx((before.potassium_mmol_l or 0) - personal.offset_mmol_l)
    assert answer.interval is not None
    assert answer.interval.lower <= (answer.median_mmol_l or 0) <= answer.interval.upper
    assert answer.interval.coverage_at_least_5_5 is None  # it was not measured with history
    again = estimator.estimate(record)
    assert replace(again, timing_ms=0.0) == replace(before, timing_ms=0.0)


def test_history_that_cannot_be_used_is_refused_with_the_reason() -> None:
    estimator = Estimator.load()
    flat = altered(ecg(1), np.zeros_like(ecg(1).signal_mv))
    with pytest.raises(UnusableRecord, match="Leave it out of the history"):
        estimator.personalize([(ecg(1), 4.0), (flat, 4.1)])
    for history in ([], [(ecg(1), 40.0)], [(ecg(1), float("nan"))]):
        with pytest.raises(ValueError, match=r"expected (at least one|values from 1 to 12)"):
            estimator.personalize(history)
    without = Estimator(replace(estimator.bundle, personal=None))
    with pytest.raises(BundleError, match=r"python -m training\.calibrate on a cohort with several ECGs a patient"):
        without.personalize([(ecg(1), 4.0)])
    with pytest.raises(BundleError, match=r"its own personalize\(\)"):
        without.estimate(ecg(1), personal=estimator.personalize([(ecg(1), 4.0)]))


def test_a_patients_ecgs_share_their_offset_in_the_shipped_bundle() -> None:
    """The simulator gives patients an anatomy of their own; were it lost between visits, this would fall to 0."""
    components = Estimator.load().bundle.personal
    assert components is not None
    assert 0.3 < components.between / (components.between + components.within) < 0.9
