"""The distribution of the labels: quantiles against numpy, densities against integrals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate, stats

from ecg_ka.losses import LabelDistribution
from tests.ecg_ka.labels import LABELS

PRIOR = LabelDistribution.from_labels(LABELS)
KDE = LabelDistribution.kde(LABELS, bandwidth=0.1)


@given(st.lists(st.integers(18, 90), min_size=1, max_size=200), st.integers(1, 50))
@settings(max_examples=80, deadline=None)
def test_targets_are_the_quantiles_of_numpy(tenths: list[int], n: int) -> None:
    labels = np.array(tenths) / 10
    prior = LabelDistribution.from_labels(labels)
    expected = np.quantile(labels, (np.arange(1, n + 1) - 0.5) / n)
    np.testing.assert_allclose(prior.targets(n), expected, rtol=1e-12)
    np.testing.assert_allclose(prior.quantile([0, 0.5, 1]), [labels.min(), np.median(labels), labels.max()], rtol=1e-12)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=60), st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(max_examples=80, deadline=None)
def test_quantiles_of_any_labels_are_those_of_numpy(labels: list[float], u: list[float]) -> None:
    np.testing.assert_allclose(LabelDistribution.from_labels(labels).quantile(u), np.quantile(labels, u), atol=1e-9)


@pytest.mark.parametrize(
    "made",
    [
        PRIOR,
        KDE,
        PRIOR.tempered(0.5),
        KDE.tempered(0.5),
        PRIOR.tempered(1.5),
        LabelDistribution.kde(LABELS, bandwidth=0.3, bounds=(-np.inf, np.inf)),
        LabelDistribution.from_labels(np.random.default_rng(0).normal(size=500)),
    ],
)
def test_the_density_integrates_to_one_and_is_the_slope_of_the_probabilities(made: LabelDistribution) -> None:
    low, high = made.labels[0] - 1, made.labels[-1] + 1
    y = np.linspace(low, high, 200_001)
    assert integrate.trapezoid(made.density(y), y) == pytest.approx(1, abs=2e-3)
    a, b = made.quantile([0.1, 0.9])
    inside = y[(y > a) & (y < b)]
    assert integrate.trapezoid(made.density(inside), inside) == pytest.approx(0.8, abs=0.1)


def test_the_density_of_recorded_labels_is_their_histogram() -> None:
    y = np.array([3.9, 4.16, 4.24, 0.0, 99.0])
    expected = [np.sum(np.isclose(LABELS, bin_)) / len(LABELS) / 0.1 for bin_ in (3.9, 4.2, 4.2, 0.0, 99.0)]
    np.testing.assert_allclose(PRIOR.density(y), expected, rtol=1e-3)
    with pytest.raises(ValueError, match="no density"):
        LabelDistribution.from_labels([4.0, 4.0]).density(4.0)


def reflected(y: NDArray[np.float64], h: float, low: float, high: float) -> NDArray[np.float64]:
    """Mean of kernels and of their mirror images at both bounds."""
    centres = np.concatenate([LABELS, 2 * low - LABELS, 2 * high - LABELS])
    return np.asarray(stats.norm.pdf(y[:, None], centres, h).sum(axis=1) / len(LABELS))


def test_a_kde_reflects_at_its_bounds() -> None:
    low, high = LABELS.min(), LABELS.max()
    y = np.linspace(low, high, 50)
    np.testing.assert_allclose(KDE.density(y), reflected(y, 0.1, low, high), rtol=0.02, atol=1e-3)
    assert KDE.quantile([0, 1]).tolist() == [low, high]
    cdf = integrate.cumulative_trapezoid(reflected(np.linspace(low, 5, 801), 0.1, low, high), dx=(5 - low) / 800)
    u = cdf[[199, 399, 599, 799]]
    np.testing.assert_allclose(KDE.quantile(u), low + (5 - low) * np.array([1, 2, 3, 4]) / 4, atol=2e-3)


def test_a_free_kde_is_the_one_of_scipy() -> None:
    h = 0.25
    made = LabelDistribution.kde(LABELS, bandwidth=h, bounds=(-np.inf, np.inf))
    oracle = stats.gaussian_kde(LABELS, bw_method=h / LABELS.std(ddof=1))
    y = np.linspace(2, 8, 60)
    np.testing.assert_allclose(made.density(y), oracle(y), rtol=0.02, atol=1e-3)
    spread = made.targets(4000).std()
    assert spread == pytest.approx(np.sqrt(LABELS.var() + h**2), rel=0.01)  # the price of a KDE: it widens


def test_a_kde_of_far_islands_has_nothing_between_them() -> None:
    made = LabelDistribution.kde(np.repeat([1.0, 2.0, 9.0], 1000), bandwidth=0.05, bounds=(-np.inf, np.inf))
    assert made.density(5.0) < 1e-9
    np.testing.assert_allclose(made.quantile([1 / 6, 1 / 2, 5 / 6]), [1, 2, 9], atol=1e-3)


@pytest.mark.parametrize(("bandwidth", "bounds"), [(0.0, None), (-1.0, None), (0.1, (4.0, 9.0))])
def test_a_kde_that_makes_no_sense_is_refused(bandwidth: float, bounds: tuple[float, float] | None) -> None:
    with pytest.raises(ValueError, match="bandwidth"):
        LabelDistribution.kde(LABELS, bandwidth=bandwidth, bounds=bounds)


@pytest.mark.parametrize("made", [PRIOR, KDE])
def test_tempering_is_a_power_of_the_density(made: LabelDistribution) -> None:
    """Against the definition p^tau / integral of p^tau, on the cells of recorded labels and on a KDE."""
    bins = np.round(np.arange(3.4, 5.0, 0.1), 1)
    for power in (0.5, 0.8, 1.3):
        ratio = made.tempered(power).density(bins) / made.density(bins) ** power
        np.testing.assert_allclose(ratio, ratio[0], rtol=0.05)
    same = made.tempered(1.0)
    np.testing.assert_allclose(same.targets(500), made.targets(500), atol=1e-9)


def test_tempering_makes_the_ends_more_common() -> None:
    wide = PRIOR.tempered(0.5)
    assert wide.quantile(0.02) < PRIOR.quantile(0.02) - 0.25
    assert wide.quantile(0.98) > PRIOR.quantile(0.98) + 0.25
    assert wide.quantile([0, 1]).tolist() == PRIOR.quantile([0, 1]).tolist()


@pytest.mark.parametrize("made", [PRIOR, KDE, PRIOR.tempered(0.7)])
def test_json_keeps_every_bit(made: LabelDistribution) -> None:
    again = LabelDistribution.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again.sha256 == made.sha256
    np.testing.assert_array_equal(again.targets(77), made.targets(77))


def test_a_distribution_is_known_by_its_labels_not_their_order() -> None:
    assert PRIOR.sha256 == LabelDistribution.from_labels(LABELS[::-1]).sha256
    assert PRIOR.sha256 != LabelDistribution.from_labels(LABELS + 0.1).sha256
    assert PRIOR.sha256 != PRIOR.tempered(0.9).sha256


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [([0, 1], [2, 1]), ([0.1, 1], [1, 2]), ([0, 0.9], [1, 2]), ([0, 0.7, 0.5, 1], [1, 2, 3, 4]), ([0, 1], [1, np.nan])],
)
def test_a_line_that_is_no_quantile_function_is_refused(probabilities: list[float], labels: list[float]) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        LabelDistribution.from_dict({"probabilities": probabilities, "labels": labels})


@pytest.mark.parametrize("labels", [[], [4.0, float("nan")], [float("inf")]])
def test_labels_must_be_there_and_finite(labels: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        LabelDistribution.from_labels(labels)
