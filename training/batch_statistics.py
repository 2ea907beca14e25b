"""Batch norm over the batches of all ranks, so that several processes train the network that one would."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training import ranks


def synchronise(network: nn.Module, device: torch.device) -> None:
    """Make every batch norm of a network take the statistics of all ranks. The state dict stays what it is."""
    kind = nn.SyncBatchNorm if device.type == "cuda" else GlobalBatchNorm  # torch's own is for CUDA only
    for parent in list(network.modules()):
        for name, norm in parent.named_children():
            if isinstance(norm, nn.BatchNorm1d):
                setattr(parent, name, _replacement(norm, kind))


def _replacement(norm: nn.BatchNorm1d, kind: type[nn.SyncBatchNorm] | type[GlobalBatchNorm]) -> nn.Module:
    new = kind(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    new.load_state_dict(norm.state_dict())
    return new.to(norm.running_mean.device if norm.running_mean is not None else None).train(norm.training)


class GlobalBatchNorm(nn.BatchNorm1d):
    """``BatchNorm1d`` of the batches (B_r, C, L) of all ranks together; a rank without ECGs takes part."""

    def forward(self, x: Tensor) -> Tensor:
        """(B_r, C, L) -> (B_r, C, L)."""
        if not self.training:
            return super().forward(x)
        h = x.to(torch.promote_types(x.dtype, torch.float32))
        n = ranks.summed(torch.tensor(float(h.shape[0] * h.shape[2])))
        mean = ranks.summed(h.sum(dim=(0, 2))) / n  # (C,)
        centred = h - mean[:, None]
        variance = ranks.summed(centred.square().sum(dim=(0, 2))) / n
        self._remember(mean.detach(), variance.detach() * n / (n - 1))
        scaled = centred * torch.rsqrt(variance + self.eps)[:, None]
        return (scaled * self.weight[:, None] + self.bias[:, None]).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        momentum = 0.1 if self.momentum is None else self.momentum
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance, momentum)
