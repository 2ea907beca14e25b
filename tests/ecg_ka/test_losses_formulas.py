"""The losses that Dist Loss complements, each against its formula in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import integrate, stats
from torch import Tensor, nn

from ecg_ka.losses import (
    BalancedMSE,
    BatchBalancedMSE,
    BatchLoss,
    CCCLoss,
    ConR,
    FeatureDistributionSmoothing,
    FocalR,
    Huber,
    LabelBins,
    LabelMixture,
    LabelWeights,
    SampleLoss,
)
from tests.ecg_ka.labels import LABELS, potassium

Floats = NDArray[np.float64]
MIXTURE = LabelMixture.fit(LABELS, components=4, min_sd=0.1)
BINS = LabelBins.from_labels(LABELS, width=0.1)


def batch(n: int = 12, seed: int = 0) -> tuple[Tensor, Tensor]:
    p = np.random.default_rng(seed).normal(4.3, 0.6, n)
    return torch.from_numpy(p), torch.from_numpy(potassium(n, seed + 1))


ALL: list[BatchLoss] = [
    SampleLoss(FocalR(4.0), LabelWeights.inverse_sqrt(BINS)),
    SampleLoss(Huber(0.3)),
    BalancedMSE(MIXTURE, noise_sd=0.5),
    BatchBalancedMSE(noise_sd=0.5),
    CCCLoss(),
]


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: type(loss).__name__)
def test_gradients_shapes_and_bfloat16(loss: BatchLoss) -> None:
    p, y = batch()
    assert torch.autograd.gradcheck(lambda x: loss(x, y), (p.requires_grad_(),))
    assert loss(p[:, None], y[:, None]).shape == ()
    with pytest.raises(ValueError, match="same shape"):
        loss(p[:, None], y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = loss(p.bfloat16(), y.bfloat16())
    assert half.dtype == torch.float32
    exact = loss(p.bfloat16().double(), y.bfloat16().double())
    assert float(half.detach()) == pytest.approx(float(exact.detach()), rel=1e-5)
    assert torch.isfinite(loss(p[:1], y[:1]))


def test_focal_r() -> None:
    p, y = (t.numpy() for t in batch())
    e = np.abs(p - y)
    for gamma in (0.5, 1.0, 2.0):
        expected = (2 / (1 + np.exp(-4 * e)) - 1) ** gamma * e
        got = FocalR(4.0, gamma)(torch.from_numpy(p), torch.from_numpy(y)).numpy()
        np.testing.assert_allclose(got, expected, rtol=1e-12)
    x = torch.zeros(1, requires_grad=True)
    torch.autograd.backward(FocalR(4.0, 0.5)(x, torch.zeros(1)).sum())
    assert x.grad is not None
    assert float(x.grad) == 0.0


def test_ccc() -> None:
    p, y = (t.numpy() for t in batch(50))
    expected = 1 - 2 * np.cov(p, y, bias=True)[0, 1] / (p.var() + y.var() + (p.mean() - y.mean()) ** 2)
    loss = CCCLoss()
    assert float(loss(torch.from_numpy(p), torch.from_numpy(y))) == pytest.approx(expected, rel=1e-12)
    assert float(loss(torch.from_numpy(y), torch.from_numpy(y))) == pytest.approx(0, abs=1e-12)
    assert float(loss(torch.from_numpy(2 * y.mean() - y), torch.from_numpy(y))) == pytest.approx(2, abs=1e-12)


def test_the_mixture_is_a_density_that_fits() -> None:
    y = np.linspace(0, 12, 24001)
    assert integrate.trapezoid(MIXTURE.density(y), y) == pytest.approx(1, abs=1e-6)
    one = LabelMixture.fit(LABELS, components=1, min_sd=0.01)
    assert (one.means[0], one.sds[0]) == (pytest.approx(LABELS.mean()), pytest.approx(LABELS.std()))
    assert np.log(MIXTURE.density(LABELS)).mean() > np.log(one.density(LABELS)).mean() + 0.1
    rng = np.random.default_rng(0)
    two = LabelMixture.fit(np.append(rng.normal(2, 0.3, 9000), rng.normal(5, 0.6, 1000)), components=2, min_sd=0.1)
    np.testing.assert_allclose(two.means, [2, 5], atol=0.05)
    np.testing.assert_allclose(two.sds, [0.3, 0.6], atol=0.05)
    np.testing.assert_allclose(two.shares, [0.9, 0.1], atol=0.01)
    assert (LabelMixture.fit([4.0, 4.0, 5.0], components=3, min_sd=0.1).sds >= 0.1).all()
    with pytest.raises(ValueError, match="components"):
        LabelMixture.fit(LABELS, components=0, min_sd=0.1)


def test_gai_is_the_integral_over_the_training_density() -> None:
    p, y = batch(6)
    for s in (0.2, 0.5):
        grid = np.linspace(-6, 16, 44001)
        expected = []
        for a, b in zip(p.numpy(), y.numpy(), strict=True):
            evidence = integrate.trapezoid(stats.norm.pdf(grid, a, s) * MIXTURE.density(grid), grid)
            expected.append(-stats.norm.logpdf(b, a, s) + np.log(evidence))
        assert float(BalancedMSE(MIXTURE, noise_sd=s)(p, y).detach()) == pytest.approx(np.mean(expected), rel=1e-6)


def test_gai_is_plain_where_labels_are_equally_common_and_bold_where_they_are_not() -> None:
    """The best single prediction for labels of 5.5 lies above them: Balanced MSE undoes the pull of the many."""
    p = torch.full((1,), 5.5, requires_grad=True)
    BalancedMSE(MIXTURE, noise_sd=0.5)(p, torch.full((1,), 5.5)).backward()
    assert p.grad is not None
    assert float(p.grad) < 0
    flat = LabelMixture(np.ones(1), np.zeros(1), np.full(1, 1e4))
    q = torch.full((1,), 5.5, dtype=torch.float64, requires_grad=True)
    BalancedMSE(flat, noise_sd=0.5)(q, torch.full((1,), 5.0, dtype=torch.float64)).backward()
    assert q.grad is not None
    assert float(q.grad) == pytest.approx(0.5 / 0.25, rel=1e-5)  # (p - y) / s^2


def test_bmc_is_the_cross_entropy_of_the_own_label() -> None:
    p, y = batch(9)
    s = 0.4
    logits = -((p.numpy()[:, None] - y.numpy()[None, :]) ** 2) / (2 * s**2)
    expected = np.mean([-np.log(np.exp(logits[i, i]) / np.exp(logits[i]).sum()) for i in range(9)])
    assert float(BatchBalancedMSE(noise_sd=s)(p, y).detach()) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", [BalancedMSE(MIXTURE, noise_sd=0.5), BatchBalancedMSE(noise_sd=0.5)])
def test_the_noise_is_learnt(loss: BatchLoss) -> None:
    """Down to about the error of predictions that are better than it was at the start."""
    y = torch.from_numpy(LABELS[:60])
    p = y + 0.1 * torch.from_numpy(np.random.default_rng(0).normal(size=60))
    optimiser = torch.optim.Adam(loss.parameters(), lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        loss(p, y).backward()
        optimiser.step()
    (log_sd,) = loss.parameters()
    assert math.exp(float(log_sd.detach())) == pytest.approx(0.1, abs=0.03)


def conr_by_formula(z: Floats, p: Floats, y: Floats, eta: Floats, omega: float, push: float, t: float) -> float:
    """Anchor by anchor, pair by pair."""
    n, total = len(y), 0.0
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    for j in range(n):
        near = [i for i in range(n) if i != j and abs(y[j] - y[i]) <= omega + 1e-6]
        wrong = [i for i in range(n) if abs(y[j] - y[i]) > omega + 1e-6 and abs(p[j] - p[i]) <= omega]
        if near and wrong:
            pull = [math.exp(z[j] @ z[i] / t) for i in near]
            pushed = [eta[j] * math.exp(push * abs(y[j] - y[i])) * math.exp(z[j] @ z[i] / t) for i in wrong]
            total += float(np.mean([-math.log(a / (sum(pull) + sum(pushed))) for a in pull]))
    return total / n


@pytest.mark.parametrize("weighted", [False, True])
def test_conr(weighted: bool) -> None:
    rng = np.random.default_rng(3)
    z, p, y = rng.normal(size=(40, 5)), rng.normal(4.2, 0.2, 40), potassium(40, 5)
    weights = LabelWeights.inverse_sqrt(BINS) if weighted else None
    eta = weights(torch.from_numpy(y)).double().numpy() if weights else np.ones(40)
    loss = ConR(omega=0.2, push=0.5, weights=weights, temperature=0.3)
    features = torch.from_numpy(z).requires_grad_()
    got = loss(features, torch.from_numpy(p), torch.from_numpy(y))
    expected = conr_by_formula(z, p, y, eta, 0.2, 0.5, 0.3)
    assert expected > 0.5
    assert float(got.detach()) == pytest.approx(expected, rel=1e-9)
    assert torch.autograd.gradcheck(lambda x: loss(x, torch.from_numpy(p), torch.from_numpy(y)), (features,))


def test_conr_without_confusion_is_zero_with_a_gradient_of_zero() -> None:
    features = torch.randn(6, 3, requires_grad=True)
    y = torch.tensor([3.0, 3.0, 4.0, 4.0, 5.0, 5.0])
    loss = ConR(omega=0.2, push=0.1)(features, y, y)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert features.grad is not None
    assert not features.grad.any()
    with pytest.raises(ValueError, match="features"):
        ConR(omega=0.2, push=0.1)(features[:2], y, y)


def test_conr_parts_features_that_were_taken_for_one_another() -> None:
    torch.manual_seed(0)
    y = torch.tensor([4.0] * 8 + [6.0] * 8)
    z = nn.Parameter(torch.randn(16, 4) * 0.1 + torch.ones(4))
    loss, optimiser = ConR(omega=0.2, push=0.5), torch.optim.Adam([z], lr=0.02)

    def alike() -> float:
        unit = nn.functional.normalize(z.detach(), dim=1)
        return float((unit[:8] @ unit[8:].T).mean())

    before = alike()
    for _ in range(100):
        optimiser.zero_grad()
        loss(z, torch.full((16,), 4.2), y).backward()
        optimiser.step()
    assert before > 0.9
    assert alike() < 0.6


def fds_by_formula(train: Floats, labels: Floats, z: Floats, y: Floats) -> Floats:
    """One epoch of statistics, smoothed over the bins that have any, sample by sample."""
    bins = {b: train[np.rint(labels * 10) == b] for b in np.unique(np.rint(labels * 10))}
    kernel = {k: math.exp(-(k**2) / 8) for k in range(-2, 3)}
    out = np.empty_like(z)
    for i, b in enumerate(np.rint(y * 10)):
        near = {k: bins[b + k] for k in kernel if b + k in bins}
        norm = sum(kernel[k] for k in near)
        mu = sum(kernel[k] / norm * v.mean(axis=0) for k, v in near.items())
        var = sum(kernel[k] / norm * v.var(axis=0) for k, v in near.items())
        own = bins[b].var(axis=0)
        ratio = np.where(own > 0, np.clip(var / np.where(own > 0, own, 1), 0.1, 10), 1)
        out[i] = np.sqrt(ratio) * (z[i] - bins[b].mean(axis=0)) + mu
    return out


def test_fds() -> None:
    rng = np.random.default_rng(4)
    labels = LABELS[:800]
    train = rng.normal(labels[:, None], 1 + rng.random(800)[:, None], (800, 6))
    fds = FeatureDistributionSmoothing(LabelBins.from_labels(labels, width=0.1), 6)
    z, y = torch.from_numpy(train[:200]).float(), torch.from_numpy(labels[:200])
    assert torch.equal(fds(z, y), z)  # before the first epoch is over
    fds.update(torch.from_numpy(train), torch.from_numpy(labels))
    np.testing.assert_allclose(fds(z, y).numpy(), fds_by_formula(train, labels, train[:200], labels[:200]), atol=2e-4)
    assert torch.equal(fds.eval()(z, y), z)


def test_fds_moves_over_epochs_and_resumes() -> None:
    bins = LabelBins.from_labels([4.0, 4.1], width=0.1)
    fds, y = FeatureDistributionSmoothing(bins, 1), torch.tensor([4.0, 4.0, 4.1, 4.1])
    fds.update(torch.tensor([[0.0], [2.0], [5.0], [5.0]]), y)
    fds.update(torch.tensor([[10.0], [14.0]]), y[:2])
    assert fds.means[:, 0].tolist() == pytest.approx([0.9 * 1 + 0.1 * 12, 5.0])
    assert fds.variances[:, 0].tolist() == pytest.approx([0.9 * 1 + 0.1 * 4, 0.0])
    resumed = FeatureDistributionSmoothing(bins, 1)
    resumed.load_state_dict(fds.state_dict())
    z = torch.tensor([[1.0], [2.0], [3.0], [4.0]])
    assert torch.equal(resumed(z, y), fds(z, y))
    half = fds(z.bfloat16().requires_grad_(), y)
    assert half.dtype == torch.float32
    assert half.requires_grad
