"""Cells of a comparison that nobody computed: labels and estimates, drawn."""

from __future__ import annotations

import numpy as np

from ecg_ka.uncertainty import Regions
from training.comparison.cells import Cell, Outcome
from training.comparison.methods import (
    BACKBONE,
    FRONT,
    QUANTILE_MAP,
)
from training.comparison.results import Group
from training.metrics import Floats


def labels(seed: int, n: int = 1500) -> Floats:
    rng = np.random.default_rng(seed)
    return np.asarray(np.round(np.clip(rng.standard_t(4, n) * 0.5 + 4.2, 2, 8), 1), dtype=np.float64)


def cell(y: Floats, estimates: Floats, seed: int = 1) -> Cell:
    return Cell(prior="wide", seed=seed, method="m", outcome=Outcome(y, estimates, None))


def scaled(factor: float, noise: float = 0.3) -> list[Cell]:
    """Estimates that spread by ``factor`` around the middle, of three seeds; the same noise for every factor."""
    out = []
    for seed in (1, 2, 3):
        y = labels(seed)
        out.append(cell(y, 4.2 + factor * (y - 4.2 + noise * np.random.default_rng(seed).normal(size=len(y))), seed))
    return out


def group_of(few: dict[str, float], many: dict[str, float]) -> Group:
    """Methods whose error is this in every few- and many-shot label, two seeds."""
    y = labels(3)
    region = Regions().group(y)
    methods = [BACKBONE, QUANTILE_MAP, *FRONT]

    def estimates(name: str) -> Floats:
        errors = np.select([region == 2, np.isin(region, (0, 4))], [many[name], few[name]], 0.5)
        return np.asarray(y + errors, dtype=np.float64)

    cells = {m.name: [cell(y, estimates(m.name), seed) for seed in (1, 2)] for m in methods}
    return Group("g", "Title", "wide", methods, (QUANTILE_MAP,), cells)
