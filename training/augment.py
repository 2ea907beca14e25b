"""What training does to a batch, so that the network meets the recordings that a hospital sends: leads that are off,
short recordings, gains that are a little wrong, noise, other filters, hearts with other proportions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import Tensor

from training.draws import Draws
from training.reversals import Matrix, reversals


class Strength(StrEnum):
    """How far augmentation goes: ``strong`` also smooths and stretches, for recordings unlike those of the cohort;
    ``full`` adds other amplitudes, a wandering baseline, a later start and interchanged cables."""

    LIGHT = "light"
    STRONG = "strong"
    FULL = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Probabilities and sizes; ``chest_rows`` are the rows of the input that hold V leads.

    ``max_smoothing`` is the largest SD of a Gaussian kernel in samples, ``max_stretch`` the largest change of the time
    axis as a share of it, ``max_late`` the largest share of a recording that is missed at its start. The baseline
    wanders with ``wander_cycles`` (least, most) a recording: slower is what preprocessing takes off. ``reversals`` are
    matrices (leads, leads) of which one is applied.
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
    p_amplitude: float = 0.0
    amplitude_sd: float = 0.15
    p_wander: float = 0.0
    max_wander_mv: float = 0.1
    wander_cycles: tuple[float, float] = (3.0, 10.0)
    p_late: float = 0.0
    max_late: float = 0.2
    p_reversal: float = 0.0
    reversals: tuple[Matrix, ...] = ()

    def strong(self) -> Augmentation:
        """The same with more noise, smoothing and stretching."""
        return replace(self, p_noise=0.6, max_noise_mv=0.04, p_smooth=0.3, p_stretch=0.5)

    def full(self, reversals: tuple[Matrix, ...]) -> Augmentation:
        """As :meth:`strong`, with all there is."""
        p_reversal = 0.03 if reversals else 0.0
        return replace(
            self.strong(), p_amplitude=0.3, p_wander=0.3, p_late=0.3, p_reversal=p_reversal, reversals=reversals
        )

    def __call__(self, signal_mv: Tensor, draws: Draws) -> Tensor:
        """A changed copy of a batch (B, leads, T) in mV, on its device."""
        _, n_leads, t = signal_mv.shape
        out = signal_mv * torch.exp(self.gain_sd * draws.normal(n_leads, 1))
        for change, p in self._changes():
            rows = draws.chosen(p)
            own = draws.of(rows)
            if len(rows):
                at = rows.to(out.device)
                out[at] = change(out[at], own)
        return out * self._leads_on(n_leads, draws) * self._time_on(t, draws)

    def _changes(self) -> list[tuple[Callable[[Tensor, Draws], Tensor], float]]:
        """What happens to some of the ECGs. The first three draw even where they never happen, as they always did."""
        later: list[tuple[Callable[[Tensor, Draws], Tensor], float]] = [
            (self._reverse, self.p_reversal),
            (self._start_late, self.p_late),
            (self._rescale, self.p_amplitude),
            (self._wander, self.p_wander),
        ]
        first = [(self._stretch, self.p_stretch), (self._smooth, self.p_smooth), (self._add_noise, self.p_noise)]
        return [*first, *((change, p) for change, p in later if p > 0)]

    def _stretch(self, signal_mv: Tensor, draws: Draws) -> Tensor:
        """The time axis run faster or slower about its middle, by linear interpolation."""
        n, n_leads, t = signal_mv.shape
        factor = 1 + self.max_stretch * (2 * draws.uniform(1) - 1)
        at = ((torch.arange(t, device=signal_mv.device) - t / 2) * factor + t / 2).clamp(0, t - 1.001)  # (B, T)
        left = at.long()[:, None].expand(n, n_leads, t)
        share = (at - at.floor())[:, None]
        return torch.lerp(signal_mv.gather(2, left), signal_mv.gather(2, left + 1), share)

    def _smooth(self, signal_mv: Tensor, draws: Draws) -> Tensor:
        """Low-pass filtered by a Gaussian kernel of 9 samples."""
        sd = 0.01 + self.max_smoothing * draws.uniform(1)
        kernel = torch.exp(-0.5 * (torch.arange(-4, 5, device=sd.device) / sd) ** 2)
        kernel = kernel / kernel.sum(dim=1, keepdim=True)  # (B, 9)
        padded = F.pad(signal_mv, (4, 4), mode="replicate").transpose(0, 1)  # (leads, B, T + 8)
        return F.conv1d(padded, kernel[:, None], groups=len(signal_mv)).transpose(0, 1)

    def _add_noise(self, signal_mv: Tensor, draws: Draws) -> Tensor:
        """White noise, of another size in every lead."""
        _, n_leads, t = signal_mv.shape
        sd_mv = self.max_noise_mv * draws.uniform(n_leads, 1)
        return signal_mv + sd_mv * draws.normal(n_leads, t)

    def _reverse(self, signal_mv: Tensor, draws: Draws) -> Tensor:
        """Two cables interchanged."""
        matrices = torch.tensor(self.reversals, device=signal_mv.device)  # (k, leads, leads)
        return matrices[draws.integers(0, len(self.reversals))] @ signal_mv

    def _start_late(self, signal_mv: Tensor, draws: Draws) -> Tensor:
        """What was recorded first is missing; zeros at the end, as a short recording has them."""
        n, n_leads, t = signal_mv.shape
        first = (self.max_late * t * draws.uniform(1)).long()
        at = torch.arange(t, device=signal_mv.device) + first  # (B, T)
        moved = signal_mv.gather(2, at.clamp(max=t - 1)[:, None].expand(n, n_leads, t))
        return moved * (at < t)[:, None]

    def _rescale(self, signal_mv: Tensor, draws: Draws) -> Tensor:
        """All leads higher or lower by one factor: a thick chest, a thin one."""
        return signal_mv * torch.exp(self.amplitude_sd * draws.normal(1, 1))

    def _wander(self, signal_mv: Tensor, draws: Draws) -> Tensor:
        """The baseline swings with one frequency, in every lead as far and as late as it likes."""
        _, n_leads, t = signal_mv.shape
        least, most = self.wander_cycles
        cycles = least + (most - least) * draws.uniform(1, 1)
        phase = cycles * torch.linspace(0, 1, t, device=signal_mv.device) + draws.uniform(n_leads, 1)
        return signal_mv + self.max_wander_mv * draws.uniform(n_leads, 1) * torch.sin(2 * torch.pi * phase)

    def _leads_on(self, n_leads: int, draws: Draws) -> Tensor:
        """(n, leads, 1) with zeros where a chest lead is off."""
        order = draws.uniform(len(self.chest_rows)).argsort(dim=1)
        n_off = draws.integers(1, self.max_leads_off + 1, 1)
        n_off = n_off * (draws.uniform(1) < self.p_chest_leads_off)
        on = torch.ones(len(order), n_leads, device=order.device)
        on[:, list(self.chest_rows)] = (order >= n_off).float()
        return on[:, :, None]

    def _time_on(self, t: int, draws: Draws) -> Tensor:
        """(n, 1, T) with zeros after the end of a short recording."""
        share = self.min_share + (1 - self.min_share) * draws.uniform(1)
        is_short = draws.uniform(1) < self.p_short
        end = torch.where(is_short, share, 1.0) * t
        return (torch.arange(t, device=end.device) < end).float()[:, None]


def augmentation_for(leads: Sequence[str], strength: Strength) -> Augmentation:
    """The augmentation of inputs with these leads, in this order."""
    light = Augmentation(chest_rows=tuple(i for i, lead in enumerate(leads) if lead.startswith("V")))
    match strength:
        case Strength.LIGHT:
            return light
        case Strength.STRONG:
            return light.strong()
        case Strength.FULL:
            return light.full(reversals(leads))
