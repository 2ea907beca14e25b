"""Regressor re-training: the second stage that trains a head on features that stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from torch import nn


class RegressorRetraining(nn.Module):
    """A model of which only the given heads are trained (RRT: Yang et al., ICML 2021, after Kang et al., ICLR 2020).

    Use it in place of the model: ``train()`` puts the heads alone into training mode, so that batch-norm statistics and
    dropout of everything else stay; ``parameters()`` are the heads'; calling it calls the model. The heads are named
    by module, not by pattern. :meth:`release` undoes it.

    Raises:
        ValueError: no heads, or a head that is not a part of the model.
    """

    def __init__(self, model: nn.Module, *heads: nn.Module) -> None:
        super().__init__()
        if not heads or any(head not in set(model.modules()) for head in heads):
            raise ValueError(f"{len(heads)} heads; expected at least one, each a module of the model")
        self.model = model
        self.heads = heads
        self._was_trained = [p for p in model.parameters() if p.requires_grad]
        model.requires_grad_(False)
        for head in heads:
            head.requires_grad_(True)
        self.train()

    def forward(self, *inputs: Any) -> Any:
        """What the model returns."""
        return self.model(*inputs)

    def train(self, mode: bool = True) -> Self:
        """The heads to training or evaluation mode; the rest to evaluation mode."""
        super().train(False)
        for head in self.heads:
            head.train(mode)
        self.training = mode
        return self

    def named_parameters(self, *args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        """Those of the heads."""
        return ((n, p) for n, p in super().named_parameters(*args, **kwargs) if p.requires_grad)

    def reset(self) -> None:
        """Start the heads anew, as their modules initialise themselves."""
        for head in self.heads:
            for module in head.modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()

    def release(self) -> nn.Module:
        """The model, with everything trainable that was so before."""
        for parameter in self._was_trained:
            parameter.requires_grad_(True)
        return self.model
