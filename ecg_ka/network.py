"""The network: a pre-activation 1-D ResNet from 8 leads to a potassium estimate, its spread and the peaks of its
features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Shape of a :class:`PotassiumNet`; ``label_center_mmol_l`` is where its estimates start from."""

    n_leads: int = 8
    stem_channels: int = 32
    stem_kernel: int = 16
    stem_stride: int = 4
    channels: tuple[int, ...] = (48, 64, 96, 160)
    kernel: int = 5
    head_width: int = 128
    squeeze_excitation: bool = True
    label_center_mmol_l: float = 4.2
    min_spread_mmol_l: float = 0.05

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> NetworkConfig:
        """From the fields in plain JSON types; unknown fields raise TypeError."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}
        return cls(**plain)


class Outputs(NamedTuple):
    """What the network returns for a batch of B ECGs."""

    potassium_mmol_l: Tensor  # (B,)
    spread_mmol_l: Tensor  # (B,) > 0, from detached features: training it never moves the estimate
    peaks: Tensor  # (B, E / 4)


class Block(nn.Module):
    """Pre-activation residual block of two convolutions that halves the length (He 2016), with optional channel
    gating (squeeze and excitation, Hu 2018)."""

    def __init__(self, n_in: int, n_out: int, kernel: int, squeeze_excitation: bool) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm1d(n_in)
        self.conv1 = nn.Conv1d(n_in, n_out, kernel, stride=2, padding=kernel // 2, bias=False)
        self.norm2 = nn.BatchNorm1d(n_out)
        self.conv2 = nn.Conv1d(n_out, n_out, kernel, padding=kernel // 2, bias=False)
        self.skip = nn.Conv1d(n_in, n_out, 1, bias=False)
        self.gate: nn.Module = Gate(n_out) if squeeze_excitation else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, C', ceil(L/2))."""
        h = F.relu(self.norm1(x))
        skip = self.skip(F.avg_pool1d(h, 2, ceil_mode=True))  # (B, C', L/2)
        h = F.relu(self.norm2(self.conv1(h)))  # (B, C', L/2)
        out: Tensor = skip + self.gate(self.conv2(h))
        return out


class Gate(nn.Module):
    """Squeeze and excitation: every channel times a factor in (0, 1) that depends on the whole recording."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.down = nn.Linear(n, n // 8)
        self.up = nn.Linear(n // 8, n)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, C, L)."""
        factor = torch.sigmoid(self.up(F.relu(self.down(x.mean(dim=2)))))  # (B, C)
        return x * factor[:, :, None]


class PotassiumNet(nn.Module):
    """(B, leads, T) in mV -> :class:`Outputs`. ``head`` is what a second training stage retrains."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        self.stem = nn.Conv1d(
            c.n_leads, c.stem_channels, c.stem_kernel, stride=c.stem_stride, padding=c.stem_kernel // 2, bias=False
        )
        widths = (c.stem_channels, *c.channels)
        self.blocks = nn.Sequential(*(Block(a, b, c.kernel, c.squeeze_excitation) for a, b in pairwise(widths)))
        self.norm = nn.BatchNorm1d(widths[-1])
        self.head = _mlp(self.n_features, c.head_width)
        self.spread_head = _mlp(self.n_features, c.head_width // 2)

    @property
    def n_features(self) -> int:
        """E, the width of the embedding."""
        return 2 * self.config.channels[-1]

    def forward(self, signal_mv: Tensor) -> Outputs:
        """Everything for a batch (B, leads, T)."""
        embedding = self.embed(signal_mv)
        return Outputs(self.estimate(embedding), self.spread(embedding), self.peaks(embedding))

    def embed(self, signal_mv: Tensor) -> Tensor:
        """(B, leads, T) -> (B, E): mean and maximum over time of the last features."""
        h = F.relu(self.norm(self.blocks(self.stem(signal_mv))))  # (B, C, L)
        return torch.cat([h.mean(dim=2), h.amax(dim=2)], dim=1)  # (B, 2C)

    def peaks(self, embedding: Tensor) -> Tensor:
        """(B, E) -> the maxima of every second feature (B, E / 4), by which novelty is told; all would tell no more."""
        return embedding[:, self.config.channels[-1] :: 2]

    def estimate(self, embedding: Tensor) -> Tensor:
        """(B, E) -> potassium (B,) in mmol/L."""
        out: Tensor = self.head(embedding).squeeze(1) + self.config.label_center_mmol_l
        return out

    def spread(self, embedding: Tensor) -> Tensor:
        """(B, E) -> scale (B,) in mmol/L of the error of the estimate."""
        return F.softplus(self.spread_head(embedding.detach()).squeeze(1)) + self.config.min_spread_mmol_l


def _mlp(n_in: int, n_hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, n_hidden), nn.ReLU(), nn.Linear(n_hidden, 1))


def n_parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters())
