"""The training loop, of a whole network or of its heads on stored features. What it minimises is given to it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecg_ka.losses import BSAM, RegressorRetraining
from ecg_ka.network import PotassiumNet
from ecg_ka.preprocess import LSB_MV
from training.augment import Augmentation
from training.cohort import Cohort, Split
from training.objective import CONTRAST_WEIGHT, Objective
from training.progress import Progress

_MAX_GRADIENT = 5.0


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast."""

    epochs: int = field(default=10, metadata={"help": "passes over the training split"})
    batch_size: int = field(default=256, metadata={"help": "ECGs a step"})
    learning_rate: float = field(default=2e-3, metadata={"help": "peak of the one-cycle schedule of AdamW"})
    weight_decay: float = field(default=1e-2, metadata={"help": "of AdamW"})
    seed: int = field(default=1, metadata={"help": "of weights, order and augmentation"})
    bf16: bool = field(default=True, metadata={"help": "bfloat16 autocast in the convolutions"})


class Epoch(NamedTuple):
    """One pass: its number from 1 on, the mean loss, how long it took and in how many steps."""

    number: int
    loss: float
    seconds: float
    n_steps: int


class Trainer(ABC):
    """Moves the parameters of a network; ``labels`` (n,) in mmol/L are those of the training ECGs."""

    def __init__(self, schedule: Schedule, network: PotassiumNet, objective: Objective, labels: Tensor) -> None:
        self.schedule, self.network, self.objective, self.labels = schedule, network, objective, labels
        self.device = next(network.parameters()).device
        self.generator = torch.Generator().manual_seed(schedule.seed)
        self._seen: list[tuple[Tensor, Tensor]] = []  # features and labels of this epoch, for smoothing
        objective.loss.to(self.device)
        if objective.smoothing is not None:
            objective.smoothing.to(self.device)

    @abstractmethod
    def parameters(self) -> list[nn.Parameter]:
        """What the optimiser moves in the network."""

    @abstractmethod
    def batch(self, positions: Tensor) -> Tensor:
        """Inputs (B, ...) of the training ECGs at ``positions``."""

    @abstractmethod
    def features(self, batch: Tensor) -> Tensor:
        """Their features (B, E)."""

    @abstractmethod
    def to_training_mode(self) -> None:
        """Only what is trained."""

    def epochs(self) -> Iterator[Epoch]:
        """Train; whoever iterates decides what happens between epochs."""
        s = self.schedule
        trained = [*self.parameters(), *self.objective.loss.parameters()]
        optimiser = torch.optim.AdamW(trained, lr=s.learning_rate, weight_decay=s.weight_decay)
        n_steps = -(-len(self.labels) // s.batch_size)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, s.learning_rate, total_steps=s.epochs * n_steps, pct_start=0.2
        )
        for number in range(1, s.epochs + 1):
            started = time.monotonic()
            loss = self._epoch(f"epoch {number}/{s.epochs}", optimiser, schedule)
            yield Epoch(number, loss, time.monotonic() - started, n_steps)

    def _epoch(
        self, label: str, optimiser: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler
    ) -> float:
        self.to_training_mode()
        order = torch.randperm(len(self.labels), generator=self.generator)
        progress = Progress(label, len(order))
        total = 0.0
        for positions in torch.split(order, self.schedule.batch_size):
            loss = float(self._step(positions, optimiser))
            schedule.step()
            total += loss * len(positions)
            progress.step(len(positions), f"loss {loss:.3f}")
        self._update_smoothing()
        return total / len(order)

    def _step(self, positions: Tensor, optimiser: torch.optim.Optimizer) -> Tensor:
        batch, labels = self.batch(positions), self.labels[positions].to(self.device)

        def gradient() -> Tensor:
            optimiser.zero_grad(set_to_none=True)
            loss = self._loss(batch, labels)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(self.parameters(), _MAX_GRADIENT)
            return loss.detach()

        if self.objective.sharpness:
            return BSAM(optimiser, rho=self.objective.sharpness).step(gradient)
        loss = gradient()
        optimiser.step()
        return loss

    def _loss(self, batch: Tensor, labels: Tensor) -> Tensor:
        features, o = self.features(batch), self.objective
        if o.smoothing is not None:
            self._seen.append((features.detach(), labels))
            features = o.smoothing(features, labels)
        estimate = self.network.estimate(features)
        loss: Tensor = o.loss(estimate, labels)
        if o.contrast is not None:
            loss = loss + CONTRAST_WEIGHT * o.contrast(features, estimate, labels)
        if o.spread:
            loss = loss + spread_loss(estimate, self.network.spread(features), labels)
        return loss

    def _update_smoothing(self) -> None:
        """From the features as the steps of the epoch saw them: nothing is computed twice."""
        if self.objective.smoothing is not None:
            features, labels = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
            self.objective.smoothing.update(features, labels)
            self._seen.clear()


class WholeTrainer(Trainer):
    """Trains all of the network on the training split of a cohort, end to end."""

    def __init__(
        self, schedule: Schedule, network: PotassiumNet, objective: Objective, cohort: Cohort, augment: Augmentation
    ) -> None:
        super().__init__(schedule, network, objective, training_labels(cohort))
        self.cohort, self.augment = cohort, augment
        self.rows = cohort.rows(Split.TRAIN)

    def parameters(self) -> list[nn.Parameter]:
        """All."""
        return list(self.network.parameters())

    def batch(self, positions: Tensor) -> Tensor:
        """Augmented signals (B, leads, T) in mV."""
        steps = self.cohort.signals[self.rows[positions.numpy()]]
        return self.augment(torch.from_numpy(steps).to(self.device).float() * LSB_MV, self.generator)

    def features(self, batch: Tensor) -> Tensor:
        """Of signals, in bfloat16 where the schedule says so."""
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.schedule.bf16):
            embedding = self.network.embed(batch)
        return embedding.float()

    def to_training_mode(self) -> None:
        """All of it."""
        self.network.train()


class HeadTrainer(Trainer):
    """Retrains the heads on stored features (n, E); the rest of the network stays as it is."""

    def __init__(
        self, schedule: Schedule, network: PotassiumNet, objective: Objective, stored: Tensor, labels: Tensor
    ) -> None:
        super().__init__(schedule, network, objective, labels)
        self.retraining = RegressorRetraining(network, network.head, network.spread_head)
        self.stored = stored

    def parameters(self) -> list[nn.Parameter]:
        """The two heads."""
        return list(self.retraining.parameters())

    def batch(self, positions: Tensor) -> Tensor:
        """Stored features (B, E)."""
        return self.stored[positions].to(self.device)

    def features(self, batch: Tensor) -> Tensor:
        """Themselves."""
        return batch

    def to_training_mode(self) -> None:
        """The heads; batch statistics stay."""
        self.retraining.train()


def device_named(name: str) -> torch.device:
    """A device by torch's name, or ``auto``: the GPU if there is one."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def training_labels(cohort: Cohort) -> Tensor:
    """Labels (n,) in mmol/L of the training split."""
    return torch.from_numpy(cohort.labels(cohort.rows(Split.TRAIN))).float()


def spread_loss(estimate: Tensor, spread: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of a Laplace distribution around the estimate, which itself gets no gradient."""
    return (torch.log(2 * spread) + (labels - estimate.detach()).abs() / spread).mean()


def stored_features(network: PotassiumNet, cohort: Cohort, augment: Augmentation, seed: int) -> tuple[Tensor, Tensor]:
    """Features (2n, E) of the training ECGs as they are and, once more, augmented; with their labels (2n,)."""
    rows, generator = cohort.rows(Split.TRAIN), torch.Generator().manual_seed(seed)
    augmented = embed(network, cohort, rows, lambda signal_mv: augment(signal_mv, generator))
    return torch.cat([embed(network, cohort, rows), augmented]), training_labels(cohort).repeat(2)


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
def estimates_from(network: PotassiumNet, embedding: Tensor) -> NDArray[np.float64]:
    """Estimates (n,) in mmol/L from stored features (n, E)."""
    device = next(network.parameters()).device
    return np.asarray(network.estimate(embedding.to(device)).double().cpu().numpy())
