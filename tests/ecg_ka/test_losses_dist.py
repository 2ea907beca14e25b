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

from ecg_ka.losses import (
    L1,
    L2,
    BatchLabels,
    DistLoss,
    FocalR,
    Huber,
    LabelBins,
    LabelDistribution,
    LabelWeights,
    PredictionQueue,
    SampleLoss,
)
from ecg_ka.losses.sample import Elementwise
from tests.ecg_ka.labels import LABELS, potassium

PRIOR = LabelDistribution.from_labels(LABELS)
INVERSE = LabelWeights.inverse(LabelBins.from_labels(LABELS, width=0.1))
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def weigh(weights: LabelWeights | None, y: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ones(len(y)) if weights is None else weights(torch.from_numpy(y)).double().numpy()


def by_formula(
    p: NDArray[np.float64], y: NDArray[np.float64], weights: LabelWeights | None = None, lambda_: float = 1.0
) -> float:
    """The definition, term by term, in float64."""
    n = len(p)
    q = np.quantile(LABELS, [(i - 0.5) / n for i in range(1, n + 1)])
    distance = np.mean(weigh(weights, q) * np.abs(np.sort(p) - q))
    return float(np.mean(weigh(weights, y) * np.abs(p - y)) + lambda_ * distance)


def batch(n: int, seed: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(4.2, 0.4, n)), torch.from_numpy(rng.choice(LABELS, n))


@given(st.integers(1, 300), st.integers(0, 2**31), st.booleans())
@settings(max_examples=60, deadline=None)
def test_it_is_the_formula_for_any_batch_size(n: int, seed: int, weighted: bool) -> None:
    p, y = batch(n, seed)
    weights = INVERSE if weighted else None
    loss = DistLoss(PRIOR, sample=SampleLoss(weights=weights), weight=0.7)(p, y)
    assert float(loss) == pytest.approx(by_formula(p.numpy(), y.numpy(), weights, 0.7), rel=1e-9)


@given(st.integers(2, 200), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_permuting_the_batch_changes_nothing_also_with_weights(n: int, seed: int) -> None:
    p, y = batch(n, seed)
    loss = DistLoss(PRIOR, sample=SampleLoss(weights=INVERSE))
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    assert float(loss(p[order], y[order])) == pytest.approx(float(loss(p, y)), rel=1e-12)


def test_the_second_term_is_the_wasserstein_distance_and_zero_at_equal_distributions() -> None:
    n = 400
    p = np.random.default_rng(5).normal(4.0, 0.5, n)
    q = torch.from_numpy(PRIOR.targets(n))
    loss = DistLoss(PRIOR)
    both, sample = loss(torch.from_numpy(p), q), SampleLoss()(torch.from_numpy(p), q)
    assert float(both - sample) == pytest.approx(stats.wasserstein_distance(p, q.numpy()), rel=1e-9)
    shuffled = q[torch.randperm(n)]
    assert float(loss(shuffled, shuffled)) == 0.0


@pytest.mark.parametrize("elementwise", [L1(), L2(), Huber(0.5), FocalR(4.0), FocalR(4.0, gamma=2.0)])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients(elementwise: Elementwise, weighted: bool) -> None:
    p = torch.from_numpy(np.random.default_rng(1).normal(4.2, 0.7, 23)).requires_grad_()
    y = batch(23, 2)[1]
    loss = DistLoss(PRIOR, sample=SampleLoss(elementwise, INVERSE if weighted else None), weight=1.7)
    assert torch.autograd.gradcheck(lambda x: loss(x, y), (p,))


def soft_sort(p: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """Ascending soft sort of Blondel et al. 2020 in float64: the projection of rho/epsilon onto the permutahedron of p,
    by isotonic regression."""
    z = np.arange(len(p), 0, -1.0) / epsilon
    descending = np.sort(p)[::-1]
    return (z - optimize.isotonic_regression(z - descending, increasing=False).x)[::-1]


def soft_loss(p: NDArray[np.float64], epsilon: float) -> float:
    return float(np.mean((soft_sort(p, epsilon) - PRIOR.targets(len(p))) ** 2))


@pytest.mark.parametrize("n", [2, 64])
def test_a_hard_sort_is_the_published_soft_sort_on_potassium_batches(n: int) -> None:
    """Value and gradient; and not any more when neighbours lie further apart than 1/epsilon."""
    p = np.random.default_rng(2).normal(4.2, 0.5, n)
    x = torch.from_numpy(p).requires_grad_()
    loss = DistLoss(PRIOR, sample=SampleLoss(L2()))(x, x.detach().clone())
    (gradient,) = torch.autograd.grad(loss, x)
    assert float(loss.detach()) == pytest.approx(soft_loss(p, 0.1), rel=1e-12)
    numeric = [(soft_loss(p + d, 0.1) - soft_loss(p - d, 0.1)) / 2e-5 for d in 1e-5 * np.eye(n)]
    np.testing.assert_allclose(gradient.numpy(), numeric, atol=1e-6)
    assert abs(soft_loss(p, 100.0) - float(loss.detach())) > 1e-3


def test_the_gradient_pulls_the_extremes_apart() -> None:
    """A batch that predicts the middle for everyone is pushed down at its low end and up at its high end."""
    p = torch.linspace(4.19, 4.21, 200, dtype=torch.float64, requires_grad=True)
    DistLoss(PRIOR)(p, p.detach().clone()).backward()
    assert p.grad is not None
    assert (p.grad[:20] > 0).all()
    assert (p.grad[-20:] < 0).all()


@pytest.mark.parametrize("device", DEVICES)
def test_bfloat16_is_computed_in_float32(device: str) -> None:
    p, y = torch.from_numpy(potassium(64, 3)).to(device), torch.from_numpy(potassium(64, 4)).to(device)
    half = p.bfloat16().requires_grad_()
    with torch.autocast(device, dtype=torch.bfloat16):
        loss = DistLoss(PRIOR)(half, y.float())
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.device.type == device
    assert half.grad is not None
    assert half.grad.dtype == torch.bfloat16
    assert float(loss.detach()) == pytest.approx(float(DistLoss(PRIOR)(half.detach().double(), y)), abs=1e-5)


@pytest.mark.parametrize(
    ("predictions", "labels"),
    [
        (torch.zeros(4, 1), torch.zeros(4)),
        (torch.zeros(3), torch.zeros(4)),
        (torch.zeros(0), torch.zeros(0)),
        (torch.zeros(4, 2), torch.zeros(4, 2)),
        (torch.tensor(1.0), torch.tensor(1.0)),
    ],
)
def test_shapes_that_would_broadcast_are_refused(predictions: Tensor, labels: Tensor) -> None:
    with pytest.raises(ValueError, match="same shape"):
        DistLoss(PRIOR)(predictions, labels)


def test_a_column_is_a_batch() -> None:
    p, y = torch.rand(9, 1), torch.rand(9, 1)
    assert torch.equal(DistLoss(PRIOR)(p, y), DistLoss(PRIOR)(p[:, 0], y[:, 0]))


def test_the_labels_of_the_batch_can_be_the_target() -> None:
    p, y = batch(50, 4)
    loss = DistLoss(BatchLabels())
    assert float(loss(y.flip(0), y) - SampleLoss()(y.flip(0), y)) == 0.0
    distance = stats.wasserstein_distance(p.numpy(), y.numpy())
    assert float(loss(p, y) - SampleLoss()(p, y)) == pytest.approx(distance, rel=1e-9)
    with pytest.raises(ValueError, match="queue"):
        DistLoss(BatchLabels(), queue=PredictionQueue(8))


def test_lambda_warms_up_over_training_calls_and_resumes() -> None:
    p, y = batch(16, 5)
    sample, both = float(SampleLoss()(p, y)), by_formula(p.numpy(), y.numpy())
    loss = DistLoss(PRIOR, warmup_steps=4)
    loss.eval()(p, y)
    loss.train()
    seen = [float(loss(p, y)) for _ in range(2)]
    resumed = DistLoss(PRIOR, warmup_steps=4)
    resumed.load_state_dict(loss.state_dict())
    seen += [float(resumed(p, y)) for _ in range(4)]
    expected = [sample + (both - sample) * share for share in (0, 0.25, 0.5, 0.75, 1, 1)]
    np.testing.assert_allclose(seen, expected, rtol=1e-12)


def test_a_queue_ranks_the_batch_among_what_went_before() -> None:
    """Against the definition: ranks among all, targets for all, mean over the batch; the gradient is the batch's."""
    (earlier, y0), (p, y) = batch(40, 6), batch(16, 7)
    loss = DistLoss(PRIOR, queue=PredictionQueue(30))
    loss(earlier, y0)
    kept = earlier[-30:].float().double()
    everyone = torch.cat([kept, p])
    targets = PRIOR.targets(46)[stats.rankdata(everyone.numpy(), method="ordinal")[30:] - 1]
    expected = np.mean(np.abs(p.numpy() - y.numpy())) + np.mean(np.abs(p.numpy() - targets))
    x = p.clone().requires_grad_()
    value = loss(x, y)
    assert float(value.detach()) == pytest.approx(expected, rel=1e-12)
    (gradient,) = torch.autograd.grad(value, x)
    signs = np.sign(p.numpy() - y.numpy()) + np.sign(p.numpy() - targets)
    np.testing.assert_allclose(gradient.numpy(), signs / 16, atol=1e-15)


def test_a_queue_lets_a_batch_of_one_know_its_place() -> None:
    """A lone median prediction is asked to be the median of the labels; a lone high one is asked to be high."""
    loss = DistLoss(PRIOR, queue=PredictionQueue(999), sample=SampleLoss(L2()))
    loss(*batch(999, 8))
    loss.eval()
    for u in (0.01, 0.5, 0.99):
        p = torch.quantile(batch(999, 8)[0], u, keepdim=True).requires_grad_()
        (gradient,) = torch.autograd.grad(loss(p, p.detach()), p)
        asked = float(p.detach() - gradient / 2)
        assert asked == pytest.approx(float(PRIOR.quantile(u)), abs=0.11)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_a_queue_holds_the_latest_and_resumes(sizes: list[int], size: int) -> None:
    queue, pushed = PredictionQueue(size), torch.arange(sum(sizes), dtype=torch.float32)
    for part in torch.split(pushed, sizes):
        queue.push(part)
    torch.testing.assert_close(queue.latest(), pushed[-size:])
    resumed = PredictionQueue(size)
    resumed.load_state_dict(queue.state_dict())
    for q in (queue, resumed):
        q.push(torch.tensor([-1.0]))
    torch.testing.assert_close(queue.latest(), resumed.latest())


def test_training_resumes_with_the_queue_that_it_had() -> None:
    loss = DistLoss(PRIOR, queue=PredictionQueue(64))
    for seed in range(3):
        loss(*batch(20, seed))
    resumed = DistLoss(PRIOR, queue=PredictionQueue(64))
    resumed.load_state_dict(loss.state_dict())
    resumed.eval()
    assert torch.equal(resumed(*batch(20, 9)), loss.eval()(*batch(20, 9)))
    assert torch.equal(resumed(*batch(20, 9)), loss(*batch(20, 9)))  # evaluation leaves the queue as it is
    with pytest.raises(ValueError, match="queue of 0"):
        PredictionQueue(0)


def test_equal_predictions_lie_in_the_middle_of_equal_ones_in_the_queue() -> None:
    loss = DistLoss(PRIOR, queue=PredictionQueue(1000), sample=SampleLoss(L2()))
    constant = torch.full((1000,), 4.2)
    loss(constant, constant)
    x = constant[:3].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(x, x.detach()), x)
    asked = x.detach() - gradient * 3 / 2
    np.testing.assert_allclose(asked.numpy(), PRIOR.quantile(0.5), atol=1e-6)
