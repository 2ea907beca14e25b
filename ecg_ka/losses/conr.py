"""ConR (Keramati et al., ICLR 2024): features of rare labels are kept from collapsing into those of common ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecg_ka.losses.batch import as_batch


class ConR(nn.Module):
    """Contrastive regulariser, to be added to a regression loss. With features z_i scaled to length 1:

        P_j = {i != j: abs(y_j - y_i) <= omega}
        N_j = {i: abs(y_j - y_i) > omega and abs(p_j - p_i) <= omega}
        D_j = sum_{P_j} exp(z_j z_i / t) + sum_{N_j} w(y_j) exp(push abs(y_j - y_i)) exp(z_j z_i / t)
        L   = 1/N sum_j [ log D_j - mean_{P_j} z_j z_i / t ]

    summed over the j that have both a neighbour in P_j and, in N_j, one that is taken for a neighbour wrongly.

    Args:
        omega: how far apart labels may lie and still be alike, label unit (1 for years, 0.1-0.2 for mmol/L).
        push: growth of the push with the distance of labels, per label unit (0.01 for years).
        weights: weight of the anchor's label; equal if not given.
        temperature: t.
    """

    def __init__(
        self,
        *,
        omega: float,
        push: float,
        weights: Callable[[Tensor], Tensor] | None = None,
        temperature: float = 0.07,
    ) -> None:
        super().__init__()
        self.omega = omega
        self.push = push
        self.weights = weights
        self.temperature = temperature

    def forward(self, features: Tensor, predictions: Tensor, labels: Tensor) -> Tensor:
        """The scalar loss of features (N, E), predictions and labels (N,) or (N, 1), in at least float32.

        Raises:
            ValueError: shapes that do not fit, or an empty batch.
        """
        p, y = as_batch(predictions.detach(), labels)
        if features.ndim != 2 or len(features) != len(p):
            raise ValueError(f"features {tuple(features.shape)} for {len(p)} predictions; expected (N, E)")
        with torch.autocast(p.device.type, enabled=False):
            z = F.normalize(features.to(torch.promote_types(features.dtype, torch.float32)), dim=1)
            return self._of(z, p.to(z), y.to(z))

    def _of(self, z: Tensor, p: Tensor, y: Tensor) -> Tensor:
        alike = z @ z.T / self.temperature  # (N, N)
        far = (y[:, None] - y).abs()
        is_near = far <= self.omega + 1e-6 * max(1.0, self.omega)  # 4.2 - 4.1 is 0.1
        is_wrong = ~is_near & ((p[:, None] - p).abs() <= self.omega)
        is_positive = is_near & ~torch.eye(len(y), dtype=torch.bool, device=y.device)
        anchors = is_positive.any(dim=1) & is_wrong.any(dim=1)
        push = self.push * far
        if self.weights is not None:
            push = push + self.weights(y).to(z).log()[:, None]
        counted = (alike + push * is_wrong).masked_fill(~(is_positive | is_wrong), -torch.inf)
        pulled = (alike * is_positive).sum(dim=1) / is_positive.sum(dim=1).clamp(min=1)
        return (torch.logsumexp(counted[anchors], dim=1) - pulled[anchors]).sum() / len(y)
