"""The potassium priors have the moments and tails that they are documented to have."""

from __future__ import annotations

import numpy as np
import pytest

from ecg_ka.simulator import Prior, sample_potassium
from ecg_ka.simulator.priors import HAEMOLYSIS_SD_MMOL_L, HAEMOLYSIS_SHARE, LAB_SD_MMOL_L, POTASSIUM_RANGE_MMOL_L

N = 200_000

# mean, SD; share in % below 2.5, 3, 3.5; at or above 5, 5.5, 6, 6.5, 7; mean distance from the median
TABLE = {
    Prior.HOSPITAL: (4.18, 0.60, (0.4, 1.8, 8.5), (7.7, 2.7, 1.1, 0.44, 0.17), 0.438),
    Prior.WIDE: (4.18, 0.67, (0.6, 2.5, 10.9), (9.9, 3.8, 1.6, 0.69, 0.29), 0.493),
    Prior.ESRD: (4.71, 0.80, (0.2, 1.0, 5.0), (36.0, 15.0, 6.1, 2.4, 0.95), 0.615),
}


@pytest.mark.parametrize("prior", TABLE, ids=str)
def test_recorded_potassium_has_the_documented_moments_and_tails(prior: Prior) -> None:
    mean, sd, low, high, mae = TABLE[prior]
    _, k = sample_potassium(prior, N, np.random.default_rng(0))
    assert k.mean() == pytest.approx(mean, abs=0.015)
    assert k.std() == pytest.approx(sd, abs=0.015)
    assert np.abs(k - np.median(k)).mean() == pytest.approx(mae, abs=0.01)
    for limit, percent in zip((2.5, 3.0, 3.5), low, strict=True):
        assert 100 * np.mean(k < limit - 0.01) == pytest.approx(percent, rel=0.12, abs=0.06)
    for limit, percent in zip((5.0, 5.5, 6.0, 6.5, 7.0), high, strict=True):
        assert 100 * np.mean(k > limit - 0.01) == pytest.approx(percent, rel=0.12, abs=0.06)


def test_uniform_prior_is_flat_from_2_to_8_5() -> None:
    true, _ = sample_potassium(Prior.UNIFORM, N, np.random.default_rng(1))
    counts, _ = np.histogram(true, bins=13, range=(2.0, 8.5))
    assert counts.sum() == N
    np.testing.assert_allclose(counts, N / 13, rtol=0.04)


def test_mix_prior_is_half_wide_and_half_flat() -> None:
    mix, _ = sample_potassium(Prior.MIX, N, np.random.default_rng(2))
    wide, _ = sample_potassium(Prior.WIDE, N, np.random.default_rng(3))
    for limit in (2.5, 3.0, 3.5, 4.2, 5.0, 6.0, 7.0):
        expected = 0.5 * np.mean(wide < limit) + 0.5 * (limit - 2.0) / 6.0
        assert np.mean(mix < limit) == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize("prior", Prior, ids=str)
def test_recorded_values_stand_in_steps_of_a_tenth_within_the_range(prior: Prior) -> None:
    true, recorded = sample_potassium(prior, 20_000, np.random.default_rng(4))
    np.testing.assert_array_equal(recorded, np.round(recorded, 1))
    for values in (true, recorded):
        assert values.min() >= POTASSIUM_RANGE_MMOL_L[0]
        assert values.max() <= POTASSIUM_RANGE_MMOL_L[1]


def test_laboratory_error_is_noise_and_haemolysis_that_only_raises() -> None:
    true, recorded = sample_potassium(Prior.HOSPITAL, N, np.random.default_rng(5))
    error = recorded - true
    haemolysis_mean = HAEMOLYSIS_SHARE * HAEMOLYSIS_SD_MMOL_L * np.sqrt(2 / np.pi)
    assert error.mean() == pytest.approx(haemolysis_mean, abs=0.002)
    assert np.quantile(np.abs(error), 0.68) == pytest.approx(LAB_SD_MMOL_L, abs=0.012)
    assert np.mean(error > 0.75) > 0.002 > 100 * np.mean(error < -0.75)
