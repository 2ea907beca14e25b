"""Balanced sharpness-aware minimisation (Liu et al., ICCV 2025)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


class BSAM:
    """A sharpness-aware step (Foret et al., ICLR 2021) with a loss whose weights balance the labels:

        g = grad L(theta),   theta' = theta + rho g / norm(g),   optimiser step at theta with grad L(theta')

    L is what the closure computes; balanced it is with ``SampleLoss(weights=LabelWeights.inverse_sqrt(...))``, or Dist
    Loss around it. The optimiser stays the caller's: learning-rate schedules hold on to that. A step costs two passes,
    and what counts calls (batch-norm statistics, the warm-up and queue of Dist Loss) moves in both. ``rho`` is in units
    of the parameters, 0.05-0.2.
    """

    def __init__(self, optimiser: torch.optim.Optimizer, *, rho: float = 0.1) -> None:
        self.optimiser = optimiser
        self.rho = rho

    def step(self, closure: Callable[[], Tensor]) -> Tensor:
        """One step; returns the loss before it. ``closure`` clears the gradients, computes the loss, calls
        ``backward`` and returns the loss."""
        loss = closure()
        moved = [p for group in self.optimiser.param_groups for p in group["params"] if p.grad is not None]
        before = [p.detach().clone() for p in moved]
        self._climb(moved)
        closure()
        with torch.no_grad():
            for parameter, value in zip(moved, before, strict=True):
                parameter.copy_(value)
        self.optimiser.step()
        return loss.detach()

    @torch.no_grad()
    def _climb(self, parameters: list[Tensor]) -> None:
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            scale = self.rho / norm.clamp(min=torch.finfo(norm.dtype).tiny)
            parameter.add_(gradient * scale.to(gradient))
