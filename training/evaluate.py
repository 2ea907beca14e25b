"""What a network is worth on the test split, beside the L1 network and the mappings that cost nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ecg_ka.network import PotassiumNet
from ecg_ka.uncertainty import ConformalDistribution, Regions
from training.cohort import Cohort, Split
from training.metrics import Floats, alarm_metrics, quantile_map, regression_metrics
from training.train import predict
from training.trainer import embed, estimates_from

LEVEL = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """Labels, estimates and spreads (n,) in mmol/L of one split."""

    labels: Floats
    estimates: Floats
    spreads: Floats


def predict_split(network: PotassiumNet, cohort: Cohort, split: Split) -> Predicted:
    """Run the network over a split."""
    rows = cohort.rows(split)
    estimates, spreads, _ = predict(network, cohort, rows)
    return Predicted(cohort.labels(rows), estimates, spreads)


def evaluate(
    network: PotassiumNet, reference: PotassiumNet | None, conformal: ConformalDistribution, cohort: Cohort
) -> dict[str, Any]:
    """Metrics on the test split in plain JSON types: of the network, of the reference as it is and after a quantile
    mapping fitted on the calibration split, of the intervals, and with chest leads missing."""
    test = predict_split(network, cohort, Split.TEST)
    out: dict[str, Any] = {
        "cohort": cohort.about["about"],
        "model": _both(test.labels, test.estimates, conformal.regions),
        "intervals": _intervals(test, conformal),
        "missing_chest_leads": _missing_leads(network, cohort, conformal.regions),
    }
    if reference is not None:
        l1 = predict_split(reference, cohort, Split.TEST)
        before = predict_split(reference, cohort, Split.CALIBRATION)
        mapped = quantile_map(l1.estimates, before.estimates, cohort.labels(cohort.rows(Split.TRAIN)))
        out["l1"] = _both(l1.labels, l1.estimates, conformal.regions)
        out["l1_quantile_mapped"] = _both(l1.labels, mapped, conformal.regions)
    return out


def _both(labels: Floats, estimates: Floats, regions: Regions) -> dict[str, Any]:
    return {**regression_metrics(labels, estimates, regions), "auroc": alarm_metrics(labels, estimates)}


def _intervals(test: Predicted, conformal: ConformalDistribution) -> dict[str, Any]:
    """Coverage and width of the marginal interval, overall and by the true region; a large part of the dangerous cases
    lies outside of it, whatever the loss, and that is printed where the interval is."""
    predicted = [conformal.predict(e, s) for e, s in zip(test.estimates, test.spreads, strict=True)]
    ends = np.array([(i.lower, i.upper) for i in (p.interval(LEVEL) for p in predicted)])
    covered = (ends[:, 0] <= test.labels) & (test.labels <= ends[:, 1])
    medians = np.array([p.median() for p in predicted])
    groups = conformal.regions.group(test.labels)
    p_high = np.array([p.p_at_least(5.5) for p in predicted])
    return {
        "level": LEVEL,
        "coverage": float(covered.mean()),
        "mean_width": float((ends[:, 1] - ends[:, 0]).mean()),
        "coverage_true_many": float(covered[groups == 2].mean()),
        "coverage_true_few": float(covered[np.isin(groups, (0, 4))].mean()),
        "coverage_true_at_least_5_5": float(covered[test.labels >= 5.5 - 1e-6].mean()),
        "mae_of_calibrated_median": float(np.abs(medians - test.labels).mean()),
        "mean_p_at_least_5_5": float(p_high.mean()),
        "share_at_least_5_5": float((test.labels >= 5.5 - 1e-6).mean()),
    }


def _missing_leads(network: PotassiumNet, cohort: Cohort, regions: Regions) -> dict[str, Any]:
    """MAE with 0, 1 and 2 chest leads blank, drawn at random with a fixed seed."""
    import torch

    rows = cohort.rows(Split.TEST)
    labels = cohort.labels(rows)
    chest = [i for i, lead in enumerate(cohort.about["signal"]["leads"]) if lead.startswith("V")]
    out = {}
    for n_off in range(3):
        rng = np.random.default_rng(n_off)

        def blank(signal_mv: torch.Tensor, n_off: int = n_off, rng: np.random.Generator = rng) -> torch.Tensor:
            keep = np.ones(signal_mv.shape[:2], dtype=np.float32)
            for row in keep:
                row[rng.permutation(chest)[:n_off]] = 0
            return signal_mv * torch.from_numpy(keep)[:, :, None].to(signal_mv.device)

        estimates = estimates_from(network, embed(network, cohort, rows, blank))
        metrics = regression_metrics(labels, estimates, regions)
        out[str(n_off)] = {key: metrics[key] for key in ("mae", "mae_few", "r")}
    return out
