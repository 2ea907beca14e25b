"""The training loop on noise: every loss and addition has its effect, and none has more than that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ecg_ka.losses import BatchBalancedMSE
from ecg_ka.network import NetworkConfig, PotassiumNet
from training.augment import Augmentation
from training.cohort import Cohort, Split
from training.devices import in_bfloat16
from training.objective import Addition, Loss, ObjectiveConfig, Weights, make_objective
from training.trainer import HeadTrainer, Schedule, Trainer, WholeTrainer

SCHEDULE = Schedule(epochs=2, batch_size=50, bf16=False)
RNG = np.random.default_rng(0)
COHORT = Cohort(
    RNG.integers(-500, 500, (120, 8, 125)).astype(np.int16),
    {"split": np.full(120, "train"), "potassium_mmol_l": np.round(RNG.normal(4.2, 0.7, 120), 1).astype(np.float32)},
    {},
)
LABELS = COHORT.labels(COHORT.rows(Split.TRAIN))


def network() -> PotassiumNet:
    torch.manual_seed(0)
    return PotassiumNet(NetworkConfig(channels=(8, 8, 8, 16), head_width=16))


def whole(config: ObjectiveConfig, *, spread: bool = True, schedule: Schedule = SCHEDULE) -> WholeTrainer:
    net = network()
    objective = make_objective(config, LABELS, net.n_features, spread=spread)
    return WholeTrainer(schedule, net, objective, COHORT, Augmentation(chest_rows=(2, 3)))


def weights(trained: Iterable[Tensor]) -> bytes:
    return b"".join(w.detach().numpy().tobytes() for w in trained)


def trained(trainer: Trainer) -> Trainer:
    assert [epoch.number for epoch in trainer.epochs()] == [1, 2]
    return trainer


CONFIGS = [
    *(ObjectiveConfig(loss=loss) for loss in Loss),
    *(ObjectiveConfig(weights=w) for w in Weights if w is not Weights.NONE),
    *(ObjectiveConfig(addition=a) for a in Addition if a is not Addition.NONE),
    ObjectiveConfig(loss=Loss.DIST, dist_weight=0.1),
    ObjectiveConfig(loss=Loss.DIST, dist_tempering=0.5),
]


def test_every_objective_trains_in_its_own_way_and_repeats() -> None:
    found = [weights(trained(whole(config)).network.head.parameters()) for config in CONFIGS]
    assert len(set(found)) == len(CONFIGS)
    assert weights(trained(whole(CONFIGS[0])).network.head.parameters()) == found[0]


@pytest.mark.parametrize("has_it", [False, True])
def test_bfloat16_is_for_processors_that_have_it(has_it: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": has_it})
    asked, single = (whole(CONFIGS[0], schedule=replace(SCHEDULE, bf16=bf16)) for bf16 in (True, False))
    found = [weights(trained(trainer).network.blocks.parameters()) for trainer in (asked, single)]
    assert (found[0] != found[1]) is has_it
    assert in_bfloat16(torch.device("cuda"))


def test_the_head_is_trained_alone() -> None:
    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    stored, labels = torch.randn(120, net.n_features), torch.from_numpy(LABELS).float()
    objective = make_objective(ObjectiveConfig(loss=Loss.DIST), LABELS, net.n_features, spread=False)
    trained(HeadTrainer(SCHEDULE, net, objective, stored, labels))
    changed = {name.split(".")[0] for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head"}


def test_the_learnt_noise_of_balanced_mse_is_learnt() -> None:
    trainer = trained(whole(ObjectiveConfig(loss=Loss.BMC)))
    assert isinstance(trainer.objective.loss, BatchBalancedMSE)
    assert float(trainer.objective.loss.log_noise_sd.detach()) != pytest.approx(np.log(0.5), abs=1e-6)


@pytest.mark.parametrize("n_steps", range(1, 12))
def test_a_run_of_few_steps_runs_and_moves(n_steps: int) -> None:
    """Of 120 ECGs in all: the schedule of the learning rate has to do with whatever is left for it."""
    net = network()
    before = weights(net.parameters())
    objective = make_objective(ObjectiveConfig(), LABELS, net.n_features)
    schedule = replace(SCHEDULE, epochs=n_steps, batch_size=len(LABELS))
    trainer = WholeTrainer(schedule, net, objective, COHORT, Augmentation(chest_rows=(2, 3)))
    assert all(np.isfinite(epoch.loss) for epoch in trainer.epochs())
    assert trainer.n_done == n_steps
    assert weights(net.parameters()) != before
