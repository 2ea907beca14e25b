"""What training does to a batch, so that the network meets the recordings that a hospital sends: leads that are off,
short recordings, gains that are a little wrong, noise, other filters, hearts with other proportions."""

from __future__ import annotations

from collections.abc import Sequence
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
        out = signal_mv * gain
        for change, p in (
            (self._stretch, self.p_stretch),
            (self._smooth, self.p_smooth),
            (self._add_noise, self.p_noise),
        ):
            rows = torch.nonzero(torch.rand(n, generator=generator) < p)[:, 0].to(device)
            if len(rows):
                out[rows] = change(out[rows], generator)
        return out * self._leads_on(n, n_leads, generator).to(device) * self._time_on(n, t, generator).to(device)

    def _stretch(self, signal_mv: Tensor, generator: torch.Generator) -> Tensor:
        """The time axis run faster or slower about its middle, by linear interpolation."""
        n, n_leads, t = signal_mv.shape
        factor = 1 + self.max_stretch * (2 * torch.rand(n, 1, generator=generator) - 1)
        at = ((torch.arange(t) - t / 2) * factor + t / 2).clamp(0, t - 1.001).to(signal_mv.device)  # (B, T)
        left = at.long()[:, None].expand(n, n_leads, t)
        share = (at - at.floor())[:, None]
        return torch.lerp(signal_mv.gather(2, left), signal_mv.gather(2, left + 1), share)

    def _smooth(self, signal_mv: Tensor, generator: torch.Generator) -> Tensor:
        """Low-pass filtered by a Gaussian kernel of 9 samples."""
        sd = 0.01 + self.max_smoothing * torch.rand(len(signal_mv), 1, generator=generator)
        kernel = torch.exp(-0.5 * (torch.arange(-4, 5) / sd) ** 2)
        kernel = (kernel / kernel.sum(dim=1, keepdim=True)).to(signal_mv.device)  # (B, 9)
        padded = F.pad(signal_mv, (4, 4), mode="replicate").transpose(0, 1)  # (leads, B, T + 8)
        return F.conv1d(padded, kernel[:, None], groups=len(signal_mv)).transpose(0, 1)

    def _add_noise(self, signal_mv: Tensor, generator: torch.Generator) -> Tensor:
        """White noise, of another size in every lead."""
        n, n_leads, _ = signal_mv.shape
        sd_mv = self.max_noise_mv * torch.rand(n, n_leads, 1, generator=generator)
        noise = torch.randn(signal_mv.shape, generator=generator)
        return signal_mv + (sd_mv * noise).to(signal_mv.device)

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


def augmentation_for(leads: Sequence[str], strength: Strength) -> Augmentation:
    """The augmentation of inputs with these leads, in this order."""
    light = Augmentation(chest_rows=tuple(i for i, lead in enumerate(leads) if lead.startswith("V")))
    return {Strength.LIGHT: light, Strength.STRONG: light.strong()}[strength]
