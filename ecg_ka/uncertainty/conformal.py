"""A split-conformal predictive distribution, with its own scores for each group of estimates.

Score of a calibration ECG: s = (label - estimate) / spread. For a new ECG the predictive distribution puts mass
1/(n + 1) between neighbouring values of estimate + spread * s over the sorted scores of its group (Vovk et al. 2020,
conformal predictive systems; Bostrom et al. 2021, Mondrian by the prediction).

The groups are the predicted regions, the outer two divided further: the higher a high estimate, the less of it is the
stretch of Dist Loss, so that one pool of scores from 5.3 mmol/L on told too little of the highest.

The distribution is continuous and labels are not: recorded in steps of 0.1, 5.5 stands for 5.45 to 5.55. Probabilities
are those of the recorded value, so that P(K >= 5.5) cuts at 5.45 (continuity correction); median and interval are
quantiles and need none.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_ka.estimate import Distribution, Interval, Probability
from ecg_ka.uncertainty.regions import Regions
from ecg_ka.uncertainty.scores import HIGH_MMOL_L, ROUNDING, Pairs, Scores, ascending, share_below

MIN_SCORES = 100
"""A group with fewer calibration ECGs is joined to its neighbour towards the middle."""

_OUTER_MMOL_L = (2.5, 3.0, 5.5, 6.0, 6.5)
"""Where the outer regions are divided: at the thresholds that answers give probabilities for, and 2.5. Chosen on 30,000
simulated ECGs that neither trained nor tested: of eight divisions, among them by quantiles of the estimates with 100 to
300 ECGs each, none had a lower continuous ranked probability score among estimates above 5.3 mmol/L."""

N_GROUPS = 5 + len(_OUTER_MMOL_L)

LABEL_STEPS_MMOL_L = (0.1, 0.01, 0.0)
"""In which a laboratory may record potassium, the coarsest first; 0 for values on neither grid."""

_ON_GRID = 0.99  # of the labels

LIMITS_MMOL_L = (1.0, 12.0)
"""Intervals end here where the calibration data give no bound."""

STEP_MMOL_L = 0.1
"""Width of the steps in which an answer tells the whole distribution."""

_DIGITS = 5  # of a probability in these steps


def within_limits(potassium_mmol_l: float) -> float:
    """The nearest value within :data:`LIMITS_MMOL_L`."""
    return min(max(potassium_mmol_l, LIMITS_MMOL_L[0]), LIMITS_MMOL_L[1])


@dataclass(frozen=True, slots=True, eq=False)
class Predictive:
    """The predictive distribution of one ECG: ``values`` (n,) ascending in mmol/L; ``reach`` and ``label_step_mmol_l``
    as in :class:`ConformalDistribution`."""

    values: NDArray[np.float64]
    reach: Scores
    label_step_mmol_l: float = 0.0

    def median(self) -> float:
        """Middle of the distribution in mmol/L."""
        n = len(self.values)
        return within_limits(float((self.values[(n - 1) // 2] + self.values[n // 2]) / 2))

    def interval(self, level: float) -> Interval:
        """The central interval; covers with probability at least ``level`` when ECGs are exchangeable with the
        calibration ECGs (order statistics floor((n+1) a/2) and ceil((n+1)(1 - a/2)), a = 1 - level)."""
        lower, upper = self._bounds(level)
        return Interval(
            lower=lower,
            upper=upper,
            level=level,
            method="marginal",
            coverage_at_least_5_5=share_below(self.reach, level),
        )

    def width(self, level: float) -> float:
        """Of :meth:`interval`, in mmol/L."""
        lower, upper = self._bounds(level)
        return upper - lower

    def _bounds(self, level: float) -> tuple[float, float]:
        n, tail = len(self.values), (1 - level) / 2
        low = math.floor(tail * (n + 1) + 1e-9)
        high = math.ceil((1 - tail) * (n + 1) - 1e-9)
        lower = float(self.values[low - 1]) if low >= 1 else LIMITS_MMOL_L[0]
        upper = float(self.values[high - 1]) if high <= n else LIMITS_MMOL_L[1]
        return within_limits(lower), within_limits(upper)

    def p_at_least(self, threshold_mmol_l: float) -> float:
        """P(K >= threshold) of the recorded value, for a threshold on its grid: half a step below begins what is
        recorded as the threshold."""
        n = len(self.values)
        return (n - int(self.values.searchsorted(threshold_mmol_l - self.label_step_mmol_l / 2 - 1e-9)) + 0.5) / (n + 1)

    def probability(self, comparator: str, threshold_mmol_l: float) -> Probability:
        """:meth:`p_at_least` or, for comparator ``"<"``, its complement."""
        p = self.p_at_least(threshold_mmol_l)
        p = p if comparator == ">=" else 1 - p
        return Probability(comparator=comparator, threshold_mmol_l=threshold_mmol_l, p=p)

    def in_steps(self) -> Distribution:
        """All of it, in steps of 0.1 mmol/L of the recorded value from the lowest to the highest."""
        lower = self.label_step_mmol_l / 2 + 1e-9
        lowest, highest = (within_limits(float(self.values[end])) + lower for end in (0, -1))
        first, last = math.floor(lowest / STEP_MMOL_L), math.floor(highest / STEP_MMOL_L)
        edges = np.arange(first + 1, last + 1) * STEP_MMOL_L
        n = len(self.values)
        above = np.empty(len(edges) + 2)
        above[0], above[-1] = 1.0, 0.0
        above[1:-1] = (n - self.values.searchsorted(edges - lower) + 0.5) / (n + 1)  # p_at_least of all at once
        # Rounded before the difference: whatever steps are added up, the sum is off by less than the last digit.
        above.round(_DIGITS, out=above)
        shares = (above[:-1] - above[1:]).round(_DIGITS)
        return Distribution(
            lower_mmol_l=round(first * STEP_MMOL_L, 1),
            step_mmol_l=STEP_MMOL_L,
            label_step_mmol_l=self.label_step_mmol_l,
            p=tuple(shares.tolist()),
        )

    def reach_of(self, label_mmol_l: float) -> float:
        """The level that :meth:`interval` has to exceed to hold a value."""
        n = len(self.values)
        below, not_above = np.searchsorted(self.values, [label_mmol_l - ROUNDING, label_mmol_l + ROUNDING])
        return float(1 - 2 * min((not_above + 1) / (n + 1), 1 - below / (n + 1)))


@dataclass(frozen=True, slots=True, eq=False)
class ConformalDistribution:
    """Sorted scores of the calibration ECGs: ``scores["all"]`` and one array for each group of estimates, named ``"0"``
    to ``"9"`` from low to high. A group without an array is part of the nearest one towards the middle that has one.
    ``reach`` (m,): the levels, sorted, that the interval has to exceed to hold the labels of the calibration ECGs with
    K >= 5.5. ``label_step_mmol_l``: which of :data:`LABEL_STEPS_MMOL_L` the calibration labels were recorded in."""

    regions: Regions
    scores: Mapping[str, Scores]
    reach: Scores
    label_step_mmol_l: float

    def __post_init__(self) -> None:
        if self.label_step_mmol_l not in LABEL_STEPS_MMOL_L:
            raise ValueError(f"label_step_mmol_l is {self.label_step_mmol_l}; expected one of {LABEL_STEPS_MMOL_L}")
        for name, scores in {**self.scores, "reach": self.reach}.items():
            ascending(name, scores)
        empty = [name for name, scores in self.scores.items() if not len(scores)]
        if empty or "all" not in self.scores:
            raise ValueError(f"no calibration ECG has a score in {empty or ['all']}")

    @classmethod
    def fit(
        cls,
        pairs: Pairs,
        regions: Regions,
    ) -> ConformalDistribution:
        """From a calibration split."""
        estimates, spreads, labels = pairs.estimates, pairs.spreads, pairs.labels
        scores = ((labels - estimates) / spreads).astype(np.float32)
        joined = _joined(group(estimates, regions), _middle(regions))
        by_group = {str(g): np.sort(scores[joined == g]) for g in np.unique(joined)}
        by_group = {name: own for name, own in by_group.items() if len(own) >= MIN_SCORES}
        made = cls(regions, {"all": np.sort(scores), **by_group}, np.empty(0, np.float32), label_step(labels))
        high = np.flatnonzero(labels >= HIGH_MMOL_L - ROUNDING)
        reach = [made.predict(float(estimates[i]), float(spreads[i])).reach_of(float(labels[i])) for i in high]
        return replace(made, reach=np.sort(np.array(reach, dtype=np.float32)))

    @property
    def n(self) -> int:
        """Number of calibration ECGs."""
        return len(self.scores["all"])

    def predict(self, estimate: float, spread: float) -> Predictive:
        """The predictive distribution for one output of the network."""
        values = self.scores[self.name(estimate)].astype(np.float64)
        values *= spread
        values += estimate
        return Predictive(values, self.reach, self.label_step_mmol_l)

    def name(self, estimate: float) -> str:
        """Of the scores that an estimate gets: those of its group, or the next ones towards the middle."""
        own, middle = bisect_right(_edges(self.regions), estimate), _middle(self.regions)
        inwards = range(own, middle + 1) if own <= middle else range(own, middle - 1, -1)
        return next((str(g) for g in inwards if str(g) in self.scores), "all")


def label_step(labels_mmol_l: NDArray[np.float64]) -> float:
    """The coarsest of :data:`LABEL_STEPS_MMOL_L` that nearly all labels (n,) are multiples of: one with a digit more
    does not make the others finer."""
    *steps, none = LABEL_STEPS_MMOL_L
    off = ((step, np.abs(labels_mmol_l - np.rint(labels_mmol_l / step) * step)) for step in steps)
    return next((step for step, by in off if (by <= ROUNDING).mean() >= _ON_GRID), none)


def group(estimates: ArrayLike, regions: Regions) -> NDArray[np.int64]:
    """0 to 9 from low to high; shaped as the input."""
    return np.asarray(np.searchsorted(_edges(regions), estimates, side="right"))


@lru_cache(maxsize=4)
def _edges(regions: Regions) -> tuple[float, ...]:
    """A value belongs to a group from its lower edge on; a region ends above 4.6 and 5.3, not at them."""
    upper = regions.many_high + ROUNDING, regions.few_high + ROUNDING
    return tuple(sorted([regions.few_low - ROUNDING, regions.many_low - ROUNDING, *upper, *_OUTER_MMOL_L]))


@lru_cache(maxsize=4)
def _middle(regions: Regions) -> int:
    """The group that holds the middle of the many-shot region."""
    return bisect_right(_edges(regions), (regions.many_low + regions.many_high) / 2)


def _joined(groups: NDArray[np.int64], middle: int) -> NDArray[np.int64]:
    """The groups (n,) of calibration ECGs, small ones joined to their neighbours from the ends inwards."""
    out = groups.copy()
    for g, step in [*((g, 1) for g in range(middle)), *((g, -1) for g in range(N_GROUPS - 1, middle, -1))]:
        if (out == g).sum() < MIN_SCORES:
            out[out == g] = g + step
    return out
