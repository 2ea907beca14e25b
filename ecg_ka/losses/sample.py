"""The loss of one prediction and one label, and its weighted mean over a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ecg_ka.losses.batch import BatchLoss

Elementwise = Callable[[Tensor, Tensor], Tensor]  # predictions and labels of one shape to losses of that shape


@dataclass(frozen=True, slots=True)
class L1:
    """abs(p - y), in label units."""

    def __call__(self, predictions: Tensor, labels: Tensor) -> Tensor:
        """For every pair."""
        return (predictions - labels).abs()


@dataclass(frozen=True, slots=True)
class L2:
    """(p - y)^2, in label units squared."""

    def __call__(self, predictions: Tensor, labels: Tensor) -> Tensor:
        """For every pair."""
        return (predictions - labels).square()


@dataclass(frozen=True, slots=True)
class Huber:
    """e^2/2 for abs(e) <= delta, delta (abs(e) - delta/2) beyond, e = p - y (Huber 1964); ``delta`` in label units."""

    delta: float

    def __call__(self, predictions: Tensor, labels: Tensor) -> Tensor:
        """For every pair."""
        return F.huber_loss(predictions, labels, reduction="none", delta=self.delta)


@dataclass(frozen=True, slots=True)
class FocalR:
    """Focal-R around L1 (Yang et al., ICML 2021): (2 sigmoid(beta abs(e)) - 1)^gamma abs(e), e = p - y.

    ``beta`` is per label unit: 0.2 suits years, 3-5 suits mmol/L of potassium. ``gamma`` 0 is L1.
    """

    beta: float
    gamma: float = 1.0

    def __call__(self, predictions: Tensor, labels: Tensor) -> Tensor:
        """For every pair."""
        error = (predictions - labels).abs()
        focus = torch.tanh(self.beta * error / 2)  # 2 sigmoid(x) - 1 = tanh(x / 2)
        return focus.clamp(min=torch.finfo(focus.dtype).tiny) ** self.gamma * error


class SampleLoss(BatchLoss):
    """mean_i w(y_i) l(p_i, y_i): an elementwise loss l, and weights w of the labels if there are any."""

    def __init__(self, elementwise: Elementwise = L1(), weights: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.elementwise = elementwise
        self.weights = weights

    def of(self, p: Tensor, y: Tensor) -> Tensor:
        """Of predictions (N,) and labels (N,)."""
        losses = self.elementwise(p, y)
        if self.weights is not None:
            losses = losses * self.weights(y).to(losses.dtype)
        return losses.mean()
