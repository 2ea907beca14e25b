"""The test split: of a network beside the L1 network and free mappings, for a bundle, and of a bundle as a report.

    python -m training.evaluate --bundle ecg_ka/bundles/demo --cohort cohorts/ours --out reports/ours

writes report.html, report.json, MODEL_CARD.md and predictions.parquet, which holds one row an ECG and stays where the
cohort may be.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ecg_ka.network import PotassiumNet
from ecg_ka.uncertainty import Calibration, Regions
from training.answers import answers_for
from training.cohort import Cohort, Split
from training.config import execute
from training.evaluation.options import MeasureOptions
from training.files import write_atomically
from training.guarantees import guarantees
from training.metrics import Floats, alarm_metrics, quantile_map, regression_metrics
from training.train import predict
from training.trainer import embed, estimates_from

_WRITTEN = ("predictions.parquet", "MODEL_CARD.md", "report.html", "report.json")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(MeasureOptions):
    """Evaluate a bundle on the test split of a cohort, and write the report."""

    bundle: Path = field(metadata={"help": "bundle folder"})
    cohort: Path = field(metadata={"help": "folder of a cohort with a test split"})
    out: Path = field(metadata={"help": "folder for report and predictions; must not hold a report yet"})
    unseen: bool = field(
        default=False,
        metadata={"help": "none of the patients trained the bundle, though the cohort is split by another rule"},
    )
    threads: int = field(default=1, metadata={"help": "CPU threads of the network"})


def main() -> None:
    """Entry point of ``python -m training.evaluate``."""
    execute(EvaluateConfig, run)


def run(config: EvaluateConfig) -> dict[str, Any]:
    """Run the bundle, measure, write; returns what report.json holds, which is written last.

    Raises:
        FileExistsError: the folder holds a report already, or something else, such as a bundle.
        OSError: the disk is full; what is there has no report.json then, and the same command writes it anew.
        FileNotFoundError, ValueError: no cohort, or one that does not fit the bundle.
        BundleError: no valid bundle.
    """
    from ecg_ka import Estimator
    from training.evaluation.card import card
    from training.evaluation.page import page
    from training.evaluation.predictions import predict as answered
    from training.evaluation.predictions import write_predictions
    from training.evaluation.report import report_of

    _refuse_taken(config.out)
    estimator, cohort = Estimator.load(config.bundle, threads=config.threads), Cohort.open(config.cohort)
    if not config.unseen:
        but = "if none of its patients trained the bundle, say --unseen"
        cohort.refuse_other_splits(estimator.bundle.provenance.training, but)
    predictions = answered(estimator, cohort)
    report = report_of(predictions, estimator.bundle, cohort, config)
    config.out.mkdir(parents=True, exist_ok=True)
    write_predictions(predictions, config.out / "predictions.parquet")
    write_atomically(config.out / "MODEL_CARD.md", card(estimator.bundle, report))
    write_atomically(config.out / "report.html", page(report, predictions))
    write_atomically(config.out / "report.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
    print(f"{config.out / 'report.html'}: {report['labels']['n']:,} ECGs")
    return report


def _refuse_taken(out: Path) -> None:
    """An unfinished report may be written over, nothing else: not the model card in the folder of a bundle."""
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    other = sorted(name for name in there if name.removesuffix(".part") not in _WRITTEN)
    if "report.json" in there or other:
        what = "a report" if "report.json" in there else f"something else ({', '.join(other[:3])})"
        raise FileExistsError(f"{out} holds {what} already; name another folder with --out or delete it")


def evaluate(
    network: PotassiumNet, reference: PotassiumNet | None, calibration: Calibration, cohort: Cohort
) -> dict[str, Any]:
    """Metrics on the test split in plain JSON types: of the network, of the reference as it is and after a quantile
    mapping fitted on the calibration split, of intervals, bands and alarms, and with chest leads missing."""
    regions = calibration.distribution.regions
    test = predict(network, cohort, cohort.rows(Split.TEST))
    out: dict[str, Any] = {
        "cohort": cohort.about["about"],
        "model": _both(test.labels, test.estimates, regions),
        **guarantees(test.labels, answers_for(test, calibration), calibration),
        "missing_chest_leads": _missing_leads(network, cohort, regions),
    }
    if reference is not None:
        l1 = predict(reference, cohort, cohort.rows(Split.TEST))
        before = predict(reference, cohort, cohort.rows(Split.CALIBRATION))
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


if __name__ == "__main__":
    main()
