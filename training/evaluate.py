"""What a network is worth on the test split, beside the L1 network and the mappings that cost nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from ecg_ka.network import PotassiumNet
from ecg_ka.uncertainty import Calibration, Pairs, Regions
from training.cohort import Cohort, Split
from training.guarantees import guarantees
from training.metrics import Floats, alarm_metrics, quantile_map, regression_metrics
from training.train import predict
from training.trainer import embed, estimates_from


def predict_split(network: PotassiumNet, cohort: Cohort, split: Split) -> Pairs:
    """Run the network over a split."""
    rows = cohort.rows(split)
    estimates, spreads, _ = predict(network, cohort, rows)
    return Pairs(estimates, spreads, cohort.labels(rows))


def evaluate(
    network: PotassiumNet, reference: PotassiumNet | None, calibration: Calibration, cohort: Cohort
) -> dict[str, Any]:
    """Metrics on the test split in plain JSON types: of the network, of the reference as it is and after a quantile
    mapping fitted on the calibration split, of intervals, bands and alarms, and with chest leads missing."""
    regions = calibration.distribution.regions
    test = predict_split(network, cohort, Split.TEST)
    out: dict[str, Any] = {
        "cohort": cohort.about["about"],
        "model": _both(test.labels, test.estimates, regions),
        **guarantees(test, calibration),
        "missing_chest_leads": _missing_leads(network, cohort, regions),
    }
    if reference is not None:
        l1 = predict_split(reference, cohort, Split.TEST)
        before = predict_split(reference, cohort, Split.CALIBRATION)
        mapped = quantile_map(l1.estimates, before.estimates, cohort.labels(cohort.rows(Split.TRAIN)))
        out["l1"] = _both(l1.labels, l1.estimates, regions)
        out["l1_quantile_mapped"] = _both(l1.labels, mapped, regions)
    return out


def _both(labels: Floats, estimates: Floats, regions: Regions) -> dict[str, Any]:
    return {**regression_metrics(labels, estimates, regions), "auroc": alarm_metrics(labels, estimates)}


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
