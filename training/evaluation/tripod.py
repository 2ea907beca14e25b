"""The items of TRIPOD+AI (Collins et al., BMJ 2024;385:e078378), filled where a run can fill them.

What a run cannot know is left to the authors and never made up. The topics are named in our own words; the statement
has the full wording.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from training.evaluation.subgroups import covariate

AUTHORS = "to be filled by the authors"

_TOPICS = {
    "1": "Title: model, target population, outcome",
    "2": "Abstract (TRIPOD+AI for Abstracts)",
    "3a": "Healthcare context and rationale",
    "3b": "Target population, purpose, intended users",
    "3c": "Known health inequalities",
    "4": "Objectives: development, evaluation, or both",
    "5a": "Sources of data, and whom they represent",
    "5b": "Dates of the data",
    "6a": "Setting, number and place of centres",
    "6b": "Eligibility",
    "6c": "Treatments received",
    "7": "Data preparation and quality checks",
    "8a": "Outcome and how it was assessed",
    "8b": "Outcome assessors, if judgement was needed",
    "8c": "Blinding of the outcome",
    "9a": "Choice of predictors",
    "9b": "Definition of predictors",
    "9c": "Predictor assessors, if judgement was needed",
    "10": "Sample size",
    "11": "Missing data",
    "12a": "Use and partition of the data",
    "12b": "Handling of predictors",
    "12c": "Type of model, building, internal validation",
    "12d": "Heterogeneity between clusters, methods",
    "12e": "Measures and plots of performance",
    "12f": "Model updating, methods",
    "12g": "How predictions were calculated",
    "13": "Class imbalance",
    "14": "Approaches to fairness",
    "15": "Output of the model, thresholds",
    "16": "Differences between development and evaluation data",
    "17": "Ethical approval",
    "18a": "Funding",
    "18b": "Conflicts of interest",
    "18c": "Protocol",
    "18d": "Registration",
    "18e": "Data sharing",
    "18f": "Code sharing",
    "19": "Patient and public involvement",
    "20a": "Flow of participants",
    "20b": "Characteristics of participants",
    "20c": "Comparison with the development data",
    "21": "Participants and events in each analysis",
    "22": "Full specification of the model",
    "23a": "Performance with intervals, subgroups included",
    "23b": "Heterogeneity between clusters, results",
    "24": "Model updating, results",
    "25": "Interpretation",
    "26": "Limitations",
    "27a": "Poor or missing input when the model is used",
    "27b": "Interaction and expertise that use requires",
    "27c": "Next steps of research",
}


class Item(NamedTuple):
    """One item: number, topic, what the run says, and whether the authors still have to write."""

    number: str
    topic: str
    text: str
    for_the_authors: bool


def items(report: dict[str, Any]) -> list[Item]:
    """All items in order. A filled one may need words of the authors too, which its text then says."""
    filled = {**_data(report), **_methods(report), **_results(report)}
    return [Item(number, topic, filled.get(number, AUTHORS), number not in filled) for number, topic in _TOPICS.items()]


def _data(report: dict[str, Any]) -> dict[str, str]:
    model, cohort, signal = (report["about"][key] for key in ("model", "cohort", "signal"))
    steps = "; ".join(f"{step['step']}: {step['left']:,}" for step in report["flow"]["steps"])
    low, high = signal["band_hz"]
    return {
        "4": f"Evaluation of an existing model ({model['name']} {model['version']}). Its objective: {AUTHORS}.",
        "5a": f"Development: {model['trained_on']}. Calibration: {model['calibrated_on']}. Evaluation: "
        f"{cohort['description']}. Representativeness: {AUTHORS}.",
        "6b": (f"Counts at every step: {steps}. " if steps else "No step of exclusion was recorded. ")
        + f"Clinical criteria: {AUTHORS}.",
        "7": f"{len(signal['leads'])} leads ({', '.join(signal['leads'])}), {signal['duration_s']:g} s, band-pass "
        f"{low:g}-{high:g} Hz, resampled to {signal['fs_hz']:g} Hz, amplitude kept; the same code prepares ECGs for "
        "training and for use.",
        "8a": "Potassium in mmol/L as the cohort records it, at the time of the ECG; steps of 0.1 are taken as they "
        f"are. How and why it was measured: {AUTHORS}.",
        "9a": "The ECG signal alone; no covariate enters the model.",
        "9b": "Samples of the signal in mV, see item 7. The model does not see the laboratory value.",
        "11": "Leads that are absent enter as zeros. Covariates are used for subgroups only, and ECGs without one form "
        f"a group of their own. ECGs left out: item 6b. Reasons behind missing values: {AUTHORS}.",
    }


def _methods(report: dict[str, Any]) -> dict[str, str]:
    about = report["about"]
    options, model = about["options"], about["model"]
    loss = model["training"].get("config", {}).get("loss", "not recorded")
    sizes = ", ".join(f"{name} {n['patients']:,}" for name, n in report["flow"]["splits"].items())
    return {
        "12a": f"Split by patient with a keyed hash, no patient in two splits. Patients: {sizes}. Only the test split "
        "is used here, with the first ECG of each patient.",
        "12b": "See item 7; nothing is standardised by statistics of the cohort.",
        "12c": "One-dimensional residual network; configuration of its training is in report.json "
        f"(about.model.training). Why this model: {AUTHORS}.",
        "12e": "Discrimination, calibration of probabilities, net benefit, agreement, coverage of intervals and errors "
        f"by region of potassium; 95 % intervals from {options['resamples']:,} resamples of patients (seed "
        f"{options['seed']}), of Wilson for shares.",
        "12g": f"The ONNX graph and the calibration of bundle {model['sha256'][:16]}, ECG by ECG, as the software "
        "serves them.",
        "13": f"Labels are continuous and their ends rare. Loss of the last training stage: {loss}. Probabilities come "
        "from a conformal distribution fitted on the calibration split, its quantile curves on other ECGs.",
        "15": "An estimate in mmol/L; median, interval and probabilities of a calibrated distribution; a set of bands; "
        "an alarm category by operating points fixed on the calibration split at 10 % false alarms.",
        "16": f"Development: {model['trained_on']}. Evaluation: {about['cohort']['description']}. What differs between "
        f"the places: {AUTHORS}.",
    }


def _results(report: dict[str, Any]) -> dict[str, str]:
    ranking, labels, groups = report["alarms"]["ranking"], report["labels"], report["subgroups"]
    events = ", ".join(f"K {name[:-3]} {name[-3:]}: {found['n_events']:,}" for name, found in ranking.items())
    covariates = "; ".join(covariate(name) for name in groups["by_covariate"]) or "none recorded"
    best = ranking[">=5.5"]["estimate"]["auroc"]
    return {
        "20a": f"See the flow chart. {labels['n']:,} ECGs evaluated; {events}.",
        "20b": f"Potassium: mean {labels['mean']:.2f}, SD {labels['sd']:.2f} mmol/L; sizes of the groups by covariate "
        f"are in the table of subgroups. Other characteristics: {AUTHORS}.",
        "21": f"Test split: {labels['n']:,} patients; {events}. Development: items 5a and 12a.",
        "22": f"Bundle with SHA-256 {report['about']['model']['sha256']}: weights, graph, signal path, calibration. "
        f"Restrictions of access: {AUTHORS}.",
        "23a": f"AUROC at K >= 5.5 {_with_interval(best)}; all measures with intervals in this report; subgroups: "
        f"{covariates}.",
        "27a": "The software grades signal quality and gives no estimate, with the reason, when leads, length, "
        "amplitude or quality do not suffice. This evaluation takes every ECG of the cohort.",
        "27b": f"An ECG file is all that is read; its input takes no interaction. Reading the answer: {AUTHORS}.",
    }


def _with_interval(found: dict[str, float | None]) -> str:
    if found["value"] is None:
        return "is not defined for want of events"
    if found["lower"] is None or found["upper"] is None:
        return f"{found['value']:.3f}"
    return f"{found['value']:.3f} ({found['lower']:.3f} to {found['upper']:.3f})"
