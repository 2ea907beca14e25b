"""Dist Loss (Nie, Tang, Hong, ICLR 2025): the sample loss plus the distance between two distributions.

    L = mean_i[ w(y_i) l(p_i, y_i) ] + lambda mean_i[ w(q_i) l(p_(i), q_i) ],   q_i = F^-1((i - 1/2) / N)

p_(1) <= ... <= p_(N) are the sorted predictions of the batch, F is the distribution of the training labels. With
l = L1 the second term is the 1-D Wasserstein distance between the batch's predictions and the labels, so rare labels
are predicted as often as they occur.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ecg_ka.losses.labels import LabelDistribution

_CACHED_SIZES = 8  # of batches; an epoch has two


class SampleLoss(StrEnum):
    """The loss l of one prediction and one target; Huber's turns from square to linear at 1 label unit."""

    L1 = "l1"
    L2 = "l2"
    HUBER = "huber"

    def elementwise(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """l for every pair, shaped as the inputs."""
        match self:
            case SampleLoss.L1:
                return (predictions - targets).abs()
            case SampleLoss.L2:
                return (predictions - targets).square()
            case SampleLoss.HUBER:
                return F.huber_loss(predictions, targets, reduction="none")


class DistLoss(nn.Module):
    """``loss(predictions, labels)`` for tensors of the same shape (N,) or (N, 1), any N >= 1, in label units.

    Sorting is ``torch.sort``: its gradient flows through the permutation and equals that of soft sorting wherever
    neighbouring sorted predictions are closer than the soft sort's 1/epsilon. ``weights`` maps labels to weights; in
    the second term it is read at the quantile of each slot, so that permuting the batch changes nothing. Computed in
    at least float32, also inside autocast; the result is on the device of the predictions.

    Raises:
        ValueError: shapes that differ or are not (N,) or (N, 1), an empty batch.
    """

    def __init__(
        self,
        distribution: LabelDistribution,
        *,
        sample_loss: SampleLoss = SampleLoss.L1,
        weight: float = 1.0,
        weights: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.distribution = distribution
        self.sample_loss = sample_loss
        self.weight = weight
        self.weights = weights
        self._cached: dict[int, NDArray[np.float64]] = {}

    def forward(self, predictions: Tensor, labels: Tensor) -> Tensor:
        """The scalar loss."""
        _check_shapes(predictions, labels)
        with torch.autocast(predictions.device.type, enabled=False):
            dtype = torch.promote_types(predictions.dtype, torch.float32)
            p, y = predictions.reshape(-1).to(dtype), labels.reshape(-1).to(dtype)
            q = self._targets(p.numel(), dtype, p.device)
            return self._mean(p, y) + self.weight * self._mean(torch.sort(p).values, q)

    def _mean(self, predictions: Tensor, targets: Tensor) -> Tensor:
        losses = self.sample_loss.elementwise(predictions, targets)
        if self.weights is not None:
            losses = losses * self.weights(targets).to(losses.dtype)
        return losses.mean()

    def _targets(self, n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        if n not in self._cached:
            if len(self._cached) == _CACHED_SIZES:
                self._cached.clear()
            self._cached[n] = self.distribution.targets(n)
        return torch.tensor(self._cached[n], dtype=dtype, device=device)


def _check_shapes(predictions: Tensor, labels: Tensor) -> None:
    is_column = predictions.ndim == 1 or (predictions.ndim == 2 and predictions.shape[1] == 1)
    if predictions.shape != labels.shape or not is_column or predictions.numel() == 0:
        raise ValueError(
            f"predictions {tuple(predictions.shape)} and labels {tuple(labels.shape)}; "
            "expected the same shape (N,) or (N, 1) with N >= 1"
        )
