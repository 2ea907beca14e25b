"""An answer and a problem as the interface description shows them."""

from __future__ import annotations

from typing import Any

from ecg_ka import DISCLAIMER, LEADS, Band, Category, Flag

_SHA256 = "7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730"
_RAISED = (Flag.DEMO_MODEL, Flag.AGE_OUT_OF_RANGE, Flag.RESAMPLED)

_SHARES = [0.02, 0.03, 0.03, 0.04, 0.04, 0.05, 0.05, 0.06, 0.06, 0.07, 0.07, 0.07, 0.07, 0.06, 0.06, 0.05, 0.04, 0.03]
_SHARES += [0.02, 0.02, 0.01, 0.01, 0.04]


def estimate() -> dict[str, Any]:
    """An answer of the demonstration model, with invented numbers."""
    return {
        "potassium_mmol_l": 4.6,
        "median_mmol_l": 4.4,
        "epistemic_sd_mmol_l": None,
        "interval": _interval(3.5, 5.3, "marginal", 0.59),
        "interval_label_conditional": _interval(3.3, 5.9, "label_conditional", 0.9),
        "probabilities": [
            {"comparator": ">=", "threshold_mmol_l": 5.5, "p": 0.04},
            {"comparator": "<", "threshold_mmol_l": 3.5, "p": 0.05},
        ],
        "distribution": {"lower_mmol_l": 3.3, "step_mmol_l": 0.1, "label_step_mmol_l": 0.1, "p": _SHARES},
        "category": str(Category.NO_ALARM),
        "bands": [str(Band.FROM_3_5_TO_5_4), str(Band.FROM_5_5)],
        "severe_bands": [],
        "region": _region(),
        "personal": None,
        "flags": [{"name": str(flag), "sentence": flag.sentence} for flag in _RAISED],
        "abstained": False,
        "abstain_reasons": [],
        "quality": {"grade": "good", "leads": dict.fromkeys(LEADS, "good"), "heart_rate_bpm": 68.0, "qrs_ms": 88.0},
        "novelty": {"distance": 0.61, "p_value": 0.34},
        "ecg": _ecg(),
        "model": _model(),
        "timing_ms": 9.5,
        "disclaimer": DISCLAIMER,
    }


def personal_estimate() -> dict[str, Any]:
    """The same with two earlier ECGs of the patient."""
    offset = {"n_pairs": 2, "offset_mmol_l": 0.21, "sd_mmol_l": 0.21}
    interval = _interval(3.5, 5.0, "marginal", 0.0) | {"coverage_at_least_5_5": None}
    return estimate() | {"potassium_mmol_l": 4.4, "median_mmol_l": 4.2, "interval": interval, "personal": offset}


def explanation() -> dict[str, Any]:
    """What moves an estimate, with invented numbers."""
    shown = estimate()
    effects = [("P", -0.01), ("QRS", 0.08), ("ST", -0.05), ("T(U)", -0.62)]
    return {
        "potassium_mmol_l": shown["potassium_mmol_l"],
        "effects": [{"wave": wave, "leads": list(LEADS), "change_mmol_l": change} for wave, change in effects],
        "spans": [{"wave": "T(U)", "start_s": 0.61, "stop_s": 1.12}],
        **{name: shown[name] for name in ("flags", "ecg", "model", "disclaimer")},
    }


def problem() -> dict[str, Any]:
    """A refusal."""
    return {
        "type": "urn:ecg-ka:error:truncated-file",
        "title": "Truncated file",
        "status": 400,
        "detail": "the JSON ends too early. Send the whole file.",
        "instance": "urn:ecg-ka:request:5f0c2a9e6b7d4d0f8f6f0f3f1f2e4c11",
    }


def _interval(lower: float, upper: float, method: str, coverage: float) -> dict[str, Any]:
    return {"lower": lower, "upper": upper, "level": 0.9, "method": method, "coverage_at_least_5_5": coverage}


def _region() -> dict[str, Any]:
    return {
        "name": "many",
        "training_density": 0.72,
        "n_train_near": 2160,
        "interval_reaches": ["many", "median"],
        "few_shot_share": 0.03,
    }


def _model() -> dict[str, Any]:
    return {
        "name": "demo",
        "version": "1",
        "sha256": _SHA256,
        "preprocessing_sha256": _SHA256,
        "trained_on": "simulated ECGs",
        "calibrated_on": "simulated ECGs",
        "n_calibration": 5000,
        "intended_use": "to show the software; no clinical use",
    }


def _ecg() -> dict[str, Any]:
    return {
        "sha256": _SHA256,
        "format": "DICOM",
        "device": None,
        "acquired_at": "2024-05-06T07:08:09",
        "fs_in_hz": 500.0,
        "units_in": "uV",
        "leads_found": list(LEADS),
        "leads_derived": [],
        "duration_s": 10.0,
        "window_start_s": 0.0,
        "notes": [],
    }


ANSWERS = {"/v1/predict": estimate, "/v1/personalize": personal_estimate, "/v1/explain": explanation}
"""By path."""
