"""How well a score tells ECGs with an event from those without, whatever its scale, in many resamples at once.

Everything follows from how many events and others lie at or above each cut-off; a resample only counts ECGs more or
less often. Counts are (b, n), cut-offs the g distinct scores from the highest down, an alarm a score at or above one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.metrics import Floats
from training.metrics_bootstrap import divided

_SLACK = 1e-12  # 9 of 10 reach a share of 0.9, whatever the last bit says


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """ECGs by falling score: ``order`` (n,), the last place of each distinct score ``ends`` (g,), and who has the
    event, in that order."""

    order: NDArray[np.int64]
    ends: NDArray[np.int64]
    has_event: Floats
    cutoffs: Floats

    @classmethod
    def of(cls, has_event: NDArray[np.bool_], scores: Floats) -> Ranking:
        """From events (n,) and scores (n,), high scores for the event."""
        order = np.argsort(-scores, kind="stable")
        falling = scores[order]
        ends = np.flatnonzero(np.append(np.diff(falling) != 0, len(falling) > 0))
        return cls(order, ends, has_event[order].astype(np.float64), falling[ends])

    def curve(self, counts: Floats) -> Curve:
        """What lies at or above each cut-off in each resample."""
        ordered = counts[:, self.order]
        events = np.cumsum(ordered * self.has_event, axis=1)
        everyone = np.cumsum(ordered, axis=1)
        return Curve(events[:, self.ends], (everyone - events)[:, self.ends])


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """``true_alarms`` and ``false_alarms`` (b, g), g >= 1, from the highest cut-off down to one that all reach."""

    true_alarms: Floats
    false_alarms: Floats

    @property
    def sensitivity(self) -> Floats:
        """Share (b, g) of the events with an alarm."""
        return divided(self.true_alarms, self.true_alarms[:, -1:])

    @property
    def specificity(self) -> Floats:
        """Share (b, g) of the others without one."""
        return 1 - divided(self.false_alarms, self.false_alarms[:, -1:])

    def auroc(self) -> Floats:
        """Area (b,) under the ROC curve, by trapezoids: the share of pairs in the right order, ties counting half
        (Hanley & McNeil 1982). The same area as :func:`training.metrics.auroc` has, of many resamples at once."""
        false_steps = np.diff(self.false_alarms, axis=1, prepend=0.0)
        true_before = self.true_alarms - np.diff(self.true_alarms, axis=1, prepend=0.0) / 2
        return divided((false_steps * true_before).sum(axis=1), self.true_alarms[:, -1] * self.false_alarms[:, -1])

    def average_precision(self) -> Floats:
        """Area (b,) under the precision-recall curve without interpolation: precision at each cut-off, weighted by the
        events that it adds. A score that says nothing has the share of events."""
        precision = divided(self.true_alarms, self.true_alarms + self.false_alarms)
        new_events = np.diff(self.true_alarms, axis=1, prepend=0.0)
        area = np.where(new_events > 0, precision * new_events, 0.0).sum(axis=1)
        return divided(area, self.true_alarms[:, -1])

    def at_specificity(self, least: float) -> tuple[Floats, Floats]:
        """Sensitivity and specificity (b,) at the lowest cut-off that still has a specificity of ``least``; without
        such a cut-off nobody gets an alarm."""
        reached = (self.specificity >= least - _SLACK).sum(axis=1)  # specificity falls from cut-off to cut-off
        return self._at(reached - 1)

    def at_sensitivity(self, least: float) -> tuple[Floats, Floats]:
        """Sensitivity and specificity (b,) at the highest cut-off that has a sensitivity of ``least``."""
        sensitivity = self.sensitivity
        missed = (sensitivity < least - _SLACK).sum(axis=1)
        return self._at(np.minimum(missed, sensitivity.shape[1] - 1))

    def _at(self, place: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Sensitivity and specificity (b,) at one cut-off a resample, -1 being above all of them."""
        rows = np.arange(len(place))
        before = place < 0
        sensitivity = np.where(before, 0.0, self.sensitivity[rows, place])
        specificity = np.where(before, 1.0, self.specificity[rows, place])
        undefined = (self.true_alarms[:, -1] == 0) | (self.false_alarms[:, -1] == 0)
        return np.where(undefined, np.nan, sensitivity), np.where(undefined, np.nan, specificity)


def predictive_values(sensitivity: Floats, specificity: Floats, prevalence: float) -> tuple[Floats, Floats]:
    """Positive and negative predictive value by Bayes' theorem, shaped as the input, at a place where a share
    ``prevalence`` has the event and sensitivity and specificity are the same. NaN without any alarm, or with alarms
    alone."""
    true_alarms, false_alarms = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    true_rest, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return divided(true_alarms, true_alarms + false_alarms), divided(true_rest, true_rest + missed)
