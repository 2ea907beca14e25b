"""The networks whose accuracy is compared: ours, cheaper ones made from it, and those of :mod:`tests.benchmarks.peers`
with the sampling rate, length and leads that they were described with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecg_ka.network import Block, NetworkConfig, PotassiumNet
from ecg_ka.record import DERIVED_FROM_I_II, INDEPENDENT_LEADS
from tests.benchmarks.peers import Net1dShaped, RibeiroShaped

CENTER_MMOL_L = NetworkConfig().label_center_mmol_l
_TWELVE = torch.cat([torch.eye(8), torch.tensor([[a, b] + 6 * [0.0] for a, b in DERIVED_FROM_I_II.values()])])
"""(12, 8): a network does not mind the order of its leads, only that it is always the same."""


@dataclass(frozen=True, slots=True)
class Shape:
    """``form`` makes what the network takes from (B, 8, 2500) in mV at 250 Hz; the network gives (B,) mmol/L."""

    what: str
    form: Callable[[Tensor], Tensor]
    network: Callable[[], nn.Module]


class Estimate(nn.Module):
    """The estimate alone of a :class:`PotassiumNet`."""

    def __init__(self, network: PotassiumNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, signal: Tensor) -> Tensor:
        out: Tensor = self.network.estimate(self.network.embed(signal))
        return out


class Centred(nn.Module):
    """A network for labels around 0, moved to where potassium lies."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, signal: Tensor) -> Tensor:
        out: Tensor = self.network(signal).squeeze(1) + CENTER_MMOL_L
        return out


def resampled(signal: Tensor, n: int) -> Tensor:
    """(B, leads, m) as n samples of the same time, exactly: the signal holds nothing above 40 Hz."""
    out: Tensor = torch.fft.irfft(torch.fft.rfft(signal), n=n) * (n / signal.shape[-1])
    return out


def twelve(signal: Tensor) -> Tensor:
    """(B, 8, T) -> (B, 12, T)."""
    out: Tensor = _TWELVE @ signal
    return out


def at_400_hz(signal: Tensor) -> Tensor:
    """(B, 8, 2500) -> (B, 12, 4096), zeros on both sides."""
    return F.pad(resampled(twelve(signal), 4000), (48, 48))


def at_500_hz(signal: Tensor) -> Tensor:
    """(B, 8, 2500) -> (B, 12, 5000) with mean 0 and SD 1 of each recording, as ECGFounder is given it."""
    long = resampled(twelve(signal), 5000)
    deviation, mean = torch.std_mean(long, dim=(1, 2), keepdim=True)
    return (long - mean) / deviation.clamp_min(1e-6)


def at_125_hz(signal: Tensor) -> Tensor:
    """(B, 8, 2500) -> (B, 8, 1250): means of pairs."""
    return F.avg_pool1d(signal, 2)


def _of(config: NetworkConfig) -> Estimate:
    return Estimate(PotassiumNet(config))


def depthwise() -> Estimate:
    """Ours with every convolution of its blocks split into one a channel and one across channels."""
    network = PotassiumNet(NetworkConfig())
    for block in network.blocks:
        assert isinstance(block, Block)
        block.conv1, block.conv2 = _split(block.conv1), _split(block.conv2)  # type: ignore[assignment]
    return Estimate(network)


def _split(conv: nn.Conv1d) -> nn.Sequential:
    (kernel,), (stride,) = conv.kernel_size, conv.stride
    n_in, n_out = conv.in_channels, conv.out_channels
    alone = nn.Conv1d(n_in, n_in, kernel, stride=stride, padding=kernel // 2, groups=n_in, bias=False)
    return nn.Sequential(alone, nn.Conv1d(n_in, n_out, 1, bias=False))


SHAPES = {
    "ours": Shape("8 x 2500, as shipped", lambda signal: signal, lambda: _of(NetworkConfig())),
    "ribeiro": Shape("12 x 4096, Ribeiro's shape", at_400_hz, lambda: Centred(RibeiroShaped())),
    "net1d": Shape("12 x 5000, ECGFounder's shape", at_500_hz, lambda: Centred(Net1dShaped())),
    "stride8": Shape(
        "8 x 2500, stride 8 in the first layer", lambda signal: signal, lambda: _of(NetworkConfig(stem_stride=8))
    ),
    "half_rate": Shape(
        "8 x 1250 (125 Hz), first kernel of 8, stride 4",
        at_125_hz,
        lambda: _of(NetworkConfig(stem_kernel=8)),
    ),
    "depthwise": Shape("8 x 2500, depthwise convolutions", lambda signal: signal, depthwise),
}
assert _TWELVE.shape == (12, len(INDEPENDENT_LEADS))
