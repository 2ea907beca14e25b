"""What is compared: losses on stored features, methods trained end to end, and mappings that cost nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from training.objective import Addition, Loss, ObjectiveConfig, Weights

PLAIN = ObjectiveConfig()


class Stage(StrEnum):
    """How a method comes to its estimates."""

    BACKBONE = "backbone"  # L1 end to end; its features serve the heads, its estimates the mappings
    END_TO_END = "end to end"
    HEAD = "head"  # retrained on the features of the backbone
    QUANTILE_MAP = "quantile map"  # of the estimates of the backbone
    STRETCH = "stretch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One row of a table; ``name`` is unique and stands in file names."""

    name: str
    title: str
    stage: Stage = Stage.HEAD
    objective: ObjectiveConfig = PLAIN
    is_control: bool = False


def _head(name: str, title: str, loss: Loss = Loss.L1, weights: Weights = Weights.NONE) -> Method:
    return Method(name=name, title=title, objective=ObjectiveConfig(loss=loss, weights=weights))


def _control(name: str, title: str, stage: Stage, objective: ObjectiveConfig = PLAIN) -> Method:
    return Method(name=name, title=f"{title} (control)", stage=stage, objective=objective, is_control=True)


def _whole(name: str, title: str, objective: ObjectiveConfig) -> Method:
    return Method(name=name, title=f"{title}, end to end", stage=Stage.END_TO_END, objective=objective)


def _dist_inv(weight: float) -> Method:
    objective = ObjectiveConfig(loss=Loss.DIST, weights=Weights.INV, dist_weight=weight)
    return Method(name=f"dist_inv_{weight:g}", title=f"Dist Loss, INV, lambda {weight:g}", objective=objective)


BACKBONE = Method(name="l1", title="L1, end to end (backbone)", stage=Stage.BACKBONE)

QUANTILE_MAP = _control("quantile_map", "L1, quantile-mapped", Stage.QUANTILE_MAP)

CONTROLS = (
    QUANTILE_MAP,
    _control("stretch", "L1, SD stretched", Stage.STRETCH),
    _control("ccc", "1 - CCC, head", Stage.HEAD, ObjectiveConfig(loss=Loss.CCC)),
    _control("sqinv", "L1, SQINV, head", Stage.HEAD, ObjectiveConfig(weights=Weights.SQINV)),
)

CURVE = tuple(_dist_inv(weight) for weight in (0.1, 0.25, 0.5, 1.0, 2.0))
"""Dist Loss over lambda."""

PAPER = CURVE[3]
"""Dist Loss as its paper has it: lambda 1 and inverse weights on a retrained head."""

_TEMPERED = ObjectiveConfig(loss=Loss.DIST, dist_tempering=0.8)

DIST = (
    _head("dist", "Dist Loss", Loss.DIST),
    _head("dist_sqinv", "Dist Loss, SQINV", Loss.DIST, Weights.SQINV),
    *CURVE,
    Method(name="dist_tempered", title="Dist Loss, target tempered 0.8", objective=_TEMPERED),
)

HEADS = (
    _head("l1_head", "L1"),
    _head("l2", "L2", Loss.L2),
    _head("huber", "Huber", Loss.HUBER),
    _head("inv", "L1, INV", weights=Weights.INV),
    _head("lds", "L1, LDS", weights=Weights.LDS),
    _head("focal_r", "Focal-R", Loss.FOCAL_R),
    _head("gai", "Balanced MSE, GAI", Loss.GAI),
    _head("bmc", "Balanced MSE, BMC", Loss.BMC),
    *DIST,
)

DIST_WHOLE = _whole("dist_whole", "Dist Loss", ObjectiveConfig(loss=Loss.DIST))

WHOLE = (
    DIST_WHOLE,
    _whole("sqinv_whole", "L1, SQINV", ObjectiveConfig(weights=Weights.SQINV)),
    _whole("fds_whole", "L1, FDS", ObjectiveConfig(addition=Addition.FDS)),
    _whole("conr_whole", "L1, ConR", ObjectiveConfig(addition=Addition.CONR)),
    _whole("bsam_whole", "L1, SQINV, BSAM", ObjectiveConfig(weights=Weights.SQINV, addition=Addition.BSAM)),
)

TIER_1 = (BACKBONE, *CONTROLS, *HEADS)
TIER_2 = (BACKBONE, *CONTROLS, *WHOLE)
