"""A split-conformal predictive distribution, with its own scores for each predicted region.

Score of a calibration ECG: s = (label - estimate) / spread. For a new ECG the predictive distribution puts mass
1/(n + 1) between neighbouring values of estimate + spread * s over the sorted scores of its region (Vovk et al. 2020,
conformal predictive systems; Bostrom et al. 2021, Mondrian by the prediction).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg_ka.estimate import Interval, Probability
from ecg_ka.uncertainty.regions import Regions

MIN_SCORES = 100
"""A predicted region with fewer calibration ECGs borrows the scores of all."""

LIMITS_MMOL_L = (1.0, 12.0)
"""Intervals end here where the calibration data give no bound."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictive:
    """The predictive distribution of one ECG: ``values`` (n,) ascending in mmol/L."""

    values: NDArray[np.float64]

    def median(self) -> float:
        """Middle of the distribution in mmol/L."""
        return float(np.median(self.values))

    def interval(self, level: float) -> Interval:
        """The central interval; covers with probability at least ``level`` when ECGs are exchangeable with the
        calibration ECGs (order statistics floor((n+1) a/2) and ceil((n+1)(1 - a/2)), a = 1 - level)."""
        n, tail = len(self.values), (1 - level) / 2
        low = math.floor(tail * (n + 1) + 1e-9)
        high = math.ceil((1 - tail) * (n + 1) - 1e-9)
        lower = self.values[low - 1] if low >= 1 else LIMITS_MMOL_L[0]
        upper = self.values[high - 1] if high <= n else LIMITS_MMOL_L[1]
        clipped = np.clip([lower, upper], *LIMITS_MMOL_L)
        return Interval(lower=float(clipped[0]), upper=float(clipped[1]), level=level, method="marginal")

    def p_at_least(self, threshold_mmol_l: float) -> float:
        """P(K >= threshold)."""
        n_below = int(np.searchsorted(self.values, threshold_mmol_l - 1e-9))
        return (len(self.values) - n_below + 0.5) / (len(self.values) + 1)

    def probability(self, comparator: str, threshold_mmol_l: float) -> Probability:
        """P(K >= threshold) or, for comparator ``"<"``, its complement."""
        p = self.p_at_least(threshold_mmol_l)
        p = p if comparator == ">=" else 1 - p
        return Probability(comparator=comparator, threshold_mmol_l=threshold_mmol_l, p=p)


@dataclass(frozen=True, slots=True, eq=False)
class ConformalDistribution:
    """Sorted scores of the calibration ECGs: ``scores["all"]`` and one array for each predicted region with at least
    :data:`MIN_SCORES` of them, named ``"0"`` to ``"4"`` as in :meth:`Regions.group`."""

    regions: Regions
    scores: Mapping[str, NDArray[np.float32]]

    def __post_init__(self) -> None:
        for name, scores in self.scores.items():
            if not np.isfinite(scores).all() or (np.diff(scores) < 0).any():
                raise ValueError(f"the scores of {name!r} are not finite and ascending")

    @classmethod
    def fit(
        cls,
        estimates: NDArray[np.float64],
        spreads: NDArray[np.float64],
        labels: NDArray[np.float64],
        regions: Regions,
    ) -> ConformalDistribution:
        """From a calibration split (n,) each, one ECG a patient."""
        scores = ((labels - estimates) / spreads).astype(np.float32)
        groups = regions.group(estimates)
        by_region = {str(g): np.sort(scores[groups == g]) for g in range(5) if (groups == g).sum() >= MIN_SCORES}
        return cls(regions, {"all": np.sort(scores), **by_region})

    @property
    def n(self) -> int:
        """Number of calibration ECGs."""
        return len(self.scores["all"])

    def predict(self, estimate: float, spread: float) -> Predictive:
        """The predictive distribution for one output of the network."""
        group = str(int(self.regions.group(estimate)))
        scores = self.scores.get(group, self.scores["all"])
        return Predictive(estimate + spread * scores.astype(np.float64))
