"""Feature distribution smoothing (Yang et al., ICML 2021)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecg_ka.losses.bins import LabelBins, gaussian_kernel

_RATIO = (0.1, 10.0)  # limits of the ratio of variances


class FeatureDistributionSmoothing(nn.Module):
    """Gives the features of a label the mean and variance that its neighbours' features suggest:

        z~ = sqrt(clip(S~_b / S_b, 0.1, 10)) (z - mu_b) + mu~_b

    mu_b, S_b are mean and variance of the features of bin b, moving over epochs with ``momentum``; mu~, S~ are they,
    smoothed over bins with a kernel (:func:`gaussian_kernel` if not given). In training mode only, and from the first
    :meth:`update` on. The statistics are in the state dict. A bin without training features, and the range beyond the
    last bin, do not take part in the smoothing; a channel without variance is shifted, not scaled.
    """

    means: Tensor  # (m, E)
    variances: Tensor  # (m, E)
    is_known: Tensor  # (m,)
    kernel: Tensor  # (m, m) weight of each bin for each bin

    def __init__(
        self,
        bins: LabelBins,
        n_features: int,
        *,
        kernel: NDArray[np.float64] | None = None,
        momentum: float = 0.9,
    ) -> None:
        super().__init__()
        self.bins = bins
        self.momentum = momentum
        n_bins = len(bins.counts)
        self.register_buffer("means", torch.zeros(n_bins, n_features))
        self.register_buffer("variances", torch.zeros(n_bins, n_features))
        self.register_buffer("is_known", torch.zeros(n_bins, dtype=torch.bool))
        taps = gaussian_kernel() if kernel is None else kernel
        spread = sum(tap * np.eye(n_bins, k=k - len(taps) // 2) for k, tap in enumerate(taps))
        self.register_buffer("kernel", torch.tensor(spread, dtype=torch.float32))

    @torch.no_grad()
    def update(self, features: Tensor, labels: Tensor) -> None:
        """At the end of an epoch: all training features (n, E) and labels (n,)."""
        b = self.bins.index(labels)
        z = features.to(self.means)
        n = torch.bincount(b, minlength=len(self.means))[:, None]
        means = torch.zeros_like(self.means).index_add_(0, b, z) / n.clamp(min=1)
        variances = torch.zeros_like(self.means).index_add_(0, b, (z - means[b]).square()) / n.clamp(min=1)
        kept = torch.where(self.is_known[:, None], self.momentum, 0.0)
        seen = n > 0
        self.means = torch.where(seen, kept * self.means + (1 - kept) * means, self.means)
        self.variances = torch.where(seen, kept * self.variances + (1 - kept) * variances, self.variances)
        self.is_known = self.is_known | seen[:, 0]

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Features (N, E) of labels (N,), smoothed, in at least float32; as they came in evaluation mode."""
        if not self.training:
            return features
        with torch.autocast(features.device.type, enabled=False):
            z = features.to(torch.promote_types(features.dtype, torch.float32))
            b = self.bins.index(labels)
            means, variances = self._smoothed(self.means)[b], self._smoothed(self.variances)[b]
            ratio = (variances / self.variances[b]).clamp(*_RATIO)
            ratio = torch.where(self.variances[b] > 0, ratio, 1.0)
            smoothed = ratio.sqrt() * (z - self.means[b]) + means
            return torch.where(self.is_known[b][:, None], smoothed, z)

    def _smoothed(self, statistics: Tensor) -> Tensor:
        weights = self.kernel * self.is_known  # (m, m)
        return weights @ statistics / weights.sum(dim=1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
