"""One of the processes that train together; test_ranks.py starts them.

torchrun ... -m tests.training.rank_training FOLDER: each writes losses_RANK.json, by objective the loss of every step.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from ecg_ka.losses import gather_ranks
from tests.training.test_trainer import COHORT, LABELS, SCHEDULE, network
from training import batch_statistics, ranks
from training.augment import Strength, augmentation_for
from training.draws import Order
from training.objective import Addition, Loss, ObjectiveConfig, Weights, make_objective
from training.trainer import Execution, WholeTrainer

OBJECTIVES = {
    "dist and smoothing": ObjectiveConfig(loss=Loss.DIST, weights=Weights.SQINV, addition=Addition.FDS),
    "noise that is learnt": ObjectiveConfig(loss=Loss.BMC),
    "contrast": ObjectiveConfig(loss=Loss.HUBER, addition=Addition.CONR),
    "sharpness": ObjectiveConfig(loss=Loss.HUBER, addition=Addition.BSAM),
}
"""Smooth losses: which pairs ConR pushes and on which side of a kink an error lies are decisions; where rounding tips
one, both curves are right and part. BMC beside ConR parts so after 19 of 50 steps."""
IN_DOUBLE = "sharpness"
"""BSAM climbs before it descends, which multiplies rounding: in single precision two runs of one process, of which one
sums each batch from its other end, part by more than 1e-5 at step 22 and by 4e-3 within 50 steps, as two processes do;
in double precision by 7e-16."""
LEADS = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")


class Recording(WholeTrainer):
    """Keeps the loss of every step."""

    losses: list[float]
    is_double = False

    def features(self, batch: torch.Tensor) -> torch.Tensor:
        return gather_ranks(self.network.embed(batch.double())) if self.is_double else super().features(batch)

    def _step(self, batch: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        loss = super()._step(batch, labels)
        self.losses.append(float(loss))
        return loss


def curves() -> dict[str, list[float]]:
    """Of 50 steps: 10 epochs of four batches of 29 and one of 4."""
    schedule = replace(SCHEDULE, epochs=10, batch_size=29)
    found = {}
    for name, config in OBJECTIVES.items():
        net = network()
        if ranks.is_several():
            batch_statistics.synchronise(net, torch.device("cpu"))
        net = net.double() if name == IN_DOUBLE else net
        objective = make_objective(config, LABELS, net.n_features)
        augment = augmentation_for(LEADS, Strength.FULL)
        trainer = Recording(schedule, net, objective, COHORT, augment, Execution(draws=Order.BY_POSITION, ema=0.9))
        trainer.losses, trainer.is_double = [], name == IN_DOUBLE
        if trainer.is_double:
            trainer.labels = trainer.labels.double()
        assert len(list(trainer.epochs())) == 10
        found[name] = trainer.losses
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    with ranks.joined(torch.device("cpu")):
        found = curves()
        (Path(sys.argv[1]) / f"losses_{torch.distributed.get_rank()}.json").write_text(json.dumps(found))
