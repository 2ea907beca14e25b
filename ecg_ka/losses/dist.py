"""Dist Loss (Nie, Tang, Hong, ICLR 2025): the sample loss plus the distance between two distributions.

    L = mean_i[ w(y_i) l(p_i, y_i) ] + lambda mean_i[ w(q_i) l(p_(i), q_i) ],   q_i = F^-1((i - 1/2) / N)

p_(1) <= ... <= p_(N) are the sorted predictions of the batch, F is the distribution of the training labels. With
l = L1 the second term is the 1-D Wasserstein distance between the batch's predictions and the labels, so rare labels
are predicted as often as they occur.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ecg_ka.losses.batch import BatchLoss
from ecg_ka.losses.distribution import LabelDistribution
from ecg_ka.losses.prediction_queue import PredictionQueue
from ecg_ka.losses.sample import SampleLoss

_CACHED_TARGETS = 8  # an epoch has two sizes of batch


@dataclass(frozen=True, slots=True)
class BatchLabels:
    """Target of :class:`DistLoss`: the sorted labels of the batch itself in place of the prior, q_i = y_(i)."""


class DistLoss(BatchLoss):
    """Dist Loss around ``sample``, which holds l and w; both terms are that same loss.

    Every prediction is compared with the target of its rank: that is the sorted second term, value and gradient, and
    equals the soft sort of the paper wherever neighbouring sorted predictions are closer than its 1/epsilon. Weights
    are read at the target, so permuting the batch changes nothing.

    Args:
        target: the distribution F of the training labels, or :class:`BatchLabels`.
        sample: the sample loss; L1 without weights if not given.
        weight: lambda.
        warmup_steps: training calls over which lambda rises from 0; its state is in the state dict.
        queue: earlier predictions, among which those of the batch are ranked. The batch joins it after the loss, in
            training mode only. The second term stays a mean over the batch.

    Raises:
        ValueError: a queue with :class:`BatchLabels`, which say nothing about earlier batches.
    """

    steps: Tensor  # () training calls so far

    def __init__(
        self,
        target: LabelDistribution | BatchLabels,
        *,
        sample: SampleLoss | None = None,
        weight: float = 1.0,
        warmup_steps: int = 0,
        queue: PredictionQueue | None = None,
    ) -> None:
        super().__init__()
        if queue is not None and isinstance(target, BatchLabels):
            raise ValueError("a queue needs the distribution of the training labels as target")
        self.target = target
        self.sample = SampleLoss() if sample is None else sample
        self.weight = weight
        self.warmup_steps = warmup_steps
        self.queue = queue
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._cached: dict[tuple[int, torch.dtype, torch.device], Tensor] = {}

    def of(self, p: Tensor, y: Tensor) -> Tensor:
        """Of predictions (N,) and labels (N,)."""
        distance = self.sample.of(p, self._matched(p.detach(), y))
        loss = torch.add(self.sample.of(p, y), distance, alpha=self._lambda())
        if self.training:
            self._advance(p)
        return loss

    def _lambda(self) -> float:
        return self.weight * (min(1.0, int(self.steps) / self.warmup_steps) if self.warmup_steps else 1.0)

    def _advance(self, p: Tensor) -> None:
        if self.warmup_steps:
            self.steps += 1
        if self.queue is not None:
            self.queue.push(p.detach())

    def _matched(self, p: Tensor, y: Tensor) -> Tensor:
        """The target (N,) of every prediction, by its rank."""
        if self.queue is None:
            order = torch.argsort(p)
            return torch.empty_like(p).scatter_(0, order, self._ascending(len(p), y))
        older, newer = torch.tensor_split(self.queue.latest().to(p), 2)  # equal predictions lie on both sides
        order = torch.argsort(torch.cat([older, p, newer]), stable=True)
        targets = torch.empty_like(order, dtype=p.dtype).scatter_(0, order, self._ascending(len(order), y))
        return targets[len(older) : len(older) + len(p)]

    def _ascending(self, n: int, y: Tensor) -> Tensor:
        """What n sorted predictions ought to be."""
        if isinstance(self.target, BatchLabels):
            return torch.sort(y).values
        key = (n, y.dtype, y.device)
        if key not in self._cached:
            if len(self._cached) == _CACHED_TARGETS:
                self._cached.clear()
            self._cached[key] = torch.tensor(self.target.targets(n), dtype=y.dtype, device=y.device)
        return self._cached[key]
