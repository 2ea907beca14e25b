"""Loss of the concordance correlation coefficient."""

from __future__ import annotations

import torch
from torch import Tensor

from ecg_ka.losses.batch import BatchLoss


class CCCLoss(BatchLoss):
    """1 - 2 cov(p, y) / (var(p) + var(y) + (mean(p) - mean(y))^2), moments of the batch with 1/N (Lin 1989).

    Between 0 and 2, without unit; 1 where all predictions and labels are one and the same number. It needs batches of
    some size: of one ECG it knows nothing.
    """

    def of(self, p: Tensor, y: Tensor) -> Tensor:
        """Of predictions (N,) and labels (N,)."""
        dp, dy = p - p.mean(), y - y.mean()
        spread = dp.square().mean() + dy.square().mean() + (p.mean() - y.mean()).square()
        return 1 - 2 * (dp * dy).mean() / spread.clamp(min=torch.finfo(p.dtype).tiny)
