"""report.json: everything that the page and the card show, in plain types."""

from __future__ import annotations

from typing import Any

from ecg_ka.bundle import Bundle
from ecg_ka.estimate import DISCLAIMER
from training.cohort import Cohort
from training.evaluation import source
from training.evaluation.accuracy import accuracy, label_facts
from training.evaluation.alarms import alarms
from training.evaluation.options import MeasureOptions, plain
from training.evaluation.predictions import Predictions
from training.evaluation.subgroups import subgroups
from training.evaluation.tripod import items
from training.evaluation.trust import among_high_estimates, bands, intervals, probabilities, risk_coverage_curves

SIMULATED = "Simulated figures say nothing about patients."


def report_of(p: Predictions, bundle: Bundle, cohort: Cohort, options: MeasureOptions) -> dict[str, Any]:
    """All measures of predictions, with where they come from."""
    about = {"notice": DISCLAIMER, **_sources(bundle, cohort), "options": _stated(options)}
    about["is_simulated"] = about["cohort"]["is_simulated"] or about["model"]["is_simulated"]
    about["simulated_notice"] = SIMULATED if about["is_simulated"] else None
    report = plain({"about": about, "flow": _flow(p, cohort), **measures(p, bundle, options)})
    return {**report, "tripod_ai": [item._asdict() for item in items(report)]}


def measures(p: Predictions, bundle: Bundle, options: MeasureOptions) -> dict[str, Any]:
    """What follows from the predictions and the calibration alone."""
    regions = bundle.regions
    return {
        "labels": label_facts(p.labels, regions),
        "accuracy": accuracy(p, regions, options),
        "alarms": alarms(p, bundle.calibration.operating_points, options),
        "probabilities": probabilities(p, options),
        "among_high_estimates": among_high_estimates(p),
        "intervals": intervals(p, regions),
        "bands": bands(p),
        "risk_coverage": risk_coverage_curves(p),
        "subgroups": subgroups(p, options),
    }


def _sources(bundle: Bundle, cohort: Cohort) -> dict[str, Any]:
    m = bundle.identity()
    return {
        "model": {
            "name": m.name,
            "version": m.version,
            "sha256": m.sha256,
            "is_simulated": bundle.provenance.is_simulated,
            "trained_on": m.trained_on,
            "calibrated_on": m.calibrated_on,
            "intended_use": m.intended_use,
            "label_distribution_sha256": bundle.provenance.label_distribution_sha256,
            "training": bundle.provenance.training,
        },
        "cohort": source.described(cohort),
        "signal": {
            "leads": bundle.signal.leads,
            "fs_hz": bundle.signal.fs_hz,
            "duration_s": bundle.signal.duration_s,
            "band_hz": [bundle.signal.high_pass_hz, bundle.signal.low_pass_hz],
        },
    }


def _stated(options: MeasureOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("prevalence", "prevalence_low", "resamples", "seed")}


def _flow(p: Predictions, cohort: Cohort) -> dict[str, Any]:
    return {
        "steps": [{"step": count.step, "left": count.left} for count in source.exclusions(cohort)],
        "splits": source.splits(cohort),
        "evaluated": {"ecgs": len(p.labels), "patients": len(set(p.patients.tolist()))},
    }
