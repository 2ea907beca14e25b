"""The moving averages of the signal quality are scipy's, but for rounding, and so are its maxima."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from ecg_ka.quality.beats import coarsen, moving_maxima, moving_means
from ecg_ka.quality.indices import block_extremes

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("size", [3, 5, 13, 15, 61])
@pytest.mark.parametrize("n", [61, 400])
def test_means_around_each_sample_are_those_of_scipy(n: int, size: int) -> None:
    signal = RNG.normal(0, 1, (12, n)).astype(np.float32)
    np.testing.assert_allclose(moving_means(signal, size), uniform_filter1d(signal, size, axis=1), atol=2e-6)


@pytest.mark.parametrize("size", [1, 3, 13, 31, 61, 63])
@pytest.mark.parametrize("n", [1, 2, 61, 400])
def test_maxima_around_each_value_are_those_of_scipy(n: int, size: int) -> None:
    values = RNG.normal(0, 1, n)
    assert np.array_equal(moving_maxima(values, size), maximum_filter1d(values, size, mode="nearest"))


def test_a_window_longer_than_the_signal_is_cut_and_a_constant_stays_what_it_is() -> None:
    constant = np.full((2, 4), 1.234, dtype=np.float32)
    np.testing.assert_allclose(moving_means(constant, 61), constant, rtol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 30, 5000])
def test_slopes_are_those_of_the_difference_of_two_averages(n: int) -> None:
    signal = RNG.normal(0, 1, (12, n)).astype(np.float32)
    coarse = coarsen(signal, 125.0)  # a factor of 1; averages of 3 and of 15 samples
    if n < 8:
        assert coarse.slopes.shape == (12, n)
        return
    band = uniform_filter1d(signal, 3, axis=1) - uniform_filter1d(signal, 15, axis=1)
    np.testing.assert_allclose(coarse.slopes[:, 1:-1], np.abs(band[:, 2:] - band[:, :-2]), atol=2e-6)
    assert not coarse.slopes[:, [0, -1]].any()


def test_extremes_are_those_of_whole_blocks() -> None:
    signal = RNG.normal(0, 1, (3, 107)).astype(np.float32)
    high, low = block_extremes(signal, 25)
    parts = signal[:, :100].reshape(3, 4, 25)
    assert np.array_equal(high, parts.max(axis=2))
    assert np.array_equal(low, parts.min(axis=2))
