"""Losses for imbalanced regression; they need torch and numpy only and nothing else of this project."""

from ecg_ka.losses.dist import DistLoss, SampleLoss
from ecg_ka.losses.labels import InverseDensityWeights, LabelDistribution

__all__ = ["DistLoss", "InverseDensityWeights", "LabelDistribution", "SampleLoss"]
