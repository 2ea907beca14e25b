"""The training loop, of a whole network or of its heads on stored features. What it minimises is given to it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ecg_ka.losses import BSAM, RegressorRetraining, gather_ranks
from ecg_ka.network import PotassiumNet
from ecg_ka.preprocess import LSB_MV
from ecg_ka.scoring.progress import Progress
from training import ranks
from training.augment import Augmentation
from training.checkpoint import Checkpoint, load_optimiser, named, optimiser_state
from training.cohort import Cohort, Split
from training.devices import in_bfloat16
from training.draws import ByPosition, Draws, InOrder, Order
from training.loader import Loader
from training.objective import CONTRAST_WEIGHT, Objective

_MAX_GRADIENT = 5.0
_FEWEST_TO_WARM_UP = 10  # steps; at 5 torch would divide by a warm-up of no length


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast."""

    epochs: int = field(default=10, metadata={"help": "passes over the training split"})
    batch_size: int = field(default=256, metadata={"help": "ECGs a step, of all processes together"})
    learning_rate: float = field(default=2e-3, metadata={"help": "peak of the one-cycle schedule of AdamW"})
    weight_decay: float = field(default=1e-2, metadata={"help": "of AdamW"})
    seed: int = field(default=1, metadata={"help": "of weights, order and augmentation"})
    bf16: bool = field(default=True, metadata={"help": "bfloat16 autocast in the convolutions, where the device can"})


@dataclass(frozen=True, kw_only=True)
class Execution:
    """By which means. A comparison is made with the defaults, and its cells are known by their schedule alone."""

    draws: Order = field(default=Order.IN_ORDER, metadata={"help": "of random numbers; by position on GPUs"})
    ema: float = field(default=0.0, metadata={"help": "decay a step of averaged weights, such as 0.999; 0 for none"})
    compile: bool = field(default=False, metadata={"help": "torch.compile the convolutions"})
    read_ahead: int = field(default=4, metadata={"help": "batches read before they are needed"})
    read_threads: int = field(default=2, metadata={"help": "threads that read them"})


class Epoch(NamedTuple):
    """One pass: its number from 1 on, the mean loss, how long it took and in how many steps.

    ``waited_s`` of these seconds were spent waiting for signals to be read.
    """

    number: int
    loss: float
    seconds: float
    n_steps: int
    waited_s: float = 0.0


class Trainer(ABC):
    """Moves the parameters of a network; ``labels`` (n,) in mmol/L are those of the training ECGs."""

    def __init__(
        self,
        schedule: Schedule,
        network: PotassiumNet,
        objective: Objective,
        labels: Tensor,
        execution: Execution = Execution(),
    ) -> None:
        self.schedule, self.network, self.objective, self.labels = schedule, network, objective, labels
        self.execution = execution
        self.device = next(network.parameters()).device
        self.generator = torch.Generator().manual_seed(schedule.seed)
        self.average = _average(network, execution.ema)
        self.epoch, self.step = 1, 0  # where the next step stands
        self.n_steps = -(-len(labels) // schedule.batch_size)
        self.seconds = self.waited_s = 0.0  # of this epoch
        self._order = torch.empty(0, dtype=torch.int64)
        self._total = torch.zeros((), dtype=torch.float64, device=self.device)  # of the losses; asking would wait
        self._seen: list[tuple[Tensor, Tensor]] = []  # features and labels of this epoch, for smoothing
        objective.loss.to(self.device)
        if objective.smoothing is not None:
            objective.smoothing.to(self.device)

    @abstractmethod
    def parameters(self) -> list[nn.Parameter]:
        """What the optimiser moves in the network."""

    @abstractmethod
    def batches(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Inputs (B, ...) of this rank's share of each part (B,) of positions, which follow the steps done."""

    @abstractmethod
    def features(self, batch: Tensor) -> Tensor:
        """The features (B, E) of a batch of all ranks."""

    @abstractmethod
    def to_training_mode(self) -> None:
        """Only what is trained."""

    @property
    def result(self) -> PotassiumNet:
        """What is evaluated: the average of the weights if there is one, else the network."""
        return self.network if self.average is None else cast(PotassiumNet, self.average.module)

    @property
    def n_done(self) -> int:
        """Steps done, of all epochs."""
        return (self.epoch - 1) * self.n_steps + self.step

    def epochs(self) -> Iterator[Epoch]:
        """Train; whoever iterates decides what happens between epochs."""
        return (epoch for epoch in self.steps() if epoch is not None)

    def steps(self) -> Iterator[Epoch | None]:
        """Train; gives the epoch after its last step, and None after every other. In between, a checkpoint is whole."""
        while self.epoch <= self.schedule.epochs:
            yield from self._epoch()

    def checkpoint(self) -> Checkpoint:
        """Where training stands."""
        tensors, groups = optimiser_state(self._optimiser)
        parts = {name: module.state_dict() for name, module in self._modules().items()}
        parts |= {"optimiser": tensors, "run": self._own()}
        schedule = {k: v for k, v in self._scheduler.state_dict().items() if not callable(v)}
        about = {"epoch": self.epoch, "step": self.step, "seconds": self.seconds, "waited_s": self.waited_s}
        everything = {key: value for part, kept in parts.items() for key, value in named(part, kept).items()}
        return Checkpoint(everything, {**about, "groups": groups, "schedule": schedule})

    def go_on(self, checkpoint: Checkpoint) -> None:
        """Be where a trainer of the same configuration was."""
        about, own = checkpoint.about, checkpoint.part("run")
        for name, module in self._modules().items():
            module.load_state_dict(checkpoint.part(name), strict=True)
        load_optimiser(self._optimiser, checkpoint.part("optimiser"), about["groups"])
        self._scheduler.load_state_dict(about["schedule"])
        self.epoch, self.step = about["epoch"], about["step"]
        self.seconds, self.waited_s = about["seconds"], about["waited_s"]
        self.generator.set_state(own["generator"])
        self._order, self._total = own["order"], own["total"].to(self.device)
        self._seen = [(own["features"].to(self.device), own["labels"].to(self.device))] if "features" in own else []

    def _modules(self) -> dict[str, nn.Module]:
        modules = {"network": self.network, "loss": self.objective.loss}
        others = {"smoothing": self.objective.smoothing, "average": self.average}
        return modules | {name: module for name, module in others.items() if module is not None}

    def _own(self) -> dict[str, Tensor]:
        own = {"generator": self.generator.get_state(), "order": self._order, "total": self._total}
        if self._seen:
            features, labels = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
            own |= {"features": features, "labels": labels}
        return own

    @cached_property
    def _trained(self) -> list[nn.Parameter]:
        return [*self.parameters(), *self.objective.loss.parameters()]

    @cached_property
    def _scheduler(self) -> torch.optim.lr_scheduler.LRScheduler:
        """With its optimiser, whose first step it sets."""
        s = self.schedule
        optimiser = torch.optim.AdamW(self._trained, lr=s.learning_rate, weight_decay=s.weight_decay)
        n_steps = s.epochs * self.n_steps
        warm_up = 0.2 if n_steps >= _FEWEST_TO_WARM_UP else 0.0
        return torch.optim.lr_scheduler.OneCycleLR(optimiser, s.learning_rate, total_steps=n_steps, pct_start=warm_up)

    @property
    def _optimiser(self) -> torch.optim.Optimizer:
        return self._scheduler.optimizer

    def _epoch(self) -> Iterator[Epoch | None]:
        self.to_training_mode()
        if self.step == 0:
            self._order = torch.randperm(len(self.labels), generator=self.generator)
        parts = torch.split(self._order, self.schedule.batch_size)[self.step :]
        progress = Progress(f"epoch {self.epoch}/{self.schedule.epochs}", len(self._order))
        progress.step(len(self._order) - sum(len(part) for part in parts))
        before = time.monotonic() - self.seconds
        for positions, batch in zip(parts, self.batches(parts), strict=True):
            loss = self._step(batch, self.labels[positions].to(self.device))
            self._total += loss.double() * len(positions)
            self.step += 1
            progress.step(len(positions), f"loss {float(loss):.3f}" if progress.is_due else "")
            self.seconds = time.monotonic() - before
            if self.step < self.n_steps:
                yield None
        self._update_smoothing()
        yield self._finished()

    def _finished(self) -> Epoch:
        """The epoch that is over; where training stands is the start of the next one."""
        done = Epoch(self.epoch, float(self._total) / len(self._order), self.seconds, self.n_steps, self.waited_s)
        self.epoch, self.step = self.epoch + 1, 0
        self.seconds = self.waited_s = 0.0
        self._total.zero_()
        return done

    def _step(self, batch: Tensor, labels: Tensor) -> Tensor:
        def gradient() -> Tensor:
            self._optimiser.zero_grad(set_to_none=True)
            loss = self._loss(batch, labels)
            torch.autograd.backward(loss)
            ranks.average_gradients(self._trained)
            nn.utils.clip_grad_norm_(self.parameters(), _MAX_GRADIENT)
            return loss.detach()

        if self.objective.sharpness:
            loss = BSAM(self._optimiser, rho=self.objective.sharpness).step(gradient)
        else:
            loss = gradient()
            self._optimiser.step()
        self._scheduler.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
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
    """Trains all of the network on the training split of a cohort, end to end.

    Raises:
        ValueError: several ranks that would each draw their own random numbers.
    """

    def __init__(
        self,
        schedule: Schedule,
        network: PotassiumNet,
        objective: Objective,
        cohort: Cohort,
        augment: Augmentation,
        execution: Execution = Execution(),
    ) -> None:
        super().__init__(schedule, network, objective, training_labels(cohort), execution)
        if ranks.is_several() and execution.draws is Order.IN_ORDER:
            raise ValueError("several processes cannot draw in order; give --draws by-position")
        self.cohort, self.augment = cohort, augment
        self.rows = cohort.rows(Split.TRAIN)
        self._embed: Callable[[Tensor], Tensor] = torch.compile(network.embed) if execution.compile else network.embed

    def parameters(self) -> list[nn.Parameter]:
        """All."""
        return list(self.network.parameters())

    def batches(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Augmented signals (B, leads, T) in mV."""
        e = self.execution
        loader = Loader(
            self.cohort.signals, ahead=e.read_ahead, threads=e.read_threads, pinned=self.device.type == "cuda"
        )
        waited_s = self.waited_s
        shares = [ranks.share(len(part)) for part in parts]
        rows = [self.rows[part[share].numpy()] for part, share in zip(parts, shares, strict=True)]
        for share, steps in zip(shares, loader.batches(rows), strict=True):
            self.waited_s = waited_s + loader.waited_s
            signal_mv = steps.to(self.device, non_blocking=True).float() * LSB_MV
            yield self.augment(signal_mv, self._draws(share))

    def _draws(self, share: slice) -> Draws:
        """For this share of the batch of the next step."""
        match self.execution.draws:
            case Order.IN_ORDER:
                return InOrder(self.generator, share.stop - share.start, self.device)
            case Order.BY_POSITION:
                first = self.step * self.schedule.batch_size
                places = range(first + share.start, first + share.stop)
                return ByPosition.at(places, seed=self.schedule.seed, epoch=self.epoch, device=self.device)

    def features(self, batch: Tensor) -> Tensor:
        """Of signals, in bfloat16 where the schedule says so and the device is made for it."""
        halved = self.schedule.bf16 and in_bfloat16(self.device)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=halved):
            embedding = self._embed(batch)
        return gather_ranks(embedding.float())

    def to_training_mode(self) -> None:
        """All of it."""
        self.network.train()


class HeadTrainer(Trainer):
    """Retrains the heads on stored features (n, E); the rest of the network stays as it is.

    So little is to be done that several ranks all do the same.
    """

    def __init__(
        self,
        schedule: Schedule,
        network: PotassiumNet,
        objective: Objective,
        stored: Tensor,
        labels: Tensor,
        execution: Execution = Execution(),
    ) -> None:
        super().__init__(schedule, network, objective, labels, execution)
        self.retraining = RegressorRetraining(network, network.head, network.spread_head)
        self.stored = stored

    def parameters(self) -> list[nn.Parameter]:
        """The two heads."""
        return list(self.retraining.parameters())

    def batches(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Stored features (B, E)."""
        return (self.stored[positions].to(self.device) for positions in parts)

    def features(self, batch: Tensor) -> Tensor:
        """Themselves."""
        return batch

    def to_training_mode(self) -> None:
        """The heads; batch statistics stay."""
        self.retraining.train()


def _average(network: PotassiumNet, decay: float) -> AveragedModel | None:
    """The moving average of weights and batch statistics, if there is one."""
    if decay == 0:
        return None
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(network, multi_avg_fn=average, use_buffers=True)


def training_labels(cohort: Cohort) -> Tensor:
    """Labels (n,) in mmol/L of the training split."""
    return torch.from_numpy(cohort.labels(cohort.rows(Split.TRAIN))).float()


def spread_loss(estimate: Tensor, spread: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood of a Laplace distribution around the estimate, which itself gets no gradient."""
    return (torch.log(2 * spread) + (labels - estimate.detach()).abs() / spread).mean()


def stored_features(network: PotassiumNet, cohort: Cohort, augment: Augmentation, seed: int) -> tuple[Tensor, Tensor]:
    """Features (2n, E) of the training ECGs as they are and, once more, augmented; with their labels (2n,)."""
    rows, generator = cohort.rows(Split.TRAIN), torch.Generator().manual_seed(seed)

    def change(signal_mv: Tensor) -> Tensor:
        return augment(signal_mv, InOrder(generator, len(signal_mv), signal_mv.device))

    augmented = embed(network, cohort, rows, change)
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
