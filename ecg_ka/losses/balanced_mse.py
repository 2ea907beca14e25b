"""Balanced MSE (Ren et al., CVPR 2022): squared error for labels that will be as common as each other."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecg_ka.losses.batch import BatchLoss
from ecg_ka.losses.mixture import LabelMixture


class BalancedMSE(BatchLoss):
    """GAI, with the labels' density as a Gaussian mixture (shares phi, means mu, SDs s_k):

        mean_i[ -log N(y_i; p_i, s^2) + log sum_k phi_k N(p_i; mu_k, s_k^2 + s^2) ]

    which is the negative logarithm of N(y; p, s^2) over its integral with the training density. The SD s of the noise
    (label unit) is learnt and starts at ``noise_sd``: give :meth:`parameters` to the optimiser.
    """

    log_shares: Tensor
    means: Tensor
    variances: Tensor

    def __init__(self, mixture: LabelMixture, *, noise_sd: float) -> None:
        super().__init__()
        self.log_noise_sd = nn.Parameter(torch.tensor(math.log(noise_sd)))
        self.register_buffer("log_shares", torch.tensor(mixture.shares).log())  # (k,)
        self.register_buffer("means", torch.tensor(mixture.means))
        self.register_buffer("variances", torch.tensor(mixture.sds).square())

    def of(self, p: Tensor, y: Tensor) -> Tensor:
        """Of predictions (N,) and labels (N,)."""
        noise = (2 * self.log_noise_sd).exp().to(p)
        shares, means, variances = self.log_shares.to(p), self.means.to(p), self.variances.to(p)
        training = torch.logsumexp(shares + _log_normal(p[:, None], means, variances + noise), dim=1)  # (N,)
        return (training - _log_normal(y, p, noise)).mean()


class BatchBalancedMSE(BatchLoss):
    """BMC, with the labels of the batch as the density: the cross-entropy of picking one's own label among them,

        mean_i[ -log( exp(-(p_i - y_i)^2 / 2 s^2) / sum_j exp(-(p_i - y_j)^2 / 2 s^2) ) ]

    The SD s of the noise (label unit) is learnt and starts at ``noise_sd``: give :meth:`parameters` to the optimiser.
    """

    def __init__(self, *, noise_sd: float) -> None:
        super().__init__()
        self.log_noise_sd = nn.Parameter(torch.tensor(math.log(noise_sd)))

    def of(self, p: Tensor, y: Tensor) -> Tensor:
        """Of predictions (N,) and labels (N,)."""
        noise = (2 * self.log_noise_sd).exp().to(p)
        logits = -(p[:, None] - y[None, :]).square() / (2 * noise)  # (N, N)
        return F.cross_entropy(logits, torch.arange(len(p), device=p.device))


def _log_normal(x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return -(x - mean).square() / (2 * variance) - (2 * math.pi * variance).log() / 2
