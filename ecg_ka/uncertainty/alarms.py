"""The category of an answer: an alarm when a calibrated probability exceeds its operating point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg_ka.estimate import FALSE_ALARM_SHARE, Category, Probability
from ecg_ka.uncertainty.conformal import ConformalDistribution
from ecg_ka.uncertainty.scores import HIGH_MMOL_L, LOW_MMOL_L, ROUNDING, Pairs, quantile

_EVENTS = ((">=", HIGH_MMOL_L), ("<", LOW_MMOL_L))


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoints:
    """Probabilities above which there is an alarm: that K >= 5.5, and that K < 3.5.

    Each is the exact conformal quantile over the calibration ECGs that lie on the other side of the threshold, so that
    at most :data:`FALSE_ALARM_SHARE` of such ECGs give this alarm.
    """

    at_least_5_5: float
    below_3_5: float

    def __post_init__(self) -> None:
        if not (0 < self.at_least_5_5 <= 1 and 0 < self.below_3_5 <= 1):
            raise ValueError(f"operating points {self} are not probabilities")

    @classmethod
    def fit(
        cls,
        pairs: Pairs,
        distribution: ConformalDistribution,
    ) -> OperatingPoints:
        """From a calibration split and its predictive distribution."""
        given = zip(pairs.estimates.tolist(), pairs.spreads.tolist(), strict=True)
        p = np.array([[event.p for event in distribution.predict(*one).probabilities(_EVENTS)] for one in given])
        return cls(
            at_least_5_5=_cut(p[pairs.labels < HIGH_MMOL_L - ROUNDING, 0]),
            below_3_5=_cut(p[pairs.labels >= LOW_MMOL_L - ROUNDING, 1]),
        )

    def category(self, probabilities: Sequence[Probability]) -> Category:
        """The alarm for one ECG, by its P(K >= 5.5) and P(K < 3.5) among others; that for K >= 5.5 goes first."""
        p = {(one.comparator, one.threshold_mmol_l): one.p for one in probabilities}
        p_high, p_low = (p[event] for event in _EVENTS)
        if p_high > self.at_least_5_5:
            return Category.ALARM_5_5_AND_ABOVE
        return Category.ALARM_BELOW_3_5 if p_low > self.below_3_5 else Category.NO_ALARM


def _cut(p: NDArray[np.float64]) -> float:
    """1, which no probability exceeds, when there are too few ECGs."""
    return min(1.0, quantile(np.sort(p), 1 - FALSE_ALARM_SHARE))
