"""Bins, weights and regions by counts, against the formulas of Yang et al. 2021."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ecg_ka.losses import CountRegions, LabelBins, LabelWeights, gaussian_kernel
from tests.ecg_ka.labels import LABELS

BINS = LabelBins.from_labels(LABELS, width=0.1)


def counts_of_own_bin() -> NDArray[np.float64]:
    """How many labels equal each label, counted one by one."""
    _, inverse, counts = np.unique(np.rint(LABELS * 10), return_inverse=True, return_counts=True)
    return counts[inverse].astype(np.float64)


def of(weights: LabelWeights, labels: NDArray[np.float64]) -> NDArray[np.float64]:
    return weights(torch.from_numpy(labels)).double().numpy()


def test_bins_count_every_label_once() -> None:
    assert int(BINS.counts.sum()) == len(LABELS)
    np.testing.assert_array_equal(BINS.count(LABELS), counts_of_own_bin())
    np.testing.assert_array_equal(BINS.count([-5.0, 99.0, LABELS.min() - 0.1]), [0, 0, 0])
    float32 = torch.from_numpy(LABELS).float()
    np.testing.assert_array_equal(BINS.counts[BINS.index(float32).numpy()], counts_of_own_bin())
    assert BINS.index(torch.tensor([-5.0, 99.0])).tolist() == [0, len(BINS.counts) - 1]


@pytest.mark.parametrize(("labels", "width"), [([], 0.1), ([1.0, np.nan], 0.1), ([1.0], 0.0)])
def test_bins_of_nothing_are_refused(labels: list[float], width: float) -> None:
    with pytest.raises(ValueError, match="width"):
        LabelBins.from_labels(labels, width=width)


@pytest.mark.parametrize(
    ("weights", "power", "least", "most"),
    [
        (LabelWeights.inverse(BINS), 1.0, 1.0, np.inf),
        (LabelWeights.inverse(BINS, least=5, most=200), 1.0, 5.0, 200.0),
        (LabelWeights.inverse_sqrt(BINS), 0.5, 1.0, np.inf),
    ],
)
def test_inverse_weights(weights: LabelWeights, power: float, least: float, most: float) -> None:
    expected = np.clip(counts_of_own_bin(), least, most) ** -power
    np.testing.assert_allclose(of(weights, LABELS), expected / expected.mean(), rtol=1e-6)
    assert of(weights, LABELS).mean() == pytest.approx(1.0, abs=1e-6)


def test_lds_is_the_inverse_of_the_smoothed_histogram() -> None:
    tenths = np.rint(LABELS * 10).astype(int)
    smooth = np.zeros(len(LABELS))
    kernel = [np.exp(-(k**2) / 8) for k in range(-2, 3)]
    for k in range(-2, 3):
        neighbours = np.array([np.sum(tenths == t + k) for t in range(tenths.max() + 1)])
        smooth += kernel[k + 2] / sum(kernel) * neighbours[tenths]
    expected = (1 / smooth) / np.mean(1 / smooth)
    np.testing.assert_allclose(of(LabelWeights.lds(BINS), LABELS), expected, rtol=1e-6)


def test_lds_across_a_gap_stays_finite() -> None:
    weights = LabelWeights.lds(LabelBins.from_labels([1, 1, 1, 50, 90], width=1))
    assert np.isfinite(weights.table).all()
    assert weights.table[25] == weights.table.max()


def test_a_kernel_sums_to_one_and_has_a_middle() -> None:
    np.testing.assert_allclose(gaussian_kernel(3, 1.0), np.array([0.60653066, 1, 0.60653066]) / 2.21306132)
    with pytest.raises(ValueError, match="odd"):
        gaussian_kernel(4)


def test_weights_follow_shape_and_reach_beyond_the_training_range() -> None:
    weights = LabelWeights.inverse(BINS)
    assert weights(torch.full((2, 3), 4.2)).shape == (2, 3)
    assert float(weights(torch.tensor(99.0))) == pytest.approx(weights.table[-1])
    assert not weights(torch.tensor([4.2], requires_grad=True)).requires_grad


def test_regions_by_counts_of_integer_labels() -> None:
    """Exactly 20 is median, exactly 100 is median, what never occurred is few."""
    counts = {30: 19, 31: 20, 32: 100, 33: 101, 34: 500, 35: 60, 36: 1}
    regions = CountRegions(bins=LabelBins.from_labels(np.repeat(list(counts), list(counts.values())), width=1))
    ages = [5, 30, 31, 32, 33, 34, 35, 36, 90]
    assert regions.group(ages).tolist() == [0, 0, 1, 1, 2, 2, 3, 4, 4]
