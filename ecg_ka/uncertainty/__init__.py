"""How far an estimate can be trusted: where training data were thin, and a calibrated predictive distribution."""

from ecg_ka.uncertainty.conformal import ConformalDistribution, Predictive
from ecg_ka.uncertainty.regions import LabelDensity, Regions

__all__ = ["ConformalDistribution", "LabelDensity", "Predictive", "Regions"]
