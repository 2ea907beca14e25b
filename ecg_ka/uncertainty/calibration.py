"""All that is fitted on the calibration split, and how a bundle keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ecg_ka.estimate import Band, SevereBand
from ecg_ka.uncertainty.alarms import OperatingPoints
from ecg_ka.uncertainty.conformal import N_GROUPS, ConformalDistribution
from ecg_ka.uncertainty.curves import QuantileCurves
from ecg_ka.uncertainty.label_conditional import LabelConditional
from ecg_ka.uncertainty.regions import Regions
from ecg_ka.uncertainty.scores import Pairs, Scores

_PREDICTED, _TRUE, _BAND, _SEVERE = "predicted_", "true_", "band_", "severe_"
_REACH, _REACH_LABEL = "reach_marginal", "reach_label_conditional"
_KNOTS, _QUANTILES = "curve_knots", "curve_quantiles"


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """The predictive distribution, what holds by true label, and the operating points of the alarms."""

    distribution: ConformalDistribution
    label_conditional: LabelConditional
    operating_points: OperatingPoints

    @classmethod
    def fit(cls, pairs: Pairs, curves: QuantileCurves, regions: Regions) -> Calibration:
        """From a calibration split, and curves of other ECGs."""
        distribution = ConformalDistribution.fit(pairs, curves, regions)
        return cls(
            distribution,
            LabelConditional.fit(pairs, regions),
            OperatingPoints.fit(pairs, distribution),
        )

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Scores], regions: Regions, label_step_mmol_l: float, points: OperatingPoints
    ) -> Calibration:
        """What :meth:`to_arrays` gave, and the settings beside it.

        Raises:
            ValueError: an array is missing, unknown, or not sorted; curves do not rise; or labels are never recorded in
                such steps.
        """
        expected = {f"{_TRUE}{g}" for g in range(5)} | {f"{_BAND}{b}" for b in Band}
        expected |= {f"{_SEVERE}{b}" for b in SevereBand}
        expected |= {f"{_PREDICTED}all", _REACH, _REACH_LABEL, _KNOTS, _QUANTILES}
        found = set(arrays) - {f"{_PREDICTED}{g}" for g in range(N_GROUPS)}
        if found != expected:
            raise ValueError(f"missing {sorted(expected - found)}, unknown {sorted(found - expected)}")
        predicted = {k.removeprefix(_PREDICTED): v for k, v in arrays.items() if k.startswith(_PREDICTED)}
        errors = tuple(arrays[f"{_TRUE}{g}"] for g in range(5))
        distances = {band: arrays[f"{_BAND}{band}"] for band in Band}
        severe = {band: arrays[f"{_SEVERE}{band}"] for band in SevereBand}
        return cls(
            ConformalDistribution(
                regions,
                QuantileCurves(arrays[_KNOTS], arrays[_QUANTILES]),
                predicted,
                arrays[_REACH],
                label_step_mmol_l,
            ),
            LabelConditional(regions, errors, distances, severe, arrays[_REACH_LABEL]),
            points,
        )

    def to_arrays(self) -> dict[str, Scores]:
        """The sorted scores, each by itself: nothing tells which of them belong to one ECG; and the curves."""
        return {
            **{f"{_PREDICTED}{name}": scores for name, scores in self.distribution.scores.items()},
            **{f"{_TRUE}{g}": errors for g, errors in enumerate(self.label_conditional.errors)},
            **{f"{_BAND}{band}": distances for band, distances in self.label_conditional.distances.items()},
            **{f"{_SEVERE}{band}": distances for band, distances in self.label_conditional.severe.items()},
            _KNOTS: self.distribution.curves.knots,
            _QUANTILES: self.distribution.curves.quantiles,
            _REACH: self.distribution.reach,
            _REACH_LABEL: self.label_conditional.reach,
        }
