"""What else a user would run, written from the public descriptions; they are there for their time, so their weights
are random.

``RibeiroShaped``: Ribeiro et al., Nat Commun 11:1760 (2020): 12 x 4096 at 400 Hz, kernels of 16, four residual blocks
of two convolutions that keep a quarter of the samples, batch norm after the sum. ``Net1dShaped``: ECGFounder (Li et
al., NEJM AI 2025) on Net1D (Hong et al. 2020): 12 x 5000 at 500 Hz, seven stages of bottleneck blocks with grouped
convolutions, Swish and squeeze-and-excitation.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import signal as sps
from torch import Tensor, nn

Signal = NDArray[np.float64]

NOTCH_50 = sps.iirnotch(50, 30, fs=500)
BAND = sps.butter(2, (0.67, 40), "bandpass", fs=500)
HIGH = sps.butter(2, 0.5, "highpass", fs=500, output="sos")
LOW = sps.butter(4, 40.0, "lowpass", fs=500, output="sos")
"""Designed once: only their use is timed."""


def same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Zeros around (B, C, L), so that a convolution gives ceil(L / stride) samples."""
    wanted = max((-(-x.shape[-1] // stride) - 1) * stride + kernel - x.shape[-1], 0)
    return F.pad(x, (wanted // 2, wanted - wanted // 2))


class RibeiroBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(n_in, n_out, 16, bias=False)
        self.norm1 = nn.BatchNorm1d(n_out)
        self.conv2 = nn.Conv1d(n_out, n_out, 16, stride=4, bias=False)
        self.skip = nn.Conv1d(n_in, n_out, 1, bias=False)
        self.norm2 = nn.BatchNorm1d(n_out)

    def forward(self, h: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, L) of activations and of the way around them -> both (B, C', L/4)."""
        h = F.relu(self.norm1(self.conv1(same(h, 16, 1))))
        total = self.conv2(same(h, 16, 4)) + self.skip(F.max_pool1d(x, 4, ceil_mode=True))
        return F.relu(self.norm2(total)), total


class RibeiroShaped(nn.Module):
    """(B, 12, 4096) -> (B, 1)."""

    def __init__(self) -> None:
        super().__init__()
        widths = (64, 128, 196, 256, 320)
        self.stem = nn.Conv1d(12, widths[0], 16, bias=False)
        self.norm = nn.BatchNorm1d(widths[0])
        self.blocks = nn.ModuleList(RibeiroBlock(a, b) for a, b in pairwise(widths))
        self.head = nn.Linear(widths[-1] * 16, 1)

    def forward(self, signal: Tensor) -> Tensor:
        x = h = F.relu(self.norm(self.stem(same(signal, 16, 1))))
        for block in self.blocks:
            h, x = block(h, x)
        out: Tensor = self.head(h.flatten(1))
        return out


class Net1dBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.stride, self.widen = stride, n_out - n_in
        self.norms = nn.ModuleList(nn.BatchNorm1d(n) for n in (n_in, n_out, n_out))
        self.conv1 = nn.Conv1d(n_in, n_out, 1)
        self.conv2 = nn.Conv1d(n_out, n_out, 16, stride=stride, groups=n_out // 16)
        self.conv3 = nn.Conv1d(n_out, n_out, 1)
        self.down, self.up = nn.Linear(n_out, n_out // 2), nn.Linear(n_out // 2, n_out)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, C', ceil(L / stride)); the way around is pooled, and filled with channels of zeros."""
        h = self.conv1(F.silu(self.norms[0](x)))
        h = self.conv2(same(F.silu(self.norms[1](h)), 16, self.stride))
        h = self.conv3(F.silu(self.norms[2](h)))
        h = h * torch.sigmoid(self.up(F.silu(self.down(h.mean(dim=2)))))[:, :, None]
        around = F.max_pool1d(x, self.stride, ceil_mode=True) if self.stride > 1 else x
        out: Tensor = h + F.pad(around, (0, 0, self.widen // 2, self.widen - self.widen // 2))
        return out


class Net1dShaped(nn.Module):
    """(B, 12, 5000) -> (B, 1), about 30 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(12, 64, 16, stride=2)
        self.norm = nn.BatchNorm1d(64)
        blocks, n_in = [], 64
        for n_out, n_blocks in zip((64, 160, 160, 400, 400, 1024, 1024), (2, 2, 2, 3, 3, 4, 4), strict=True):
            for i in range(n_blocks):
                blocks.append(Net1dBlock(n_in, n_out, 2 if i == 0 else 1))
                n_in = n_out
        self.blocks, self.head = nn.Sequential(*blocks), nn.Linear(n_in, 1)

    def forward(self, signal: Tensor) -> Tensor:
        h = F.silu(self.norm(self.stem(same(signal, 16, 2))))
        out: Tensor = self.head(self.blocks(h).mean(dim=2))
        return out


def neurokit_clean(signal_mv: Signal) -> Signal:
    """The default cleaning of every lead of (12, 5000)."""
    import neurokit2

    return np.stack([neurokit2.ecg_clean(row, sampling_rate=500) for row in signal_mv])


def to_4096_at_400_hz(signal_mv: Signal) -> NDArray[np.float32]:
    """(12, 5000) at 500 Hz -> (12, 4096) at 400 Hz, zeros on both sides."""
    at_400 = sps.resample_poly(signal_mv, 4, 5, axis=1)
    return np.pad(at_400, ((0, 0), (48, 48))).astype(np.float32)


def founder_clean(signal_mv: Signal) -> NDArray[np.float32]:
    """Notch at 50 Hz, band-pass of 0.67 to 40 Hz, and the baseline of a median over 0.4 s taken off (12, 5000)."""
    notched = sps.filtfilt(*NOTCH_50, signal_mv, axis=1)
    passed = sps.filtfilt(*BAND, notched, axis=1)
    baseline = np.stack([sps.medfilt(row, 201) for row in passed])
    flat = passed - baseline
    return np.asarray((flat - flat.mean()) / flat.std(), dtype=np.float32)


def sosfiltfilt_and_resample_poly(signal_mv: NDArray[np.float32]) -> Signal:
    """The band-pass of our bundle and 250 Hz, from (leads, 5000) at 500 Hz, as scipy offers them."""
    filtered = sps.sosfiltfilt(LOW, sps.sosfiltfilt(HIGH, signal_mv, axis=1), axis=1)
    return np.asarray(sps.resample_poly(filtered, 1, 2, axis=1))
