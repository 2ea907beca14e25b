"""The cells of a comparison: test estimates of one method for one prior and seed, each a JSON file of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from training.files import write_atomically
from training.metrics import Floats


class Outcome(NamedTuple):
    """What computing a cell gives: test labels and estimates (n,) in mmol/L, seconds an optimiser step."""

    labels: Floats
    estimates: Floats
    seconds_per_step: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """A finished one."""

    prior: str
    seed: int
    method: str
    outcome: Outcome


def digest(about: Mapping[str, Any]) -> str:
    """12 hexadecimal digits that stand for all of a configuration in plain JSON types."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class CellKey:
    """Where a cell belongs; ``about`` is all that its configuration says. Code, libraries and device are not in it:
    EDITION in plan.py stands for the code."""

    prior: str
    seed: int
    method: str
    about: Mapping[str, Any]

    @property
    def stem(self) -> str:
        """Name of its file without ending."""
        return f"{self.prior}-{self.seed}-{self.method}-{digest(self.about)}"

    def path(self, folder: Path) -> Path:
        """Its file in ``folder``."""
        return folder / f"{self.stem}.json"


def cached(folder: Path, key: CellKey, compute: Callable[[], Outcome]) -> Cell:
    """The cell from its file in ``folder``; computed and written first, in one step, if it is not there."""
    path = key.path(folder)
    if not path.is_file():
        outcome = compute()
        saved = {
            **asdict(key),
            "labels": np.round(outcome.labels, 4).tolist(),
            "estimates": np.round(outcome.estimates, 7).tolist(),
            "seconds_per_step": outcome.seconds_per_step,
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(saved) + "\n")
    return _read(path, key)


def _read(path: Path, key: CellKey) -> Cell:
    """Always from the file, so that a resumed comparison has the same figures.

    Raises:
        ValueError: the file is damaged, or holds another cell.
    """
    try:
        saved = json.loads(path.read_text())
        labels, estimates = (np.asarray(saved[name], dtype=np.float64) for name in ("labels", "estimates"))
        is_whole = (saved["prior"], saved["seed"], saved["method"]) == (key.prior, key.seed, key.method)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it, and the cell is computed again") from None
    if not is_whole or labels.shape != estimates.shape:
        raise ValueError(f"{path} does not hold the cell that its name says; delete it, and it is computed again")
    outcome = Outcome(labels, estimates, saved["seconds_per_step"])
    return Cell(prior=saved["prior"], seed=saved["seed"], method=saved["method"], outcome=outcome)
