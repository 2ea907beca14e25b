"""Where a run stands, in one file of safetensors that is replaced whole: a killed run goes on from its last one.

Everything that a step reads is in it: network, its average, loss (with a prediction queue), smoothing, optimiser,
schedule, the generator of order and augmentation, the order of the epoch and how far it has come.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from training.files import write_atomically

FILE = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Tensors by name (``part.name``) and what is no tensor, in plain JSON types."""

    tensors: Mapping[str, Tensor]
    about: Mapping[str, Any]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of one part, by their names in it."""
        start = f"{name}."
        return {key.removeprefix(start): value for key, value in self.tensors.items() if key.startswith(start)}

    def save(self, folder: Path) -> None:
        """Replace the checkpoint of a run folder."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        write_atomically(folder / FILE, save(tensors, metadata={"about": json.dumps(self.about)}))

    @classmethod
    def load(cls, folder: Path) -> Checkpoint | None:
        """The checkpoint of a run folder, if it has one.

        Raises:
            ValueError: the file is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            with safe_open(path, "pt") as file:
                about = json.loads(file.metadata()["about"])
                return cls({name: file.get_tensor(name) for name in file.keys()}, about)  # noqa: SIM118 - no dict
        except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path} is damaged ({error}); delete it, and the run starts from the beginning"
            ) from error


def named(part: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of one part, named as a checkpoint names them."""
    return {f"{part}.{name}": tensor for name, tensor in tensors.items()}


def optimiser_state(optimiser: torch.optim.Optimizer) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """What AdamW remembers of each parameter, by ``number.name``, and the settings of its groups."""
    state = optimiser.state_dict()
    tensors = {f"{i}.{name}": value for i, kept in state["state"].items() for name, value in kept.items()}
    return tensors, state["param_groups"]


def load_optimiser(
    optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], groups: list[dict[str, Any]]
) -> None:
    """The inverse of :func:`optimiser_state`."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    groups = [{**group, "betas": tuple(group["betas"])} for group in groups]
    optimiser.load_state_dict({"state": state, "param_groups": groups})
