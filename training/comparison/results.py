"""All cells of a comparison with their measures, seed by seed and as mean and spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ecg_ka.uncertainty import Regions
from training.comparison.cells import Cell
from training.comparison.gain import Difference, differences
from training.comparison.methods import BACKBONE, Method, references
from training.metrics import alarm_metrics, regression_metrics

LEAST_AUROC = 0.80
"""At K >= 5.5, of the L1 backbones of a table: networks that have learnt less have nothing to say about losses."""

ALARMS = (">=5.5", ">=6.0", "<3.5", "<3.0")


class Spread(NamedTuple):
    """Mean and SD (n - 1) over seeds; the SD of one seed alone is NaN."""

    mean: float
    sd: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one value a seed."""
        return cls(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan"))


class Contrast(NamedTuple):
    """One method against another, by measure."""

    ours: Method
    theirs: Method
    found: dict[str, Difference]


@dataclass(frozen=True, eq=False)
class Group:
    """One table: the cells of one prior and tier by method name, each a list over the same seeds.

    ``asked`` are the methods of which it is asked what they gain over their references, the main one first.
    """

    name: str
    title: str
    prior: str
    methods: Sequence[Method]
    asked: Sequence[Method]
    cells: dict[str, list[Cell]]

    @cached_property
    def measures(self) -> dict[str, list[dict[str, float]]]:
        """By method name, for every seed all measures."""
        return {name: [measures(cell) for cell in cells] for name, cells in self.cells.items()}

    def spread(self, method: str, measure: str) -> Spread:
        """Over seeds."""
        return Spread.of([m[measure] for m in self.measures[method]])

    @cached_property
    def contrasts(self) -> list[Contrast]:
        """Every method asked about beside each of its references."""
        pairs = [(ours, theirs) for ours in self.asked for theirs in references(ours)]
        return [Contrast(a, b, differences(self.cells[a.name], self.cells[b.name])) for a, b in pairs]

    def change(self, method: str, measure: str) -> float:
        """Share by which a measure lies above that of the L1 backbone, mean over seeds."""
        return float(np.mean(self.changes(method, measure)))

    def changes(self, method: str, measure: str) -> list[float]:
        """The same, seed by seed."""
        pairs = zip(self.measures[method], self.measures[BACKBONE.name], strict=True)
        return [ours[measure] / plain[measure] - 1 for ours, plain in pairs]


def measures(cell: Cell) -> dict[str, float]:
    """All measures of one cell on its test patients."""
    labels, estimates, seconds = cell.outcome
    return {
        **regression_metrics(labels, estimates, Regions()),
        **{f"auroc{alarm}": found["value"] for alarm, found in alarm_metrics(labels, estimates).items()},
        "seconds_per_step": float("nan") if seconds is None else seconds,
    }


def refuse_weak_backbones(backbones: Sequence[Cell], least_auroc: float | None = LEAST_AUROC) -> None:
    """Of one table, over its seeds; with None nothing is refused.

    Raises:
        ValueError: their mean AUROC at K >= 5.5 is below ``least_auroc``, or not known for want of positives.
    """
    found = [measures(cell)["auroc>=5.5"] for cell in backbones]
    if least_auroc is not None and not np.mean(found) >= least_auroc:
        raise ValueError(
            f"the L1 backbones of prior {backbones[0].prior} have AUROC {', '.join(f'{a:.3f}' for a in found)} at "
            f"K >= 5.5; a comparison is published from a mean of {least_auroc:.2f} on: train on more patients or for "
            "more epochs"
        )
