"""The latest predictions, kept so that a small batch knows its place among many."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PredictionQueue(nn.Module):
    """The latest ``size`` predictions, without gradient, in float32; part of the state dict of whatever holds it.

    Give it to :class:`~ecg_ka.losses.DistLoss`. Predictions grow stale: a size of a few batches is enough.

    Raises:
        ValueError: a size below 1.
    """

    values: Tensor  # (size,), newest last
    n_held: Tensor  # ()

    def __init__(self, size: int) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"queue of {size} predictions; expected at least 1")
        self.register_buffer("values", torch.zeros(size))
        self.register_buffer("n_held", torch.zeros((), dtype=torch.int64))

    def latest(self) -> Tensor:
        """The predictions held (m,), oldest first, 0 <= m <= size."""
        return self.values[len(self.values) - int(self.n_held) :]

    @torch.no_grad()
    def push(self, predictions: Tensor) -> None:
        """Add predictions (N,), and forget the oldest beyond ``size``."""
        size = len(self.values)
        new = predictions[-size:].to(self.values.dtype)
        self.values = torch.cat([self.values.to(new.device)[len(new) :], new])
        self.n_held = (self.n_held + len(new)).clamp(max=size)
