"""What training does to a batch, so that the network meets the recordings that a hospital sends: leads that are off,
short recordings, gains that are a little wrong, noise, other filters, hearts with other proportions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import Tensor


class Strength(StrEnum):
    """How far augmentation goes: ``strong`` also smooths and stretches, for recordings unlike those of the cohort."""

    LIGHT = "light"
    STRONG = "strong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Probabilities and sizes; ``chest_rows`` are the rows of the input that hold V leads.

    ``max_smoothing`` is the largest SD of a Gaussian kernel in samples, ``max_stretch`` the largest change of the time
    axis as a share of it.
    """

    chest_rows: tuple[int, ...]
    p_chest_leads_off: float = 0.4
    max_leads_off: int = 2
    p_short: float = 0.1
    min_share: float = 0.5
    gain_sd: float = 0.05
    p_noise: float = 0.3
    max_noise_mv: float = 0.02
    p_smooth: float = 0.0
    max_smoothing: float = 1.5
    p_stretch: float = 0.0
    max_stretch: float = 0.04

    def strong(self) -> Augmentation:
        """The same with more noise, smoothing and stretching."""
        return replace(self, p_noise=0.6, max_noise_mv=0.04, p_smooth=0.3, p_stretch=0.5)

    def __call__(self, signal_mv: Tensor, generator: torch.Generator) -> Tensor:
        """A changed copy of a batch (B, leads, T) in mV, the random numbers from ``generator`` on the CPU."""
        n, n_leads, t = signal_mv.shape
        device = signal_mv.device
        gain = torch.exp(self.gain_sd * torch.randn(n, n_leads, 1, generator=generator)).to(device)
        noisy = (torch.rand(n, 1, 1, generator=generator) < self.p_noise) * self.max_noise_mv
        sd_mv = (noisy * torch.rand(n, n_leads, 1, generator=generator)).to(device)
        out = self._smoothed(self._stretched(signal_mv, generator), generator)
        out = out * gain + sd_mv * torch.randn(n, n_leads, t, generator=generator).to(device)
        return out * self._leads_on(n, n_leads, generator).to(device) * self._time_on(n, t, generator).to(device)

    def _stretched(self, signal_mv: Tensor, generator: torch.Generator) -> Tensor:
        """The time axis of some recordings run faster or slower about its middle, by linear interpolation."""
        if self.p_stretch == 0:
            return signal_mv
        n, n_leads, t = signal_mv.shape
        change = self.max_stretch * (2 * torch.rand(n, 1, generator=generator) - 1)
        factor = 1 + change * (torch.rand(n, 1, generator=generator) < self.p_stretch)
        at = ((torch.arange(t) - t / 2) * factor + t / 2).clamp(0, t - 1.001).to(signal_mv.device)  # (B, T)
        left = at.long()[:, None].expand(n, n_leads, t)
        share = (at - at.floor())[:, None]
        return signal_mv.gather(2, left) * (1 - share) + signal_mv.gather(2, left + 1) * share

    def _smoothed(self, signal_mv: Tensor, generator: torch.Generator) -> Tensor:
        """Some recordings low-pass filtered by a Gaussian kernel of 9 samples."""
        if self.p_smooth == 0:
            return signal_mv
        n = len(signal_mv)
        sd = 0.01 + self.max_smoothing * torch.rand(n, 1, generator=generator)
        sd = sd * (torch.rand(n, 1, generator=generator) < self.p_smooth) + 0.01
        kernel = torch.exp(-0.5 * (torch.arange(-4, 5) / sd) ** 2)
        kernel = (kernel / kernel.sum(dim=1, keepdim=True)).to(signal_mv.device)  # (B, 9)
        padded = F.pad(signal_mv, (4, 4), mode="replicate").transpose(0, 1)  # (leads, B, T + 8)
        return F.conv1d(padded, kernel[:, None], groups=n).transpose(0, 1)

    def _leads_on(self, n: int, n_leads: int, generator: torch.Generator) -> Tensor:
        """(n, leads, 1) with zeros where a chest lead is off."""
        order = torch.rand(n, len(self.chest_rows), generator=generator).argsort(dim=1)
        n_off = torch.randint(1, self.max_leads_off + 1, (n, 1), generator=generator)
        n_off = n_off * (torch.rand(n, 1, generator=generator) < self.p_chest_leads_off)
        on = torch.ones(n, n_leads)
        on[:, list(self.chest_rows)] = (order >= n_off).float()
        return on[:, :, None]

    def _time_on(self, n: int, t: int, generator: torch.Generator) -> Tensor:
        """(n, 1, T) with zeros after the end of a short recording."""
        share = self.min_share + (1 - self.min_share) * torch.rand(n, 1, generator=generator)
        is_short = torch.rand(n, 1, generator=generator) < self.p_short
        end = torch.where(is_short, share, torch.ones(1)) * t
        return (torch.arange(t)[None] < end).float()[:, None]
