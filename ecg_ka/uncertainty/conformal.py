"""A split-conformal predictive distribution, with its own scores for each predicted region.

Score of a calibration ECG: s = (label - estimate) / spread. For a new ECG the predictive distribution puts mass
1/(n + 1) between neighbouring values of estimate + spread * s over the sorted scores of its region (Vovk et al. 2020,
conformal predictive systems; Bostrom et al. 2021, Mondrian by the prediction).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ecg_ka.estimate import Distribution, Interval, Probability
from ecg_ka.uncertainty.regions import Regions
from ecg_ka.uncertainty.scores import HIGH_MMOL_L, ROUNDING, Pairs, Scores, ascending, share_below

MIN_SCORES = 100
"""A predicted region with fewer calibration ECGs borrows the scores of all."""

LIMITS_MMOL_L = (1.0, 12.0)
"""Intervals end here where the calibration data give no bound."""

STEP_MMOL_L = 0.1
"""Width of the steps in which an answer tells the whole distribution."""

_DIGITS = 5  # of a probability in these steps


@dataclass(frozen=True, slots=True, eq=False)
class Predictive:
    """The predictive distribution of one ECG: ``values`` (n,) ascending in mmol/L; ``reach`` as in
    :class:`ConformalDistribution`."""

    values: NDArray[np.float64]
    reach: Scores

    def median(self) -> float:
        """Middle of the distribution in mmol/L."""
        n = len(self.values)
        return float((self.values[(n - 1) // 2] + self.values[n // 2]) / 2)

    def interval(self, level: float) -> Interval:
        """The central interval; covers with probability at least ``level`` when ECGs are exchangeable with the
        calibration ECGs (order statistics floor((n+1) a/2) and ceil((n+1)(1 - a/2)), a = 1 - level)."""
        n, tail = len(self.values), (1 - level) / 2
        low = math.floor(tail * (n + 1) + 1e-9)
        high = math.ceil((1 - tail) * (n + 1) - 1e-9)
        lower = self.values[low - 1] if low >= 1 else LIMITS_MMOL_L[0]
        upper = self.values[high - 1] if high <= n else LIMITS_MMOL_L[1]
        clipped = np.clip([lower, upper], *LIMITS_MMOL_L)
        return Interval(
            lower=float(clipped[0]),
            upper=float(clipped[1]),
            level=level,
            method="marginal",
            coverage_at_least_5_5=share_below(self.reach, level),
        )

    def p_at_least(self, threshold_mmol_l: float) -> float:
        """P(K >= threshold)."""
        n_below = int(np.searchsorted(self.values, threshold_mmol_l - 1e-9))
        return (len(self.values) - n_below + 0.5) / (len(self.values) + 1)

    def probability(self, comparator: str, threshold_mmol_l: float) -> Probability:
        """P(K >= threshold) or, for comparator ``"<"``, its complement."""
        p = self.p_at_least(threshold_mmol_l)
        p = p if comparator == ">=" else 1 - p
        return Probability(comparator=comparator, threshold_mmol_l=threshold_mmol_l, p=p)

    def in_steps(self) -> Distribution:
        """All of it, in steps of 0.1 mmol/L from the lowest to the highest value."""
        ends = np.clip([self.values[0], self.values[-1]], *LIMITS_MMOL_L)
        first, last = (int(step) for step in np.floor(ends / STEP_MMOL_L))
        edges = np.arange(first + 1, last + 1) * STEP_MMOL_L
        # Rounded before the difference: whatever steps are added up, the sum is off by less than the last digit.
        above = np.round([1.0, *map(self.p_at_least, edges), 0.0], _DIGITS)
        shares = np.round(above[:-1] - above[1:], _DIGITS)
        return Distribution(
            lower_mmol_l=round(first * STEP_MMOL_L, 1), step_mmol_l=STEP_MMOL_L, p=tuple(map(float, shares))
        )

    def reach_of(self, label_mmol_l: float) -> float:
        """The level that :meth:`interval` has to exceed to hold a value."""
        n = len(self.values)
        below, not_above = np.searchsorted(self.values, [label_mmol_l - ROUNDING, label_mmol_l + ROUNDING])
        return float(1 - 2 * min((not_above + 1) / (n + 1), 1 - below / (n + 1)))


@dataclass(frozen=True, slots=True, eq=False)
class ConformalDistribution:
    """Sorted scores of the calibration ECGs: ``scores["all"]`` and one array for each predicted region with at least
    :data:`MIN_SCORES` of them, named ``"0"`` to ``"4"`` as in :meth:`Regions.group`. ``reach`` (m,): the levels,
    sorted, that the interval has to exceed to hold the labels of the calibration ECGs with K >= 5.5."""

    regions: Regions
    scores: Mapping[str, Scores]
    reach: Scores

    def __post_init__(self) -> None:
        for name, scores in {**self.scores, "reach": self.reach}.items():
            ascending(name, scores)

    @classmethod
    def fit(
        cls,
        pairs: Pairs,
        regions: Regions,
    ) -> ConformalDistribution:
        """From a calibration split."""
        estimates, spreads, labels = pairs.estimates, pairs.spreads, pairs.labels
        scores = ((labels - estimates) / spreads).astype(np.float32)
        groups = regions.group(estimates)
        by_region = {str(g): np.sort(scores[groups == g]) for g in range(5) if (groups == g).sum() >= MIN_SCORES}
        made = cls(regions, {"all": np.sort(scores), **by_region}, np.empty(0, np.float32))
        high = np.flatnonzero(labels >= HIGH_MMOL_L - ROUNDING)
        reach = [made.predict(float(estimates[i]), float(spreads[i])).reach_of(float(labels[i])) for i in high]
        return replace(made, reach=np.sort(np.array(reach, dtype=np.float32)))

    @property
    def n(self) -> int:
        """Number of calibration ECGs."""
        return len(self.scores["all"])

    def predict(self, estimate: float, spread: float) -> Predictive:
        """The predictive distribution for one output of the network."""
        group = str(int(self.regions.group(estimate)))
        scores = self.scores.get(group, self.scores["all"])
        return Predictive(estimate + spread * scores.astype(np.float64), self.reach)
