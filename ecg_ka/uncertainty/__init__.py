"""How far an estimate can be trusted: where training data were thin, and what holds by calibration."""

from ecg_ka.uncertainty.alarms import OperatingPoints
from ecg_ka.uncertainty.calibration import Calibration
from ecg_ka.uncertainty.conformal import LABEL_STEPS_MMOL_L, LIMITS_MMOL_L, ConformalDistribution, Predictive
from ecg_ka.uncertainty.curves import QuantileCurves
from ecg_ka.uncertainty.fingerprint import Fingerprint, fingerprint
from ecg_ka.uncertainty.label_conditional import LabelConditional, band_index
from ecg_ka.uncertainty.novelty import NoveltyModel
from ecg_ka.uncertainty.personal import VarianceComponents
from ecg_ka.uncertainty.regions import LabelDensity, Regions
from ecg_ka.uncertainty.scores import Pairs, Scores

__all__ = [
    "LABEL_STEPS_MMOL_L",
    "LIMITS_MMOL_L",
    "Calibration",
    "ConformalDistribution",
    "Fingerprint",
    "LabelConditional",
    "LabelDensity",
    "NoveltyModel",
    "OperatingPoints",
    "Pairs",
    "Predictive",
    "QuantileCurves",
    "Regions",
    "Scores",
    "VarianceComponents",
    "band_index",
    "fingerprint",
]
