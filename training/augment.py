"""What training does to a batch, so that the network meets the recordings that a hospital sends: leads that are off,
short recordings, gains that are a little wrong, noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Probabilities and sizes; ``chest_rows`` are the rows of the input that hold V leads."""

    chest_rows: tuple[int, ...]
    p_chest_leads_off: float = 0.4
    max_leads_off: int = 2
    p_short: float = 0.1
    min_share: float = 0.5
    gain_sd: float = 0.05
    p_noise: float = 0.3
    max_noise_mv: float = 0.02

    def __call__(self, signal_mv: Tensor, generator: torch.Generator) -> Tensor:
        """A changed copy of a batch (B, leads, T) in mV, the random numbers from ``generator`` on the CPU."""
        n, n_leads, t = signal_mv.shape
        device = signal_mv.device
        gain = torch.exp(self.gain_sd * torch.randn(n, n_leads, 1, generator=generator)).to(device)
        noisy = (torch.rand(n, 1, 1, generator=generator) < self.p_noise) * self.max_noise_mv
        sd_mv = (noisy * torch.rand(n, n_leads, 1, generator=generator)).to(device)
        out = signal_mv * gain + sd_mv * torch.randn(n, n_leads, t, generator=generator).to(device)
        return out * self._leads_on(n, n_leads, generator).to(device) * self._time_on(n, t, generator).to(device)

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
