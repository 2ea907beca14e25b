"""Curves for TensorBoard: ``tensorboard --logdir runs``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Board:
    """Writes into ``tensorboard/`` of a run folder. A run that goes on from a step takes back what lies after it.

    Raises:
        ValueError: the package tensorboard is missing.
    """

    def __init__(self, folder: Path, from_step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ValueError("--tensorboard needs the package tensorboard: pip install 'ecg-ka[training]'") from error
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=from_step)

    def add(self, entry: Mapping[str, Any], step: int) -> None:
        """All numbers of an epoch, at the step where it ended."""
        for name, value in entry.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(name, value, step)
        self._writer.flush()
