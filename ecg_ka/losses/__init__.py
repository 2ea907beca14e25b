"""Losses for imbalanced regression, on any task; they need torch, numpy and scipy and nothing else of this project."""

from ecg_ka.losses.balanced_mse import BalancedMSE, BatchBalancedMSE
from ecg_ka.losses.batch import BatchLoss
from ecg_ka.losses.big_batch import backward_big_batch
from ecg_ka.losses.bins import LabelBins, gaussian_kernel
from ecg_ka.losses.bsam import BSAM
from ecg_ka.losses.ccc import CCCLoss
from ecg_ka.losses.conr import ConR
from ecg_ka.losses.dist import BatchLabels, DistLoss
from ecg_ka.losses.distribution import LabelDistribution
from ecg_ka.losses.fds import FeatureDistributionSmoothing
from ecg_ka.losses.mixture import LabelMixture
from ecg_ka.losses.prediction_queue import PredictionQueue
from ecg_ka.losses.ranks import gather_ranks
from ecg_ka.losses.regions import CountRegions
from ecg_ka.losses.retraining import RegressorRetraining
from ecg_ka.losses.sample import L1, L2, FocalR, Huber, SampleLoss
from ecg_ka.losses.sampler import StratifiedBatchSampler
from ecg_ka.losses.weights import LabelWeights

__all__ = [
    "BSAM",
    "L1",
    "L2",
    "BalancedMSE",
    "BatchBalancedMSE",
    "BatchLabels",
    "BatchLoss",
    "CCCLoss",
    "ConR",
    "CountRegions",
    "DistLoss",
    "FeatureDistributionSmoothing",
    "FocalR",
    "Huber",
    "LabelBins",
    "LabelDistribution",
    "LabelMixture",
    "LabelWeights",
    "PredictionQueue",
    "RegressorRetraining",
    "SampleLoss",
    "StratifiedBatchSampler",
    "backward_big_batch",
    "gather_ranks",
    "gaussian_kernel",
]
