"""A split-conformal predictive distribution, with its own scores for each predicted region.

Score of a calibration ECG: the place of its label among the errors that are usual at its estimate
(:mod:`~ecg_ka.uncertainty.curves`). For a new ECG the predictive distribution puts mass 1/(n + 1) between neighbouring
values that the sorted scores of its region stand for at its own estimate and spread (Vovk et al. 2020, conformal
predictive systems; Bostrom et al. 2021, Mondrian by the prediction).

The distribution is continuous and labels are not: recorded in steps of 0.1, 5.5 stands for 5.45 to 5.55. Probabilities
are those of the recorded value, so that P(K >= 5.5) cuts at 5.45 (continuity correction); median and interval are
quantiles and need none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg_ka.estimate import Distribution, Interval, Probability
from ecg_ka.uncertainty.curves import IN_MMOL_L, Curve, QuantileCurves
from ecg_ka.uncertainty.regions import Regions
from ecg_ka.uncertainty.scores import HIGH_MMOL_L, ROUNDING, Pairs, Scores, ascending, share_below

MIN_SCORES = 100
"""A region with fewer calibration ECGs is joined to its neighbour towards the middle."""

N_GROUPS = 5
"""The regions, each end by itself."""

_MIDDLE = N_GROUPS // 2

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
    """The predictive distribution of one ECG: ``scores`` (n,) ascending and the ``curve`` that says what they stand for
    (mmol/L without one); ``reach`` and ``label_step_mmol_l`` as in :class:`ConformalDistribution`."""

    scores: NDArray[np.float64]
    reach: Scores
    label_step_mmol_l: float = 0.0
    curve: Curve = IN_MMOL_L

    @property
    def values(self) -> NDArray[np.float64]:
        """What the scores (n,) stand for, in mmol/L."""
        return self.curve.value(self.scores)

    def median(self) -> float:
        """Middle of the distribution in mmol/L."""
        n = len(self.scores)
        return within_limits(float(self.curve.value((self.scores[(n - 1) // 2] + self.scores[n // 2]) / 2)))

    def interval(self, level: float) -> Interval:
        """The central interval; covers with probability at least ``level`` when ECGs are exchangeable with the
        calibration ECGs (order statistics floor((n+1) a/2) and ceil((n+1)(1 - a/2)), a = 1 - level)."""
        n, tail = len(self.scores), (1 - level) / 2
        low = math.floor(tail * (n + 1) + 1e-9)
        high = math.ceil((1 - tail) * (n + 1) - 1e-9)
        lower, upper = self.curve.value(self.scores[[max(low, 1) - 1, min(high, n) - 1]]).tolist()
        return Interval(
            lower=within_limits(lower) if low >= 1 else LIMITS_MMOL_L[0],
            upper=within_limits(upper) if high <= n else LIMITS_MMOL_L[1],
            level=level,
            method="marginal",
            coverage_at_least_5_5=share_below(self.reach, level),
        )

    def p_at_least(self, threshold_mmol_l: float) -> float:
        """P(K >= threshold) of the recorded value, for a threshold on its grid: half a step below begins what is
        recorded as the threshold."""
        return float(self._at_least(threshold_mmol_l))

    def probabilities(self, events: Sequence[tuple[str, float]]) -> tuple[Probability, ...]:
        """:meth:`p_at_least` for each comparator and threshold or, for comparator ``"<"``, its complement."""
        at_least = self._at_least([threshold for _, threshold in events]).tolist()
        return tuple(
            Probability(comparator=comparator, threshold_mmol_l=threshold, p=p if comparator == ">=" else 1 - p)
            for (comparator, threshold), p in zip(events, at_least, strict=True)
        )

    def _at_least(self, thresholds_mmol_l: ArrayLike) -> NDArray[np.float64]:
        n = len(self.scores)
        cuts = np.asarray(thresholds_mmol_l) - (self.label_step_mmol_l / 2 + 1e-9)
        return np.asarray((n - self._below(cuts) + 0.5) / (n + 1))

    def share_outside(self, low_mmol_l: float, high_mmol_l: float) -> float:
        """Share of recorded values below one end or above the other: the ends themselves are inside, and so is what is
        rounded to them."""
        margin = self.label_step_mmol_l / 2 + ROUNDING
        below, not_above = self._below([low_mmol_l - margin, high_mmol_l + margin]).tolist()
        return 1 - int(not_above - below) / len(self.scores)

    def _below(self, values_mmol_l: ArrayLike) -> NDArray[np.intp]:
        """How many of the distribution's values lie below those of any shape."""
        return np.asarray(self.scores.searchsorted(self.curve.score(values_mmol_l)))

    def in_steps(self) -> Distribution:
        """All of it, in steps of 0.1 mmol/L of the recorded value from the lowest to the highest."""
        lower = self.label_step_mmol_l / 2 + 1e-9
        ends = self.curve.value(self.scores[[0, -1]]).tolist()
        lowest, highest = (within_limits(end) + lower for end in ends)
        first, last = math.floor(lowest / STEP_MMOL_L), math.floor(highest / STEP_MMOL_L)
        edges = np.arange(first + 1, last + 1) * STEP_MMOL_L
        above = np.empty(len(edges) + 2)
        above[0], above[-1] = 1.0, 0.0
        above[1:-1] = self._at_least(edges)
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
        n = len(self.scores)
        below, not_above = self._below([label_mmol_l - ROUNDING, label_mmol_l + ROUNDING])
        return float(1 - 2 * min((not_above + 1) / (n + 1), 1 - below / (n + 1)))


@dataclass(frozen=True, slots=True, eq=False)
class ConformalDistribution:
    """Sorted scores of the calibration ECGs: ``scores["all"]`` and one array for each predicted region, named ``"0"``
    to ``"4"`` from low to high. A region without an array is part of the nearest one towards the middle that has one.
    ``curves`` make values of them. ``reach`` (m,): the levels, sorted, that the interval has to exceed to hold the
    labels of the calibration ECGs with K >= 5.5. ``label_step_mmol_l``: which of :data:`LABEL_STEPS_MMOL_L` the
    calibration labels were recorded in."""

    regions: Regions
    curves: QuantileCurves
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
    def fit(cls, pairs: Pairs, curves: QuantileCurves, regions: Regions) -> ConformalDistribution:
        """From a calibration split, and curves of other ECGs."""
        scores, labels = curves.scores(pairs), pairs.labels
        joined = _joined(regions.group(pairs.estimates))
        by_group = {str(g): np.sort(scores[joined == g]) for g in np.unique(joined)}
        by_group = {name: own for name, own in by_group.items() if len(own) >= MIN_SCORES}
        made = cls(regions, curves, {"all": np.sort(scores), **by_group}, np.empty(0, np.float32), label_step(labels))
        high = pairs.where(labels >= HIGH_MMOL_L - ROUNDING)
        given = zip(high.estimates.tolist(), high.spreads.tolist(), high.labels.tolist(), strict=True)
        reach = [made.predict(estimate, spread).reach_of(label) for estimate, spread, label in given]
        return replace(made, reach=np.sort(np.array(reach, dtype=np.float32)))

    @property
    def n(self) -> int:
        """Number of calibration ECGs."""
        return len(self.scores["all"])

    def predict(self, estimate: float, spread: float) -> Predictive:
        """The predictive distribution for one output of the network."""
        curve = self.curves.at(estimate, spread)
        return Predictive(_pool(self, self.name(estimate)), self.reach, self.label_step_mmol_l, curve)

    def name(self, estimate: float) -> str:
        """Of the scores that an estimate gets: those of its region, or the next ones towards the middle."""
        own = self.regions.group_of(estimate)
        inwards = range(own, _MIDDLE + 1) if own <= _MIDDLE else range(own, _MIDDLE - 1, -1)
        return next((str(g) for g in inwards if str(g) in self.scores), "all")


@lru_cache(maxsize=4 * (N_GROUPS + 1))
def _pool(distribution: ConformalDistribution, name: str) -> NDArray[np.float64]:
    """The scores (n,) of a name in double precision, as what is sought among them; not to be written to, since all
    answers share them."""
    scores = distribution.scores[name].astype(np.float64)
    scores.flags.writeable = False
    return scores


def label_step(labels_mmol_l: NDArray[np.float64]) -> float:
    """The coarsest of :data:`LABEL_STEPS_MMOL_L` that nearly all labels (n,) are multiples of: one with a digit more
    does not make the others finer."""
    *steps, none = LABEL_STEPS_MMOL_L
    off = ((step, np.abs(labels_mmol_l - np.rint(labels_mmol_l / step) * step)) for step in steps)
    return next((step for step, by in off if (by <= ROUNDING).mean() >= _ON_GRID), none)


def _joined(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """The regions (n,) of calibration ECGs, small ones joined to their neighbours from the ends inwards."""
    out = groups.copy()
    for g, step in [*((g, 1) for g in range(_MIDDLE)), *((g, -1) for g in range(N_GROUPS - 1, _MIDDLE, -1))]:
        if (out == g).sum() < MIN_SCORES:
            out[out == g] = g + step
    return out
