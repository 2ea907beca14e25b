"""The model card of a bundle, with what this evaluation adds to it."""

from __future__ import annotations

from typing import Any

from ecg_ka.bundle import Bundle
from training.card import model_card
from training.evaluation.html import count, event, measured, number
from training.markdown import table


def card(bundle: Bundle, report: dict[str, Any]) -> str:
    """MODEL_CARD.md of the bundle, followed by the evaluation on this cohort."""
    about, labels = report["about"], report["labels"]
    facts = (
        f"On: {about['cohort']['description']}. {count(labels['n'])} patients, one ECG each. Labels: SD "
        f"{number(labels['sd'])} mmol/L; predicting their median for everyone gives an MAE of "
        f"{number(labels['mae_of_the_median'])}, their mean {number(labels['mae_of_the_mean'])}."
    )
    simulated = f"**DEMO_MODEL. {about['simulated_notice']}**" if about["is_simulated"] else ""
    parts = ["## This evaluation", simulated, facts, _errors(report), _ranking(report), _coverage(report)]
    parts.append("Written by `python -m training.evaluate`; report.html has all of it.")
    return model_card(bundle) + "\n" + "\n\n".join(part for part in parts if part) + "\n"


def _errors(report: dict[str, Any]) -> str:
    rows = []
    for title, key in (("estimate", "estimate"), ("calibrated median", "calibrated_median")):
        m = report["accuracy"][key]
        intervals = [measured(m[name]) for name in ("mae_interval", "bias_interval", "sd_ratio_interval")]
        rows.append([title, *intervals, *(number(m[name]) for name in ("mae_many", "mae_median", "mae_few"))])
    return table(["", "MAE (95 % interval)", "bias", "SD ratio", "MAE, many", "median", "few"], rows)


def _ranking(report: dict[str, Any]) -> str:
    rows = [
        [event(name), count(m["n_events"]), measured(m["estimate"]["auroc"]), measured(m["estimate"]["auprc"])]
        for name, m in report["alarms"]["ranking"].items()
    ]
    return table(["", "ECGs", "AUROC of the estimate (95 % interval)", "AUPRC"], rows)


def _coverage(report: dict[str, Any]) -> str:
    kinds = [report["intervals"][kind] for kind in ("marginal", "label_conditional")]
    names = list(kinds[0]["by_true_region"])
    rows = [
        [name.replace("_", ", "), *(measured(kind["by_true_region"][name]["coverage"]) for kind in kinds)]
        for name in names
    ]
    return table(["true region", "marginal interval holds (95 % interval)", "label-conditional"], rows)
