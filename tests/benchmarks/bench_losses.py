"""What Dist Loss costs: beside the same thing written inline, and beside a training step. One thread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from ecg_ka.losses import DistLoss, LabelBins, LabelDistribution, LabelWeights, SampleLoss
from ecg_ka.network import NetworkConfig, PotassiumNet
from tests.benchmarks.bench_path import seconds
from tests.ecg_ka.labels import LABELS, potassium

PRIOR = LabelDistribution.from_labels(LABELS)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def batch(n: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.normal(4.2, 0.5, (n,), generator=generator).requires_grad_(), torch.from_numpy(potassium(n)).float()


def test_forward_and_backward_against_inline() -> None:
    """N = 1024; goal at most 1.5 times torch.sort + L1."""
    p, y = batch(1024)
    q = torch.from_numpy(PRIOR.targets(1024)).float()
    loss = DistLoss(PRIOR)
    weights = LabelWeights.inverse(LabelBins.from_labels(LABELS, width=0.1))
    weighted = DistLoss(PRIOR, sample=SampleLoss(weights=weights))

    def inline() -> None:
        torch.autograd.backward((p - y).abs().mean() + (torch.sort(p).values - q).abs().mean())

    times = seconds(
        inline,
        lambda: torch.autograd.backward(loss(p, y)),
        lambda: torch.autograd.backward(weighted(p, y)),
        rounds=60,
        repeats=10,
    )
    ratio, ratio_weighted = times[1] / times[0], times[2] / times[0]
    print(
        f"\nDist Loss, N = 1024: {1e6 * times[1]:.0f} us, {ratio:.2f} times inline; {ratio_weighted:.2f} with weights"
    )
    assert ratio <= 1.5


def test_share_of_a_training_step() -> None:
    """256 ECGs through the shipped network, forward and backward; goal far under 1 %."""
    torch.manual_seed(0)
    network, loss = PotassiumNet(NetworkConfig()), DistLoss(PRIOR)
    x, (p, y) = torch.randn(256, 8, 2500), batch(256)
    network_s, loss_s = seconds(
        lambda: torch.autograd.backward(network(x).potassium_mmol_l.sum()),
        lambda: torch.autograd.backward(loss(p, y)),
        rounds=3,
        repeats=1,
    )
    print(f"\nDist Loss is {100 * loss_s / network_s:.3f} % of a step of {network_s:.2f} s")
    assert loss_s < 0.01 * network_s
