"""Dist Loss against its formula in float64, and the properties that the reference code lacks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize, stats
from torch import Tensor

from ecg_ka.losses import DistLoss, InverseDensityWeights, LabelDistribution, SampleLoss


def potassium(n: int, seed: int = 0) -> NDArray[np.float64]:
    """Labels as a hospital records them: in steps of 0.1, few of them high."""
    rng = np.random.default_rng(seed)
    high = rng.random(n) < 0.1
    labels = np.where(high, 4.6 + rng.gamma(1.6, 0.5, n), rng.normal(4.15, 0.4, n))
    return np.asarray(np.round(labels, 1), dtype=np.float64)


LABELS = potassium(5000)
PRIOR = LabelDistribution.from_labels(LABELS)


def by_formula(p: NDArray[np.float64], y: NDArray[np.float64], weights: InverseDensityWeights | None) -> float:
    """The definition, term by term, in float64."""
    n = len(p)
    q = np.quantile(LABELS, [(i - 0.5) / n for i in range(1, n + 1)])
    w_y, w_q = (np.ones(n), np.ones(n)) if weights is None else (_weigh(weights, y), _weigh(weights, q))
    return float(np.mean(w_y * np.abs(p - y)) + np.mean(w_q * np.abs(np.sort(p) - q)))


def _weigh(weights: InverseDensityWeights, y: NDArray[np.float64]) -> NDArray[np.float64]:
    return weights(torch.from_numpy(y)).double().numpy()


@given(st.integers(1, 300), st.integers(0, 2**31), st.booleans())
@settings(max_examples=60, deadline=None)
def test_it_is_the_formula_for_any_batch_size(n: int, seed: int, weighted: bool) -> None:
    rng = np.random.default_rng(seed)
    p, y = rng.normal(4.2, 0.4, n), rng.choice(LABELS, n)
    weights = InverseDensityWeights(LABELS, bin_width=0.1) if weighted else None
    loss = DistLoss(PRIOR, weights=weights)(torch.from_numpy(p), torch.from_numpy(y))
    assert float(loss) == pytest.approx(by_formula(p, y, weights), rel=1e-9)


@given(st.integers(2, 200), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_permuting_the_batch_changes_nothing_also_with_weights(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, y = torch.from_numpy(rng.normal(4.2, 0.4, n)), torch.from_numpy(rng.choice(LABELS, n))
    loss = DistLoss(PRIOR, weights=InverseDensityWeights(LABELS, bin_width=0.1))
    order = torch.from_numpy(rng.permutation(n))
    assert float(loss(p[order], y[order])) == pytest.approx(float(loss(p, y)), rel=1e-12)


def test_the_second_term_is_the_wasserstein_distance_and_zero_at_equal_distributions() -> None:
    n = 400
    p = np.random.default_rng(5).normal(4.0, 0.5, n)
    q = torch.from_numpy(PRIOR.targets(n))
    loss = DistLoss(PRIOR)
    both, sample = loss(torch.from_numpy(p), q), DistLoss(PRIOR, weight=0.0)(torch.from_numpy(p), q)
    assert float(both - sample) == pytest.approx(stats.wasserstein_distance(p, q.numpy()), rel=1e-9)
    assert float(loss(q, q)) == 0.0


@pytest.mark.parametrize("sample_loss", list(SampleLoss))
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients(sample_loss: SampleLoss, weighted: bool) -> None:
    rng = np.random.default_rng(1)
    weights = InverseDensityWeights(LABELS, bin_width=0.1, power=0.5) if weighted else None
    p = torch.from_numpy(rng.normal(4.2, 0.7, 23)).requires_grad_()
    y = torch.from_numpy(rng.choice(LABELS, 23))
    loss = DistLoss(PRIOR, sample_loss=sample_loss, weight=1.7, weights=weights)
    assert torch.autograd.gradcheck(lambda x: loss(x, y), (p,))


def soft_sort(p: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """Ascending soft sort of Blondel et al. 2020 in float64: the projection of rho/epsilon onto the permutahedron of p,
    by isotonic regression."""
    z = np.arange(len(p), 0, -1.0) / epsilon
    descending = np.sort(p)[::-1]
    return (z - optimize.isotonic_regression(z - descending, increasing=False).x)[::-1]


def soft_loss(p: NDArray[np.float64], epsilon: float) -> float:
    return float(np.mean((soft_sort(p, epsilon) - PRIOR.targets(len(p))) ** 2))


def test_a_hard_sort_is_the_published_soft_sort_on_potassium_batches() -> None:
    """Value and gradient; and not any more when neighbours lie further apart than 1/epsilon."""
    p = np.random.default_rng(2).normal(4.2, 0.5, 64)
    x = torch.from_numpy(p).requires_grad_()
    loss = DistLoss(PRIOR, sample_loss=SampleLoss.L2)(x, x.detach().clone())
    (gradient,) = torch.autograd.grad(loss, x)
    assert float(loss.detach()) == pytest.approx(soft_loss(p, 0.1), rel=1e-12)
    step = 1e-5 * np.eye(64)
    numeric = [(soft_loss(p + d, 0.1) - soft_loss(p - d, 0.1)) / 2e-5 for d in step]
    np.testing.assert_allclose(gradient.numpy(), numeric, atol=1e-6)
    assert abs(soft_loss(p, 100.0) - float(loss.detach())) > 1e-3


def test_the_gradient_pulls_the_extremes_apart() -> None:
    """A batch that predicts the middle for everyone is pushed down at its low end and up at its high end."""
    p = torch.linspace(4.19, 4.21, 200, dtype=torch.float64, requires_grad=True)
    DistLoss(PRIOR)(p, p.detach().clone()).backward()
    assert p.grad is not None
    assert (p.grad[:20] > 0).all()
    assert (p.grad[-20:] < 0).all()


def test_bfloat16_is_computed_in_float32() -> None:
    p, y = torch.from_numpy(potassium(64, 3)), torch.from_numpy(potassium(64, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = DistLoss(PRIOR)(p.bfloat16(), y.float())
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(DistLoss(PRIOR)(p, y)), abs=0.02)


@pytest.mark.parametrize(
    ("predictions", "labels"),
    [(torch.zeros(4, 1), torch.zeros(4)), (torch.zeros(3), torch.zeros(4)), (torch.zeros(0), torch.zeros(0))],
)
def test_shapes_that_would_broadcast_are_refused(predictions: Tensor, labels: Tensor) -> None:
    with pytest.raises(ValueError, match="same shape"):
        DistLoss(PRIOR)(predictions, labels)


def test_a_column_is_a_batch() -> None:
    p, y = torch.rand(9, 1), torch.rand(9, 1)
    assert torch.equal(DistLoss(PRIOR)(p, y), DistLoss(PRIOR)(p[:, 0], y[:, 0]))


@given(st.lists(st.integers(18, 90), min_size=1, max_size=200), st.integers(1, 50))
@settings(max_examples=50, deadline=None)
def test_targets_are_the_quantiles_of_numpy(tenths: list[int], n: int) -> None:
    labels = np.array(tenths) / 10
    targets = LabelDistribution.from_labels(labels).targets(n)
    np.testing.assert_array_equal(targets, np.quantile(labels, (np.arange(1, n + 1) - 0.5) / n))


def test_a_distribution_is_known_by_its_labels_not_their_order() -> None:
    assert PRIOR.sha256 == LabelDistribution.from_labels(LABELS[::-1]).sha256
    assert PRIOR.sha256 != LabelDistribution.from_labels(LABELS + 0.1).sha256
    with pytest.raises(ValueError, match="finite"):
        LabelDistribution.from_labels([4.0, float("nan")])


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_weights_have_mean_one_and_go_with_the_inverse_of_the_counts(power: float) -> None:
    weights = InverseDensityWeights(LABELS, bin_width=0.1, power=power, max_ratio=1e9)
    got = weights(torch.from_numpy(LABELS)).double().numpy()
    assert got.mean() == pytest.approx(1.0, abs=1e-5)
    values, inverse, counts = np.unique(np.rint(LABELS * 10), return_inverse=True, return_counts=True)
    product = got * counts[inverse] ** power
    np.testing.assert_allclose(product, product[0], rtol=1e-4)
    assert values.size > 20


def test_weights_are_limited_and_reach_beyond_the_training_range() -> None:
    weights = InverseDensityWeights(LABELS, bin_width=0.1, max_ratio=10)
    table = np.array(weights.table())
    assert table.max() / table.min() == pytest.approx(10)
    assert float(weights(torch.tensor([99.0]))[0]) == pytest.approx(table[-1])
