"""What goes around a loss: ranks, big batches, samplers, re-training, sharpness-aware steps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ecg_ka.losses import (
    BSAM,
    BatchBalancedMSE,
    DistLoss,
    LabelDistribution,
    RegressorRetraining,
    StratifiedBatchSampler,
    backward_big_batch,
    gather_ranks,
)
from tests.ecg_ka import rank_of_two
from tests.ecg_ka.labels import LABELS, potassium

PRIOR = LabelDistribution.from_labels(LABELS)
ROOT = Path(__file__).parents[2]


def gradients(module: nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in module.parameters() if p.grad is not None]


def test_two_ranks_are_one_process_on_the_global_batch(tmp_path: Path) -> None:
    """Two gloo processes with DistributedDataParallel and batches of 5 and 9: loss and gradients of one with 14."""
    x, y = torch.randn(14, 3, dtype=torch.float64), torch.from_numpy(potassium(14))
    torch.save([(x[:5], y[:5]), (x[5:], y[5:])], tmp_path / "batches.pt")
    command = [sys.executable, "-m", "tests.ecg_ka.rank_of_two"]
    ranks = [subprocess.Popen([*command, str(rank), str(tmp_path)], cwd=ROOT) for rank in range(2)]
    assert [rank.wait(timeout=250) for rank in ranks] == [0, 0]
    for rank in range(2):
        found = torch.load(tmp_path / f"gradients_{rank}.pt")
        for loss, got in zip(rank_of_two.losses(), found, strict=True):
            torch.testing.assert_close(got, rank_of_two.gradients(rank_of_two.network(), x, y, loss), rtol=0, atol=1e-6)


def test_without_ranks_gathering_changes_nothing() -> None:
    x = torch.randn(3)
    assert gather_ranks(x) is x


def small_network(*extra: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 16), *extra, nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0))


@pytest.mark.parametrize("sizes", [[64], [16, 16, 16, 16], [30, 1, 33]])
def test_accumulation_is_the_big_batch(sizes: list[int]) -> None:
    model, loss = small_network(), nn.ModuleList([DistLoss(PRIOR), BatchBalancedMSE(noise_sd=0.5)])
    x, y = torch.randn(64, 4), torch.from_numpy(potassium(64)).float()
    for part in loss:
        model.zero_grad()
        value = part(model(x), y)
        value.backward()
        expected = gradients(model)
        expected_of_loss = gradients(part)
        model.zero_grad()
        part.zero_grad()
        got = backward_big_batch(model, torch.split(x, sizes), y, part)
        torch.testing.assert_close(got, value.detach(), rtol=0, atol=1e-6)
        torch.testing.assert_close(gradients(model), expected, rtol=0, atol=1e-6)
        torch.testing.assert_close(gradients(part), expected_of_loss, rtol=0, atol=1e-6)


def test_accumulation_repeats_its_random_numbers_and_moves_statistics_once() -> None:
    """With dropout and batch norm: as if every chunk had gone through the network once, and the generator too."""
    model, again = (
        small_network(nn.BatchNorm1d(16), nn.Dropout(0.5)),
        small_network(nn.BatchNorm1d(16), nn.Dropout(0.5)),
    )
    x, y = torch.randn(48, 4), torch.from_numpy(potassium(48)).float()
    torch.manual_seed(7)
    backward_big_batch(model, torch.split(x, 16), y, DistLoss(PRIOR))
    after = torch.rand(1)
    torch.manual_seed(7)
    DistLoss(PRIOR)(torch.cat([again(chunk) for chunk in torch.split(x, 16)]), y).backward()
    assert torch.equal(after, torch.rand(1))
    torch.testing.assert_close(gradients(model), gradients(again), rtol=0, atol=1e-6)
    torch.testing.assert_close(dict(model.named_buffers()), dict(again.named_buffers()))


def test_accumulation_inside_autocast_reaches_the_weights() -> None:
    model = small_network()
    x, y = torch.randn(32, 4), torch.from_numpy(potassium(32)).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        backward_big_batch(model, torch.split(x, 8), y, DistLoss(PRIOR))
    got = gradients(model)
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        DistLoss(PRIOR)(model(x), y).backward()
    expected = gradients(model)
    assert len(got) == len(expected) == 4
    torch.testing.assert_close(got, expected, rtol=0.05, atol=0.01)


@given(st.integers(1, 400), st.integers(1, 70), st.integers(0, 2**20))
@settings(max_examples=60, deadline=None)
def test_an_epoch_of_stratified_batches_is_every_position_once(n: int, batch_size: int, seed: int) -> None:
    sampler = StratifiedBatchSampler(potassium(n, seed), batch_size, seed=seed)
    batches = list(sampler)
    assert sorted(i for batch in batches for i in batch) == list(range(n))
    assert len(batches) == len(sampler)
    full = min(batch_size, n)
    assert sum(len(batch) < full for batch in batches) <= 1


@pytest.mark.parametrize("batch_size", [16, 64, 128])
def test_stratified_batches_always_hold_their_share_of_rare_labels(batch_size: int) -> None:
    """Where random batches often have none."""
    low, high = np.quantile(LABELS, [1.5 / batch_size, 1 - 1.5 / batch_size])
    batches = [LABELS[b] for b in StratifiedBatchSampler(LABELS, batch_size, seed=0) if len(b) == batch_size]
    assert len(batches) == len(LABELS) // batch_size
    assert all((b <= low).any() and (b >= high).any() for b in batches)
    order = np.random.default_rng(0).permutation(len(LABELS))
    random = [LABELS[c] for c in np.split(order, range(batch_size, len(LABELS), batch_size))]

    def distance(labels: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        return float(np.abs(np.sort(labels) - PRIOR.targets(len(labels))).mean())

    assert np.mean([distance(b) for b in batches]) < 0.5 * np.mean([distance(b) for b in random])


def test_epochs_differ_and_resume() -> None:
    sampler, other = (StratifiedBatchSampler(np.linspace(0, 1, 640), 64, seed=3) for _ in range(2))
    first, second = list(sampler), list(sampler)
    together = [{frozenset(batch) for batch in epoch} for epoch in (first, second)]
    assert not together[0] & together[1]
    other.epoch = 1
    assert list(other) == second
    with pytest.raises(ValueError, match="batches of 0"):
        StratifiedBatchSampler(LABELS, 0, seed=0)


class Model(nn.Module):
    """Features with batch norm, dropout and a gate whose name looks like a head's; and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5))
        self.fc_gate = nn.Linear(8, 8)
        self.regressor = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1), nn.Linear(8, 1), nn.Flatten(0))

    def forward(self, x: Tensor) -> Tensor:
        h = self.features(x)
        out: Tensor = self.regressor(h * torch.sigmoid(self.fc_gate(h)))
        return out


def test_retraining_moves_the_head_alone() -> None:
    """An ordinary loop with the stage in place of the model; batch-norm statistics stay too."""
    torch.manual_seed(0)
    model = Model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    stage = RegressorRetraining(model, model.regressor)
    optimiser = torch.optim.AdamW(stage.parameters(), lr=0.1)
    stage.train()
    assert (model.regressor.training, model.features.training) == (True, False)
    for _ in range(3):
        DistLoss(PRIOR)(stage(torch.randn(32, 4)), torch.from_numpy(potassium(32)).float()).backward()
        optimiser.step()
    changed = {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"regressor"}
    assert not stage.eval().training
    assert not model.regressor.training


def test_retraining_can_be_reset_and_undone() -> None:
    model = Model()
    model.fc_gate.requires_grad_(False)
    stage = RegressorRetraining(model, model.regressor)
    before = [p.detach().clone() for p in stage.parameters()]
    stage.reset()
    assert not any(torch.equal(p, old) for p, old in zip(stage.parameters(), before, strict=True))
    assert len(list(stage.parameters())) == 4
    assert stage.release() is model
    assert {name for name, p in model.named_parameters() if not p.requires_grad} == {"fc_gate.weight", "fc_gate.bias"}


def test_a_head_must_be_given_and_be_of_the_model() -> None:
    with pytest.raises(ValueError, match="heads"):
        RegressorRetraining(Model(), nn.Linear(8, 1))
    with pytest.raises(ValueError, match="0 heads"):
        RegressorRetraining(Model())


def quadratic(theta: Tensor) -> Tensor:
    return (torch.tensor([1.0, 10.0], dtype=torch.float64) * theta.square()).sum() / 2


def test_bsam_steps_with_the_gradient_from_uphill() -> None:
    """On a quadratic the definition can be written down: theta - lr A (theta + rho g / |g|), g = A theta."""
    theta = nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.float64))
    optimiser = BSAM(torch.optim.SGD([theta], lr=0.01), rho=0.2)

    def closure() -> Tensor:
        theta.grad = None
        loss = quadratic(theta)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    start, a = np.array([1.0, 1.0]), np.array([1.0, 10.0])
    g = a * start
    expected = start - 0.01 * a * (start + 0.2 * g / np.linalg.norm(g))
    assert float(optimiser.step(closure)) == pytest.approx(5.5)
    np.testing.assert_allclose(theta.detach().numpy(), expected, rtol=1e-12)


def test_bsam_stays_where_the_gradient_is_zero() -> None:
    theta = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def closure() -> Tensor:
        theta.grad = None
        loss = quadratic(theta)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    BSAM(torch.optim.SGD([theta], lr=1.0)).step(closure)
    assert not theta.detach().any()
