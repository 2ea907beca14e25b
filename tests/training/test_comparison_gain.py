"""What one method gains over another, and when that is said."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ecg_ka.uncertainty import Regions
from tests.training.drawn_cells import cell, labels, scaled
from training.comparison.gain import MEASURES, Difference, changes, differences, statement
from training.comparison.results import measures


def test_differences_are_those_of_the_metrics() -> None:
    wide, narrow = scaled(0.9), scaled(0.4)
    found = differences(wide, narrow, resamples=50)
    names = dict(zip(MEASURES, ("mae_few", "mae_many", "balanced_mae"), strict=True))
    for measure, name in names.items():
        direct = [measures(a)[name] - measures(b)[name] for a, b in zip(wide, narrow, strict=True)]
        assert found[measure].by_seed == pytest.approx(direct)
        assert found[measure].value == pytest.approx(np.mean(direct))
        assert found[measure].lower < found[measure].value < found[measure].upper


def test_the_statement_has_the_right_signs() -> None:
    wide, narrow = scaled(0.9), scaled(0.4)
    found = differences(wide, narrow, 300)
    assert found["few-shot MAE"].is_lower
    assert found["many-shot MAE"].is_higher
    assert found["balanced MAE"].is_lower
    words = statement("Wide", "narrow", found)
    assert "It trades: few-shot MAE and balanced MAE lower, many-shot MAE higher." in words
    assert f"few-shot MAE {found['few-shot MAE'].value:+.3f}" in words
    back = statement("Narrow", "wide", differences(narrow, wide, 300))
    assert "It trades: many-shot MAE lower, few-shot MAE and balanced MAE higher." in back
    better = differences(scaled(0.9, 0.0), scaled(0.5, 0.0), 300)
    assert "It is better: few-shot MAE, many-shot MAE and balanced MAE lower" in statement("a", "b", better)
    worse = differences(scaled(0.5, 0.0), scaled(0.9, 0.0), 300)
    assert "It is worse: few-shot MAE, many-shot MAE and balanced MAE higher" in statement("a", "b", worse)


def test_nothing_is_claimed_from_noise_or_against_one_seed() -> None:
    ours, theirs = ([cell(labels(s), labels(s) + np.random.default_rng(s + k).normal(size=1500), s) for s in (1, 2, 3)]
                    for k in (10, 20))  # fmt: skip
    assert statement("a", "b", differences(ours, ours, 300)).endswith("No difference is shown.")
    found = differences(ours, theirs, 300)
    assert all(d.lower < d.value < d.upper for d in found.values())
    mixed = [*scaled(0.9)[:2], scaled(0.2)[2]]
    assert not differences(mixed, scaled(0.4), 300)["few-shot MAE"].is_lower
    with pytest.raises(ValueError, match="different patients"):
        differences(scaled(0.9), scaled(0.9)[::-1])


def test_the_interval_is_as_wide_as_theory_says() -> None:
    """For one region and one seed: that of the mean of paired differences."""
    y = labels(5)
    a, b = (np.random.default_rng(s).normal(size=len(y)) for s in (6, 7))
    found = differences([cell(y, y + a)], [cell(y, y + b)])["many-shot MAE"]
    paired = (np.abs(a) - np.abs(b))[Regions().group(y) == 2]
    half = 1.96 * paired.std(ddof=1) / math.sqrt(len(paired))
    assert found.upper - found.lower == pytest.approx(2 * half, rel=0.08)


def test_nothing_is_called_better_whose_price_leaves_out_zero() -> None:
    """The price is too high in two of three seeds, and by its interval."""
    few = Difference(-0.05, -0.08, -0.02, (-0.04, -0.05, -0.06))
    many = Difference(0.02, 0.01, 0.03, (0.03, 0.04, -0.01))
    none = Difference(0.0, -0.1, 0.1, (0.1, -0.1, 0.0))
    words = statement("a", "b", dict(zip(MEASURES, (few, many, none), strict=True)))
    assert words.endswith("Few-shot MAE lower; by its interval many-shot MAE higher, but not in every seed.")
    assert many.half_over_seeds == pytest.approx(4.3027 * 0.026458 / 3**0.5, rel=1e-3)


def test_changes_are_ratios_of_the_metrics_with_an_interval_of_patients() -> None:
    wide, narrow = scaled(0.9), scaled(0.4)
    found = changes(wide, narrow, 300)["few-shot MAE"]
    direct = [measures(a)["mae_few"] / measures(b)["mae_few"] - 1 for a, b in zip(wide, narrow, strict=True)]
    assert found.by_seed == pytest.approx(direct)
    assert found.value == pytest.approx(np.mean(direct))
    assert found.lower < found.value < found.upper
    halved = [cell(c.outcome.labels, (c.outcome.labels + c.outcome.estimates) / 2, c.seed) for c in narrow]
    exact = changes(halved, narrow, 300)["many-shot MAE"]  # of every patient alike
    assert (exact.lower, exact.value, exact.upper) == pytest.approx((-0.5, -0.5, -0.5))
