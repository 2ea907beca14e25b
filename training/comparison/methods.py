"""What is compared: losses on stored features, methods trained end to end, and mappings that cost nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ecg_ka.simulator import Prior
from training.objective import Addition, Loss, ObjectiveConfig, Weights

PLAIN = ObjectiveConfig()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network trained end to end; ``name`` is unique and stands in file names.

    ``enriched``: trained on as many patients of this prior in place of the one that is compared on.
    """

    name: str
    objective: ObjectiveConfig = PLAIN
    enriched: Prior | None = None


L1_NETWORK = Network(name="l1")


class Stage(StrEnum):
    """How a method comes to its estimates."""

    BACKBONE = "backbone"  # L1 end to end; its features serve the heads, its estimates the mappings
    END_TO_END = "end to end"
    HEAD = "head"  # retrained on the features of the method's networks
    QUANTILE_MAP = "quantile map"  # of the estimates of such a head, or of the network where there is one alone
    STRETCH = "stretch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One row of a table; ``name`` is unique and stands in file names. Features of several networks are joined."""

    name: str
    title: str
    stage: Stage = Stage.HEAD
    objective: ObjectiveConfig = PLAIN
    networks: tuple[Network, ...] = (L1_NETWORK,)
    is_control: bool = False


def _head(name: str, title: str, loss: Loss = Loss.L1, weights: Weights = Weights.NONE) -> Method:
    return Method(name=name, title=title, objective=ObjectiveConfig(loss=loss, weights=weights))


def _control(name: str, title: str, stage: Stage, objective: ObjectiveConfig = PLAIN) -> Method:
    return Method(name=name, title=f"{title} (control)", stage=stage, objective=objective, is_control=True)


def _whole(name: str, title: str, objective: ObjectiveConfig) -> Method:
    network = Network(name=name, objective=objective)
    return Method(name=name, title=f"{title}, end to end", stage=Stage.END_TO_END, networks=(network,))


def _dist(weights: Weights, weight: float) -> ObjectiveConfig:
    return ObjectiveConfig(loss=Loss.DIST, weights=weights, dist_weight=weight)


def _dist_inv(weight: float) -> Method:
    title = f"Dist Loss, INV, lambda {weight:g}"
    return Method(name=f"dist_inv_{weight:g}", title=title, objective=_dist(Weights.INV, weight))


def _front(few_share: float, networks: tuple[Network, ...] = (L1_NETWORK,), suffix: str = "", of: str = "") -> Method:
    objective = ObjectiveConfig(weights=Weights.SHOTS, few_share=few_share)
    title = f"L1, few-shot share {few_share:g}{of}"
    return Method(name=f"front_{few_share:g}{suffix}", title=title, objective=objective, networks=networks)


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

FRONT = tuple(_front(share) for share in (0.1, 0.2, 0.3, 0.4, 0.5, 0.7))
"""L1 weighted on many- and few-shot labels alone, over the share of the few: a curve to compare others with."""

ENRICHED = Network(name="l1_enriched", enriched=Prior.MIX)
ENSEMBLE = (L1_NETWORK, *(network for method in WHOLE for network in method.networks))


def _attempts(suffix: str, of: str, networks: tuple[Network, ...]) -> tuple[Method, ...]:
    """The same heads and mapping on other features."""
    dist = _dist(Weights.INV, 0.25)
    return (
        Method(name=f"l1{suffix}", title=f"L1{of}", networks=networks),
        Method(name=f"map{suffix}", title=f"quantile mapping{of}", stage=Stage.QUANTILE_MAP, networks=networks),
        Method(name=f"dist{suffix}", title=f"Dist Loss, INV, lambda 0.25{of}", objective=dist, networks=networks),
        *(_front(share, networks, suffix, of) for share in (0.2, 0.4)),
    )


SHIPPED = Method(
    name="dist_shipped",
    title="Dist Loss, lambda 0.1, few-shot share 0.4, features of an enriched cohort",
    objective=ObjectiveConfig(loss=Loss.DIST, dist_weight=0.1, weights=Weights.SHOTS, few_share=0.4),
    networks=(ENRICHED,),
)
"""The kind of recipe that is shipped, in small; on the larger cohort of the bundle the share is 0.5."""

ATTEMPTS = (
    SHIPPED,
    *FRONT,
    *_attempts("_enriched", ", features of an enriched cohort", (ENRICHED,)),
    *_attempts("_ensemble", ", features of six networks", ENSEMBLE),
    *_attempts("_all", ", features of seven networks", (*ENSEMBLE, ENRICHED)),
)
"""What might move the curve itself."""

BEYOND = tuple(method for method in ATTEMPTS if method.objective.loss is Loss.DIST)
"""Dist Loss among them."""

WITHOUT_DIST = next(method for method in ATTEMPTS if method.name == "front_0.4_enriched")
"""The same recipe without Dist Loss."""

_MAPPINGS = {m.networks: m for m in (QUANTILE_MAP, *ATTEMPTS) if m.stage is Stage.QUANTILE_MAP}


def references(method: Method) -> tuple[Method, ...]:
    """What a method is compared with: the quantile mapping on the same networks, for a network trained with another
    loss that of the L1 network; then, for the shipped recipe, the same without Dist Loss."""
    free = _MAPPINGS.get(method.networks, QUANTILE_MAP)
    return (free, WITHOUT_DIST) if method is SHIPPED else (free,)


TIER_1 = (BACKBONE, *CONTROLS, *HEADS)
TIER_2 = (BACKBONE, *CONTROLS, *WHOLE)
TIER_3 = (BACKBONE, *CONTROLS, *CURVE, *ATTEMPTS)
