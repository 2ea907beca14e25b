"""What every loss of a batch has in common: shapes that fit, at least float32, one number out."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn


class BatchLoss(nn.Module):
    """``loss(predictions, labels)``: two tensors of the same shape (N,) or (N, 1), any N >= 1, in label units.

    Computed in at least float32, also inside autocast, on the device of the predictions; a scalar tensor comes back.

    Raises:
        ValueError: shapes that differ or are not (N,) or (N, 1), or an empty batch.
    """

    def forward(self, predictions: Tensor, labels: Tensor) -> Tensor:
        """The scalar loss."""
        p, y = as_batch(predictions, labels)
        with torch.autocast(p.device.type, enabled=False):
            return self.of(p, y)

    @abstractmethod
    def of(self, p: Tensor, y: Tensor) -> Tensor:
        """The loss of predictions and labels that are both (N,) and float32 or float64."""


def as_batch(predictions: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Both as (N,) in the dtype of the predictions, at least float32. Raises as :class:`BatchLoss` says."""
    is_column = predictions.ndim == 1 or (predictions.ndim == 2 and predictions.shape[1] == 1)
    if predictions.shape != labels.shape or not is_column or predictions.numel() == 0:
        raise ValueError(
            f"predictions {tuple(predictions.shape)} and labels {tuple(labels.shape)}; "
            "expected the same shape (N,) or (N, 1) with N >= 1"
        )
    dtype = torch.promote_types(predictions.dtype, torch.float32)
    if predictions.ndim == 2:
        predictions, labels = predictions[:, 0], labels[:, 0]
    return predictions.to(dtype), labels.to(dtype)
