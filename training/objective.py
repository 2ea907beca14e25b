"""What training minimises: a loss of the estimates, weights of the labels, and what some methods add to a step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ecg_ka.losses import (
    L1,
    L2,
    BalancedMSE,
    BatchBalancedMSE,
    BatchLoss,
    CCCLoss,
    ConR,
    DistLoss,
    FeatureDistributionSmoothing,
    FocalR,
    Huber,
    LabelBins,
    LabelDistribution,
    LabelMixture,
    LabelWeights,
    SampleLoss,
)
from ecg_ka.uncertainty import Regions
from ecg_ka.uncertainty.regions import BIN_MMOL_L
from training.metrics import SHOTS

MAX_WEIGHT_RATIO = 100.0  # of inverse weights: the rarest label against the most common
HUBER_MMOL_L = 0.5
FOCAL_PER_MMOL_L = 4.0
NOISE_MMOL_L = 0.5  # where the learnt noise of Balanced MSE starts
COMPONENTS = 8  # of the mixture of the labels
ALIKE_MMOL_L = 0.2  # ConR: labels as near as this are alike
PUSH_PER_MMOL_L = 0.3  # ConR: 0.01 a year at an SD of about 20 years, at an SD of about 0.7 mmol/L
CONTRAST_WEIGHT = 0.2  # ConR: 4 beside an L1 loss of about 7 years, beside one of about 0.35 mmol/L
SHARPNESS = 0.1  # BSAM: rho


class Loss(StrEnum):
    """The training loss of the estimate."""

    L1 = "l1"
    L2 = "l2"
    HUBER = "huber"
    FOCAL_R = "focal_r"
    CCC = "ccc"
    GAI = "gai"
    BMC = "bmc"
    DIST = "dist"


class Weights(StrEnum):
    """Weight of a label: equal, inverse or square-root inverse to how often it occurs, inverse and smoothed, or such
    that the loss is a mean of the loss in the many- and in the few-shot region, with nothing for what lies between."""

    NONE = "none"
    INV = "inv"
    SQINV = "sqinv"
    LDS = "lds"
    SHOTS = "shots"


class Addition(StrEnum):
    """What a method does beside its loss."""

    NONE = "none"
    FDS = "fds"
    CONR = "conr"
    BSAM = "bsam"


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """Which objective."""

    loss: Loss = field(default=Loss.L1, metadata={"help": "loss of the estimate"})
    dist_weight: float = field(default=1.0, metadata={"help": "lambda of Dist Loss"})
    dist_tempering: float = field(default=1.0, metadata={"help": "power of the label density that Dist Loss aims at"})
    weights: Weights = field(default=Weights.NONE, metadata={"help": "extra weight on rare labels"})
    few_share: float = field(default=0.5, metadata={"help": "with shots: share of the few-shot loss in the whole"})
    addition: Addition = field(default=Addition.NONE, metadata={"help": "feature smoothing, contrast or sharpness"})

    def __post_init__(self) -> None:
        unweighted = (Loss.CCC, Loss.GAI, Loss.BMC)
        if not 0 <= self.few_share <= 1:
            raise ValueError(f"few share {self.few_share}; expected 0 to 1")
        if not (0 <= self.dist_weight < float("inf") and 0 < self.dist_tempering < float("inf")):
            raise ValueError(
                f"weight {self.dist_weight} and tempering {self.dist_tempering} of Dist Loss; expected a weight of at "
                "least 0 and a power above 0"
            )
        if self.weights is not Weights.NONE and self.loss in unweighted:
            raise ValueError(f"loss {self.loss} takes no weights, but weights are {self.weights}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Objective:
    """The parts of one step: the loss, smoothing of the features, a contrast between them, and rho of BSAM.

    ``spread``: the spread of the error is fitted too. It never moves the estimate or the features.
    """

    loss: BatchLoss
    smoothing: FeatureDistributionSmoothing | None = None
    contrast: ConR | None = None
    sharpness: float = 0.0
    spread: bool = True


def make_objective(
    config: ObjectiveConfig, labels: NDArray[np.float64], n_features: int, *, spread: bool = True
) -> Objective:
    """The objective for training labels (n,) in mmol/L and a network with ``n_features`` features."""
    bins = LabelBins.from_labels(labels, width=BIN_MMOL_L)
    plain = Objective(loss=_loss(config, labels, bins), spread=spread)
    match config.addition:
        case Addition.NONE:
            return plain
        case Addition.FDS:
            return replace(plain, smoothing=FeatureDistributionSmoothing(bins, n_features))
        case Addition.CONR:
            return replace(plain, contrast=ConR(omega=ALIKE_MMOL_L, push=PUSH_PER_MMOL_L))
        case Addition.BSAM:
            return replace(plain, sharpness=SHARPNESS)


def _loss(config: ObjectiveConfig, labels: NDArray[np.float64], bins: LabelBins) -> BatchLoss:
    weights = _weights(config, bins)
    match config.loss:
        case Loss.L1:
            return SampleLoss(L1(), weights)
        case Loss.L2:
            return SampleLoss(L2(), weights)
        case Loss.HUBER:
            return SampleLoss(Huber(HUBER_MMOL_L), weights)
        case Loss.FOCAL_R:
            return SampleLoss(FocalR(FOCAL_PER_MMOL_L), weights)
        case Loss.CCC:
            return CCCLoss()
        case Loss.GAI:
            mixture = LabelMixture.fit(labels, components=COMPONENTS, min_sd=BIN_MMOL_L)
            return BalancedMSE(mixture, noise_sd=NOISE_MMOL_L)
        case Loss.BMC:
            return BatchBalancedMSE(noise_sd=NOISE_MMOL_L)
        case Loss.DIST:
            target = LabelDistribution.from_labels(labels)
            if config.dist_tempering != 1:
                target = target.tempered(config.dist_tempering)
            return DistLoss(target, sample=SampleLoss(L1(), weights), weight=config.dist_weight)


def _weights(config: ObjectiveConfig, bins: LabelBins) -> LabelWeights | None:
    match config.weights:
        case Weights.NONE:
            return None
        case Weights.INV:
            return LabelWeights.inverse(bins, least=float(bins.counts.max()) / MAX_WEIGHT_RATIO)
        case Weights.SQINV:
            return LabelWeights.inverse_sqrt(bins)
        case Weights.LDS:
            return LabelWeights.lds(bins)
        case Weights.SHOTS:
            return LabelWeights(bins, _by_shot(bins, config.few_share))


def _by_shot(bins: LabelBins, few_share: float) -> NDArray[np.float64]:
    """Relative weights by bin (m,) with which the mean loss is (1 - a) many-shot loss + a few-shot loss.

    Exact minimisers of it, over a, would draw the front of the two errors on the training set (weighted-sum
    scalarisation; Boyd & Vandenberghe, Convex Optimization, 4.7.4); heads trained for some epochs are none.
    """
    group = Regions().group((bins.first + np.arange(len(bins.counts))) * bins.width)
    weights = np.zeros(len(bins.counts))
    for name, share in (("many", 1 - few_share), ("few", few_share)):
        inside = np.isin(group, SHOTS[name])
        n = int(bins.counts[inside].sum())
        if n == 0:
            raise ValueError(f"weights {Weights.SHOTS} need training labels in the {name}-shot region; there are none")
        weights[inside] = share / n
    return weights
