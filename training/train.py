"""Train the network on a cohort, in one stage or two.

    python -m training.train --cohort cohorts/demo --out runs/l1
    python -m training.train --cohort cohorts/demo --out runs/dist --init runs/l1 --head-only --loss dist

The second form is regressor re-training: the features of the first run stay as they are, the head is trained anew with
Dist Loss. Results lie in the run folder: config.json, history.json, weights.safetensors (best by balanced MAE on the
validation split), metrics.json.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ecg_ka.losses import (
    BatchLoss,
    DistLoss,
    LabelBins,
    LabelDistribution,
    LabelWeights,
    RegressorRetraining,
    SampleLoss,
)
from ecg_ka.network import NetworkConfig, PotassiumNet, n_parameters
from ecg_ka.preprocess import LSB_MV, SignalSpec
from ecg_ka.uncertainty import Regions
from training.augment import Augmentation, Strength
from training.cohort import Cohort, Split
from training.config import parse, to_json
from training.metrics import regression_metrics
from training.progress import Progress

BIN_MMOL_L = 0.1
MAX_WEIGHT_RATIO = 100.0  # of inverse weights: the rarest label against the most common


class Loss(StrEnum):
    """The training loss of the estimate."""

    L1 = "l1"
    DIST = "dist"


class Weights(StrEnum):
    """Weight of a label: equal, inverse or square-root inverse to how often it occurs."""

    NONE = "none"
    INV = "inv"
    SQINV = "sqinv"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Train the potassium network on a cohort."""

    cohort: Path = field(metadata={"help": "folder of a cohort"})
    out: Path = field(metadata={"help": "run folder to write; must not hold a run yet"})
    loss: Loss = field(default=Loss.L1, metadata={"help": "L1, or Dist Loss around it"})
    dist_weight: float = field(default=1.0, metadata={"help": "lambda of Dist Loss"})
    weights: Weights = field(default=Weights.NONE, metadata={"help": "extra weight on rare labels"})
    init: Path | None = field(default=None, metadata={"help": "run folder whose weights to start from"})
    head_only: bool = field(default=False, metadata={"help": "freeze the features and retrain the head"})
    augmentation: Strength = field(default=Strength.LIGHT, metadata={"help": "how far augmentation goes"})
    epochs: int = field(default=10, metadata={"help": "passes over the training split"})
    batch_size: int = field(default=256, metadata={"help": "ECGs a step"})
    learning_rate: float = field(default=2e-3, metadata={"help": "peak of the one-cycle schedule of AdamW"})
    weight_decay: float = field(default=1e-2, metadata={"help": "of AdamW"})
    seed: int = field(default=1, metadata={"help": "of weights, order and augmentation"})
    bf16: bool = field(default=True, metadata={"help": "bfloat16 autocast in the convolutions"})
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
    network = PotassiumNet(network_config).to(_device(config))
    if config.init is not None:
        load_weights(network, config.init)
    trainer = HeadTrainer(config, cohort, network) if config.head_only else Trainer(config, cohort, network)
    return trainer.fit()


def load_weights(network: PotassiumNet, run_folder: Path) -> None:
    """Load the best weights of a run, strictly."""
    network.load_state_dict(load_file(run_folder / "weights.safetensors"), strict=True)


class Trainer:
    """Trains all of the network, end to end."""

    def __init__(self, config: TrainConfig, cohort: Cohort, network: PotassiumNet) -> None:
        self.config, self.cohort, self.network = config, cohort, network
        self.device = next(network.parameters()).device
        self.generator = torch.Generator().manual_seed(config.seed)
        self.augment = _augmentation(cohort, config.augmentation)
        self.rows = cohort.rows(Split.TRAIN)
        self.labels = torch.from_numpy(cohort.labels(self.rows)).float()
        self.loss = _make_loss(config, self.labels.numpy())

    def parameters(self) -> list[nn.Parameter]:
        """What the optimiser moves."""
        return list(self.network.parameters())

    def n_steps(self) -> int:
        """Optimiser steps an epoch."""
        return -(-len(self.labels) // self.config.batch_size)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Estimates and spreads (B,) for positions in the training split."""
        steps = self.cohort.signals[self.rows[positions.numpy()]]
        signal_mv = torch.from_numpy(steps).to(self.device).float() * LSB_MV
        signal_mv = self.augment(signal_mv, self.generator)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.config.bf16):
            embedding = self.network.embed(signal_mv)
        embedding = embedding.float()
        return self.network.estimate(embedding), self.network.spread(embedding)

    def fit(self) -> dict[str, object]:
        """Train all epochs, keep the best by balanced MAE, write the run folder."""
        c = self.config
        optimiser = torch.optim.AdamW(self.parameters(), lr=c.learning_rate, weight_decay=c.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, c.learning_rate, total_steps=c.epochs * self.n_steps(), pct_start=0.2
        )
        history: list[dict[str, object]] = []
        best = np.inf
        for epoch in range(c.epochs):
            started = time.monotonic()
            loss = self._epoch(f"epoch {epoch + 1}/{c.epochs}", optimiser, schedule)
            metrics = self._validate()
            history.append({"epoch": epoch + 1, "loss": loss, "seconds": time.monotonic() - started, **metrics})
            print(
                f"epoch {epoch + 1}: loss {loss:.4f}, MAE {metrics['mae']:.4f}, "
                f"balanced MAE {metrics['balanced_mae']:.4f}, r {metrics['r']:.3f}",
                flush=True,
            )
            if float(str(metrics["balanced_mae"])) < best:
                best = float(str(metrics["balanced_mae"]))
                _save_best(self.network, c.out, metrics)
            _write_atomically(c.out / "history.json", json.dumps(history, indent=1))
        return dict(json.loads((c.out / "metrics.json").read_text()))

    def _epoch(
        self, label: str, optimiser: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
    ) -> float:
        self._to_training_mode()
        order = torch.randperm(len(self.labels), generator=self.generator)
        progress = Progress(label, len(order))
        total = 0.0
        for positions in torch.split(order, self.config.batch_size):
            estimate, spread = self.forward(positions)
            labels = self.labels[positions].to(self.device)
            loss = self.loss(estimate, labels) + spread_loss(estimate, spread, labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(positions)
            progress.step(len(positions), f"loss {float(loss.detach()):.3f}")
        return total / len(order)

    def _to_training_mode(self) -> None:
        self.network.train()

    def _validate(self) -> dict[str, object]:
        rows = self.cohort.rows(Split.VALIDATION)
        estimates, _, _ = predict(self.network, self.cohort, rows)
        return regression_metrics(self.cohort.labels(rows), estimates, Regions())


class HeadTrainer(Trainer):
    """Retrains the heads on features that are computed once: each training ECG as it is and augmented."""

    def __init__(self, config: TrainConfig, cohort: Cohort, network: PotassiumNet) -> None:
        super().__init__(config, cohort, network)
        self.retraining = RegressorRetraining(network, network.head, network.spread_head)
        plain = embed(network, cohort, self.rows)
        augmented = embed(network, cohort, self.rows, lambda x: self.augment(x, self.generator))
        self.embeddings = torch.cat([plain, augmented])
        self.labels = torch.cat([self.labels, self.labels])

    def parameters(self) -> list[nn.Parameter]:
        """The two heads."""
        return list(self.retraining.parameters())

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Estimates and spreads (B,) from the stored features."""
        embedding = self.embeddings[positions].to(self.device)
        return self.network.estimate(embedding), self.network.spread(embedding)

    def _to_training_mode(self) -> None:
        self.retraining.train()


def spread_loss(estimate: Tensor, spread: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of a Laplace distribution around the estimate, which itself gets no gradient."""
    return (torch.log(2 * spread) + (labels - estimate.detach()).abs() / spread).mean()


@torch.no_grad()
def embed(
    network: PotassiumNet, cohort: Cohort, rows: NDArray[np.int64], change: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Features (n, E) on the CPU of the ECGs at ``rows``."""
    network.eval()
    device = next(network.parameters()).device
    parts = []
    for chunk in np.array_split(rows, max(1, len(rows) // 512)):
        signal_mv = torch.from_numpy(cohort.signal_mv(chunk)).to(device)
        signal_mv = signal_mv if change is None else change(signal_mv)
        parts.append(network.embed(signal_mv).float().cpu())
    return torch.cat(parts)


@torch.no_grad()
def predict(
    network: PotassiumNet, cohort: Cohort, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Estimates (n,), spreads (n,) and features (n, E) of the ECGs at ``rows``."""
    embedding = embed(network, cohort, rows)
    device = next(network.parameters()).device
    estimate = network.estimate(embedding.to(device)).double().cpu().numpy()
    spread = network.spread(embedding.to(device)).double().cpu().numpy()
    return estimate, spread, embedding.numpy()


def _make_loss(config: TrainConfig, labels: NDArray[np.float32]) -> BatchLoss:
    sample = SampleLoss(weights=_label_weights(config.weights, LabelBins.from_labels(labels, width=BIN_MMOL_L)))
    match config.loss:
        case Loss.L1:
            return sample
        case Loss.DIST:
            return DistLoss(LabelDistribution.from_labels(labels), sample=sample, weight=config.dist_weight)


def _label_weights(weights: Weights, bins: LabelBins) -> LabelWeights | None:
    match weights:
        case Weights.NONE:
            return None
        case Weights.INV:
            return LabelWeights.inverse(bins, least=float(bins.counts.max()) / MAX_WEIGHT_RATIO)
        case Weights.SQINV:
            return LabelWeights.inverse_sqrt(bins)


def _augmentation(cohort: Cohort, strength: Strength) -> Augmentation:
    leads = SignalSpec.from_dict(cohort.about["signal"]).leads
    light = Augmentation(chest_rows=tuple(i for i, lead in enumerate(leads) if lead.startswith("V")))
    return {Strength.LIGHT: light, Strength.STRONG: light.strong()}[strength]


def _device(config: TrainConfig) -> torch.device:
    name = config.device
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def _save_best(network: PotassiumNet, folder: Path, metrics: dict[str, object]) -> None:
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, folder / "weights.part")
    (folder / "weights.part").replace(folder / "weights.safetensors")
    _write_atomically(folder / "metrics.json", json.dumps({**metrics, "parameters": n_parameters(network)}, indent=1))


def _write_atomically(path: Path, text: str) -> None:
    part = path.with_suffix(".part")
    part.write_text(text + "\n")
    part.replace(path)


if __name__ == "__main__":
    main()
