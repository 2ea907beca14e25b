"""What a calibration makes of the network's output for many ECGs: the figures of an answer, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg_ka.estimate import Band, Interval, SevereBand
from ecg_ka.estimator import THRESHOLDS
from ecg_ka.uncertainty import Calibration, Pairs
from training.metrics import Floats

LEVEL = 0.9
"""Of every interval that is measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """In the order of the ECGs, in mmol/L: ``medians`` (n,), both intervals (n, 2) at level :data:`LEVEL`,
    ``probabilities`` (n, 5) of :data:`THRESHOLDS`, which of the ``bands`` (n, 3) and ``severe_bands`` (n, 3) an answer
    names, and the names of their ``categories`` (n,)."""

    medians: Floats
    intervals: Floats
    intervals_label_conditional: Floats
    probabilities: Floats
    bands: NDArray[np.bool_]
    severe_bands: NDArray[np.bool_]
    categories: NDArray[np.str_]

    def p(self, comparator: str, threshold_mmol_l: float) -> Floats:
        """Calibrated probability (n,) of one of :data:`THRESHOLDS`."""
        return self.probabilities[:, THRESHOLDS.index((comparator, threshold_mmol_l))]


def answers_for(pairs: Pairs, calibration: Calibration) -> Answers:
    """From what the network gives, with the same calls as serving; the labels are not looked at."""
    outputs = [(float(e), float(s)) for e, s in zip(pairs.estimates, pairs.spreads, strict=True)]
    predicted = [calibration.distribution.predict(*output) for output in outputs]
    probabilities = [p.probabilities(THRESHOLDS) for p in predicted]
    by_label = calibration.label_conditional
    return Answers(
        np.array([p.median() for p in predicted]),
        _ends([p.interval(LEVEL) for p in predicted]),
        _ends([by_label.interval(estimate, LEVEL) for estimate, _ in outputs]),
        np.array([[p.p for p in of] for of in probabilities]),
        np.array([[band in found for band in Band] for found in (by_label.bands(*o) for o in outputs)]),
        np.array([[band in found for band in SevereBand] for found in (by_label.severe_bands(*o) for o in outputs)]),
        np.array([calibration.operating_points.category(of).value for of in probabilities]),
    )


def _ends(intervals: list[Interval]) -> Floats:
    return np.array([(i.lower, i.upper) for i in intervals])
