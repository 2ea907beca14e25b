"""The metrics of every epoch on the validation split, and the weights of the best by balanced MAE."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from ecg_ka.network import PotassiumNet, n_parameters
from training.checkpoint import Checkpoint, named
from training.files import write_atomically


class Selection:
    """``patience``: so many epochs without a better one end the training; 0 for all epochs."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self.history: list[dict[str, Any]] = []
        self._best: dict[str, Any] = {"balanced_mae": math.inf}
        self._weights: dict[str, Tensor] = {}

    def add(self, entry: Mapping[str, Any], metrics: Mapping[str, Any], network: PotassiumNet) -> None:
        """After an epoch; ``entry`` says which.

        Raises:
            ValueError: the first epoch has no metrics, because training diverged.
        """
        self.history.append({**entry, **metrics})
        if metrics["balanced_mae"] < self._best["balanced_mae"]:
            self._best = {**metrics, "parameters": n_parameters(network)}
            self._weights = {k: v.detach().cpu().clone().contiguous() for k, v in network.state_dict().items()}
        if not self._weights:
            raise ValueError("the estimates of the first epoch are no numbers; try a lower --learning-rate")

    @property
    def is_over(self) -> bool:
        """Has patience run out?"""
        values = [entry["balanced_mae"] for entry in self.history]
        return bool(
            self._patience and values and len(values) - 1 - values.index(self._best["balanced_mae"]) >= self._patience
        )

    @property
    def best(self) -> dict[str, Any]:
        """Metrics of the best epoch."""
        return dict(self._best)

    def publish(self, folder: Path) -> None:
        """Write weights.safetensors, metrics.json and history.json, as far as there are any."""
        if not self.history:
            return
        write_atomically(folder / "weights.safetensors", save(self._weights))
        write_atomically(folder / "metrics.json", json.dumps(self._best, indent=1) + "\n")
        write_atomically(folder / "history.json", json.dumps(self.history, indent=1) + "\n")

    def added_to(self, checkpoint: Checkpoint) -> Checkpoint:
        """A checkpoint that holds the selection too."""
        about = {**checkpoint.about, "history": self.history, "best": self._best}
        return Checkpoint({**checkpoint.tensors, **named("best", self._weights)}, about)

    def go_on(self, checkpoint: Checkpoint) -> None:
        """As it was."""
        self.history, self._best = list(checkpoint.about["history"]), dict(checkpoint.about["best"])
        self._weights = checkpoint.part("best")
