"""Train the network on a cohort, in one stage or two.

    python -m training.train --cohort cohorts/demo --out runs/l1
    python -m training.train --cohort cohorts/demo --out runs/dist --init runs/l1 --head-only --loss dist

The second form is regressor re-training: the features of the first run stay as they are, the head is trained anew with
Dist Loss. Results lie in the run folder: config.json, history.json, weights.safetensors (best by balanced MAE on the
validation split), metrics.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save

from ecg_ka.network import NetworkConfig, PotassiumNet, n_parameters
from ecg_ka.uncertainty import Regions
from training.augment import Strength, augmentation_for
from training.cohort import Cohort, Split
from training.config import parse, to_json
from training.files import write_atomically
from training.metrics import regression_metrics
from training.objective import ObjectiveConfig, make_objective
from training.trainer import (
    HeadTrainer,
    Schedule,
    Trainer,
    WholeTrainer,
    device_named,
    embed,
    estimates_from,
    stored_features,
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(ObjectiveConfig, Schedule):
    """Train the potassium network on a cohort."""

    cohort: Path = field(metadata={"help": "folder of a cohort"})
    out: Path = field(metadata={"help": "run folder to write; must not hold a run yet"})
    init: Path | None = field(default=None, metadata={"help": "run folder whose weights to start from"})
    head_only: bool = field(default=False, metadata={"help": "freeze the features and retrain the head"})
    augmentation: Strength = field(default=Strength.LIGHT, metadata={"help": "how far augmentation goes"})
    device: str = field(default="auto", metadata={"help": "cpu, cuda, or auto"})
    threads: int = field(default=2, metadata={"help": "CPU threads of torch"})


def main() -> None:
    """Entry point of ``python -m training.train``."""
    run(parse(TrainConfig))


def run(config: TrainConfig) -> dict[str, object]:
    """Train as configured; returns the metrics of the best epoch on the validation split.

    Raises:
        FileExistsError: the run folder holds a run already.
    """
    if (config.out / "config.json").exists():
        raise FileExistsError(f"{config.out} holds a run already; name another folder with --out or delete it")
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    torch.backends.cudnn.benchmark = True
    cohort = Cohort.open(config.cohort)
    network_config = NetworkConfig(n_leads=cohort.signals.shape[1])
    config.out.mkdir(parents=True, exist_ok=True)
    about = {"train": to_json(config), "network": asdict(network_config), "cohort": cohort.about}
    (config.out / "config.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    network = PotassiumNet(network_config).to(device_named(config.device))
    if config.init is not None:
        load_weights(network, config.init)
    return _fit(_trainer(config, cohort, network), cohort, config.out)


def load_weights(network: PotassiumNet, run_folder: Path) -> None:
    """Load the best weights of a run, strictly."""
    network.load_state_dict(load_file(run_folder / "weights.safetensors"), strict=True)


def _trainer(config: TrainConfig, cohort: Cohort, network: PotassiumNet) -> Trainer:
    augment = augmentation_for(cohort.about["signal"]["leads"], config.augmentation)
    objective = make_objective(config, cohort.labels(cohort.rows(Split.TRAIN)), network.n_features)
    if config.head_only:
        return HeadTrainer(config, network, objective, *stored_features(network, cohort, augment, config.seed))
    return WholeTrainer(config, network, objective, cohort, augment)


def _fit(trainer: Trainer, cohort: Cohort, out: Path) -> dict[str, object]:
    """Train all epochs, keep the best by balanced MAE on the validation split, write the run folder."""
    history: list[dict[str, object]] = []
    best = np.inf
    for epoch in trainer.epochs():
        estimates, _, _ = predict(trainer.network, cohort, cohort.rows(Split.VALIDATION))
        metrics = regression_metrics(cohort.labels(cohort.rows(Split.VALIDATION)), estimates, Regions())
        history.append({"epoch": epoch.number, "loss": epoch.loss, "seconds": epoch.seconds, **metrics})
        print(
            f"epoch {epoch.number}: loss {epoch.loss:.4f}, MAE {metrics['mae']:.4f}, "
            f"balanced MAE {metrics['balanced_mae']:.4f}, r {metrics['r']:.3f}",
            flush=True,
        )
        if metrics["balanced_mae"] < best:
            best = metrics["balanced_mae"]
            _save_best(trainer.network, out, metrics)
        write_atomically(out / "history.json", json.dumps(history, indent=1) + "\n")
    return dict(json.loads((out / "metrics.json").read_text()))


@torch.no_grad()
def predict(
    network: PotassiumNet, cohort: Cohort, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Estimates (n,), spreads (n,) and features (n, E) of the ECGs at ``rows``."""
    embedding = embed(network, cohort, rows)
    device = next(network.parameters()).device
    spread = network.spread(embedding.to(device)).double().cpu().numpy()
    return estimates_from(network, embedding), spread, embedding.numpy()


def _save_best(network: PotassiumNet, folder: Path, metrics: Mapping[str, object]) -> None:
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_atomically(folder / "weights.safetensors", save(state))
    saved = {**metrics, "parameters": n_parameters(network)}
    write_atomically(folder / "metrics.json", json.dumps(saved, indent=1) + "\n")


if __name__ == "__main__":
    main()
