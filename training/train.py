"""Train the network on a cohort, in one stage or two.

    python -m training.train --cohort cohorts/demo --out runs/l1
    python -m training.train --cohort cohorts/demo --out runs/dist --init runs/l1 --head-only --loss dist
    python -m training.train --cohort cohorts/ours --out runs/ours --init ecg_ka/bundles/demo --learning-rate 3e-4
    torchrun --nproc-per-node 8 -m training.train --cohort cohorts/mimic --out runs/l1 --draws by-position

The second form is regressor re-training: the features of the first run stay as they are, the head is trained anew with
Dist Loss. The third goes on from a bundle with a hospital's own ECGs. The last takes eight GPUs, and trains what one
would with the same batch.

SIGTERM, Ctrl-C or a kill may come at any moment: the same command goes on where the run was, on a CPU to the same
weights, bit for bit. What lies in the run folder is explained in training/run_folder.py.
"""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from ecg_ka.errors import BundleError
from ecg_ka.network import NetworkConfig, PotassiumNet
from ecg_ka.uncertainty import Pairs, Regions
from training import batch_statistics, ranks
from training.augment import Strength, augmentation_for
from training.board import Board
from training.checkpoint import Checkpoint
from training.cohort import Cohort, Split
from training.config import execute, to_json
from training.devices import device_named
from training.interruption import EXIT_CODE, Interrupted, Interruption
from training.metrics import regression_metrics
from training.objective import ObjectiveConfig, make_objective
from training.parent import Parent
from training.run_folder import RunFolder, environment
from training.selection import Selection
from training.trainer import (
    Epoch,
    Execution,
    HeadTrainer,
    Schedule,
    Trainer,
    WholeTrainer,
    embed,
    estimates_from,
    stored_features,
)

_AGREE_STEPS = 16  # several processes ask each other this often whether one was told to stop


@dataclass(frozen=True, kw_only=True)
class TrainConfig(ObjectiveConfig, Schedule, Execution):
    """Train the potassium network on a cohort. The same command goes on with a run that was interrupted."""

    cohort: Path = field(metadata={"help": "folder of a cohort"})
    out: Path = field(metadata={"help": "run folder"})
    init: Path | None = field(default=None, metadata={"help": "run or bundle whose weights to start from"})
    head_only: bool = field(default=False, metadata={"help": "freeze the features and retrain the head"})
    augmentation: Strength = field(default=Strength.LIGHT, metadata={"help": "how far augmentation goes"})
    patience: int = field(default=0, metadata={"help": "epochs without a better balanced MAE that end it; 0: all"})
    checkpoint_steps: int = field(default=500, metadata={"help": "steps between checkpoints, beside those of epochs"})
    tensorboard: bool = field(default=False, metadata={"help": "write curves for TensorBoard into the run folder"})
    deterministic: bool = field(default=False, metadata={"help": "only kernels that repeat, on a GPU too"})
    device: str = field(default="auto", metadata={"help": "cpu, cuda, or auto"})
    threads: int = field(default=2, metadata={"help": "CPU threads of torch"})

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"epochs": 1, "batch_size": 1, "checkpoint_steps": 1, "read_threads": 1, "threads": 1}
        wrong = [f"{name} {getattr(self, name)}" for name, value in least.items() if getattr(self, name) < value]
        if wrong or not 0 <= self.ema < 1:
            raise ValueError(f"{', '.join(wrong) or f'ema {self.ema}'}; expected at least 1, and 0 <= ema < 1")


def main() -> None:
    """Entry point of ``python -m training.train``."""
    try:
        execute(TrainConfig, run)
    except BundleError as error:
        sys.exit(f"error: {error}")
    except Interrupted as interrupted:
        print(interrupted, file=sys.stderr)
        sys.exit(EXIT_CODE)


def run(config: TrainConfig) -> dict[str, Any]:
    """Train as configured, or go on with it; returns the metrics of the best epoch on the validation split.

    Raises:
        FileExistsError: the run folder holds a run with other options.
        Interrupted: a signal asked for it; a checkpoint is written.
        FileNotFoundError, ValueError, BundleError: cohort, parent or checkpoint is missing or does not fit.
    """
    if config.head_only and config.init is None:
        raise ValueError("--head-only keeps features as they are; name with --init the run or bundle they come from")
    with ranks.joined(device_named(config.device)) as device:
        _settle(config)
        cohort = Cohort.open(config.cohort)
        parent = None if config.init is None else _parent(config.init, cohort)
        network_config = NetworkConfig(n_leads=cohort.signals.shape[1]) if parent is None else parent.network
        about = {
            "train": to_json(config),
            "network": asdict(network_config),
            "cohort": cohort.about,
            "after": None if parent is None else parent.about,
        }
        folder = RunFolder(config.out)
        folder.refuse_other(about)
        if folder.is_finished:
            print(f"{config.out} is finished; nothing to do", flush=True)
            return folder.metrics()
        if ranks.is_first():
            folder.begin(about, environment(device, ranks.n_ranks()))
        network = PotassiumNet(network_config).to(device)
        if parent is not None:
            parent.give_to(network)
        selection = _Run(config, cohort, _trainer(config, cohort, network)).to_its_end()
        if ranks.is_first():
            folder.finish({"epochs": len(selection.history), "is_early": selection.is_over, "best": selection.best})
        return selection.best


def load_weights(network: PotassiumNet, run_folder: Path) -> None:
    """Load the best weights of a run, strictly."""
    network.load_state_dict(load_file(run_folder / "weights.safetensors"), strict=True)


def _parent(folder: Path, cohort: Cohort) -> Parent:
    parent = Parent.open(folder)
    parent.refuse_other_signal(cohort.about["signal"])
    try:
        cohort.refuse_other_splits(parent.about, "if its patients are others, all is well")
    except ValueError as doubt:  # only told: nothing is judged yet
        if ranks.is_first():
            print(f"warning: {doubt}", file=sys.stderr)
    return parent


def _settle(config: TrainConfig) -> None:
    """What torch keeps for the whole process."""
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    torch.backends.cudnn.benchmark = not config.deterministic
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # or cuBLAS refuses to repeat itself
        torch.use_deterministic_algorithms(True)


def _trainer(config: TrainConfig, cohort: Cohort, network: PotassiumNet) -> Trainer:
    augment = augmentation_for(cohort.about["signal"]["leads"], config.augmentation)
    objective = make_objective(config, cohort.labels(cohort.rows(Split.TRAIN)), network.n_features)
    if config.head_only:
        stored = stored_features(network, cohort, augment, config.seed)
        return HeadTrainer(config, network, objective, *stored, execution=config)
    if ranks.is_several():
        batch_statistics.synchronise(network, next(network.parameters()).device)
    return WholeTrainer(config, network, objective, cohort, augment, config)


class _Run:
    """All epochs with their evaluation, and checkpoints on the way. Of several processes the first writes."""

    def __init__(self, config: TrainConfig, cohort: Cohort, trainer: Trainer) -> None:
        self._config, self._cohort, self._trainer = config, cohort, trainer
        self._selection = Selection(config.patience)
        checkpoint = Checkpoint.load(config.out)
        if checkpoint is not None:
            trainer.go_on(checkpoint)
            self._selection.go_on(checkpoint)
            print(f"going on in epoch {trainer.epoch} after {trainer.step} steps", flush=True)
        self._board = Board(config.out, trainer.n_done) if config.tensorboard and ranks.is_first() else None

    def to_its_end(self) -> Selection:
        """Train until all epochs are done or patience runs out.

        Raises:
            Interrupted: a signal asked for it; a checkpoint is written.
        """
        trainer = self._trainer
        with Interruption() as interruption:
            for epoch in () if self._selection.is_over else trainer.steps():
                is_asked_for = self._is_asked_for(interruption)
                if epoch is not None:
                    self._end(epoch)
                    if ranks.any_rank(self._selection.is_over, trainer.device):
                        break
                elif is_asked_for or trainer.n_done % self._config.checkpoint_steps == 0:
                    self._save()
                if is_asked_for:
                    raise Interrupted(f"stopped after {trainer.n_done} steps; the same command goes on")
        if ranks.is_first():
            self._selection.publish(self._config.out)
        return self._selection

    def _is_asked_for(self, interruption: Interruption) -> bool:
        """Several processes have to stop after the same step; asking each other at every one would cost time."""
        if ranks.is_several() and self._trainer.n_done % _AGREE_STEPS:
            return False
        return ranks.any_rank(interruption.is_asked_for, self._trainer.device)

    def _end(self, epoch: Epoch) -> None:
        """The checkpoint comes before the files for readers: it holds all that is in them."""
        if not ranks.is_first():
            return
        found = predict(self._trainer.result, self._cohort, self._cohort.rows(Split.VALIDATION))
        metrics = regression_metrics(found.labels, found.estimates, Regions())
        entry = {"epoch": epoch.number, "loss": epoch.loss, "seconds": epoch.seconds, "waited_s": epoch.waited_s}
        self._selection.add(entry, metrics, self._trainer.result)
        self._save()
        self._selection.publish(self._config.out)
        if self._board is not None:
            self._board.add(self._selection.history[-1], self._trainer.n_done)
        print(
            f"epoch {epoch.number}: loss {epoch.loss:.4f}, MAE {metrics['mae']:.4f}, "
            f"balanced MAE {metrics['balanced_mae']:.4f}, r {metrics['r']:.3f}",
            flush=True,
        )

    def _save(self) -> None:
        if ranks.is_first():
            self._selection.added_to(self._trainer.checkpoint()).save(self._config.out)


@torch.no_grad()
def predict(network: PotassiumNet, cohort: Cohort, rows: NDArray[np.int64]) -> Pairs:
    """What the network gives for the ECGs at ``rows``, beside their labels."""
    embedding = embed(network, cohort, rows)
    device = next(network.parameters()).device
    spreads = network.spread(embedding.to(device)).double().cpu().numpy()
    return Pairs(estimates_from(network, embedding), spreads, cohort.labels(rows))


if __name__ == "__main__":
    main()
