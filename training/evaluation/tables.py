"""The tables of a report, from its numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from training.evaluation.html import MISSING, count, measured, number, paragraph, table

Report = dict[str, Any]

REGIONS = {
    "few_low": "few, low",
    "median_low": "median, low",
    "many": "many",
    "median_high": "median, high",
    "few_high": "few, high",
    "median": "median, both ends",
    "few": "few, both ends",
}


def flow(report: Report) -> str:
    """The flow chart: what is left after each step, and how many fell out."""
    evaluated, all_splits = report["flow"]["evaluated"], report["flow"]["splits"]
    steps = [(step["step"], step["left"]) for step in report["flow"]["steps"]]
    in_cohort = sum(split["ecgs"] for split in all_splits.values())
    steps.append(("ECGs in the cohort", in_cohort))
    steps.append(("ECGs in the test split", all_splits["test"]["ecgs"]))
    steps.append(("evaluated: the first ECG of each test patient", evaluated["ecgs"]))
    lines = []
    for i, (name, left) in enumerate(steps):
        lost = steps[i - 1][1] - left if i else 0
        where = "in other splits" if "test split" in name else "further ECGs of these patients"
        where = where if i >= len(steps) - 2 else "left out"
        out = f"{lost:,} {where}" if lost > 0 else ""
        lines.append(
            f'<li><div class="box"><b>{left:,}</b>{escape(name)}</div><div class="out">{escape(out)}</div></li>'
        )
    return f'<ol class="flow">{"".join(lines)}</ol>'


def splits(report: Report) -> str:
    """The four splits in boxes."""
    boxes = [
        f"<div{' class=used' if name == 'test' else ''}><b>{escape(name)}</b>{n['patients']:,} patients<br>"
        f"{n['ecgs']:,} ECGs</div>"
        for name, n in report["flow"]["splits"].items()
    ]
    words = "Splits by patient. Model and calibration are the bundle's; only the test split of this cohort was used."
    return f'<div class="splits">{"".join(boxes)}</div><p class="note">{words}</p>'


def labels(report: Report) -> str:
    """Quantiles of the labels and the constants."""
    m = report["labels"]
    rows = [[f"quantile {q}", number(value, 1)] for q, value in m["quantiles"].items()]
    few = [[f"ECGs, region {REGIONS[name]}", count(n)] for name, n in m["by_region"].items()]
    constants = [
        ["mean", number(m["mean"])],
        ["SD", number(m["sd"])],
        ["MAE of predicting the median", number(m["mae_of_the_median"])],
        ["MAE of predicting the mean", number(m["mae_of_the_mean"])],
    ]
    return table(f"Potassium by the laboratory, mmol/L, {m['n']:,} ECGs", ["", "value"], [*constants, *rows, *few])


def overall(report: Report) -> str:
    """Estimate and calibrated median beside what is constant."""
    kinds = {
        "estimate": report["accuracy"]["estimate"],
        "calibrated median": report["accuracy"]["calibrated_median"],
    }
    lines: dict[str, Callable[[dict[str, Any]], str]] = {
        "MAE": lambda m: measured(m["mae_interval"]),
        "balanced MAE": lambda m: number(m["balanced_mae"]),
        "bias (mean error)": lambda m: measured(m["bias_interval"]),
        "SD": lambda m: number(m["sd_estimates"]),
        "SD over SD of the labels": lambda m: measured(m["sd_ratio_interval"]),
        "correlation r": lambda m: number(m["r"]),
        "slope of the labels on it": lambda m: measured(m["slope_of_labels"]),
    }
    facts = report["labels"]
    constant = {"MAE": (number(facts["mae_of_the_median"]), number(facts["mae_of_the_mean"])), "SD": ("0", "0")}
    rows = [
        [name, *(cell(m) for m in kinds.values()), *constant.get(name, (MISSING, MISSING))]
        for name, cell in lines.items()
    ]
    caption = f"All test ECGs, mmol/L (95 % interval); SD of the labels {number(facts['sd'])}"
    return table(caption, ["", *kinds, "median for everyone", "mean for everyone"], rows)


def regions(report: Report) -> str:
    """Errors by region and by band."""
    found = report["accuracy"]
    low = found["by_region"]
    ordered = {title: low[name] for name, title in REGIONS.items()}
    out = []
    edges = ", ".join(f"{edge:g}" for edge in report["labels"]["region_edges_mmol_l"])
    captions = {
        f"By region of the laboratory value (edges {edges} mmol/L)": ordered,
        "By clinical band of the laboratory value, mmol/L": found["by_band"],
    }
    head = [
        "",
        "ECGs",
        "SD of labels",
        "MAE",
        "median for all",
        "mean for all",
        "calibrated median",
        "bias",
        "SD ratio",
    ]
    for caption, groups in captions.items():
        rows = [
            [
                title,
                count(m["n"]),
                number(m["sd_labels"]),
                measured(m["mae"]),
                number(m["mae_of_the_median"]),
                number(m["mae_of_the_mean"]),
                measured(m["mae_of_calibrated_median"]),
                measured(m["bias"]),
                number(m["sd_ratio"], 2),
            ]
            for title, m in groups.items()
        ]
        out.append(table(caption, head, rows))
    note = "SD ratio within a group: SD of the estimates over SD of the labels there; large where labels hardly differ."
    return "".join(out) + f'<p class="note">{note}</p>'


def agreement(report: Report) -> str:
    """Bland-Altman in numbers."""
    kinds = [report["accuracy"][name]["agreement"] for name in ("estimate", "calibrated_median")]
    lines = {
        "bias (mean difference)": "bias",
        "lower limit of agreement": "lower_limit",
        "upper limit of agreement": "upper_limit",
        "proportional bias: slope on the mean of both": "slope_on_mean",
        "slope on the laboratory value": "slope_on_label",
    }
    rows = [[title, *(measured(kind[key]) for kind in kinds)] for title, key in lines.items()]
    note = (
        "In mmol/L per mmol/L. The slope on the mean of both is 0 when estimate and laboratory have the same SD; "
        "the slope on the laboratory value is -1 for a constant and 0 without regression to the mean."
    )
    return table("Estimate minus laboratory, mmol/L (95 % interval)", ["", "estimate", "calibrated median"], rows, note)


def ranking(report: Report) -> str:
    """AUROC and AUPRC by event."""
    rows = [
        [
            f"K {name}",
            count(m["n_events"]),
            measured(m["share"]),
            *(measured(m[score][key]) for key in ("auroc", "auprc") for score in ("estimate", "probability")),
        ]
        for name, m in report["alarms"]["ranking"].items()
    ]
    head = ["", "ECGs", "share", "AUROC, estimate", "AUROC, probability", "AUPRC, estimate", "AUPRC, probability"]
    note = "AUPRC of a score that says nothing: the share. Intervals: bootstrap of patients."
    return table("Ranking by the estimate and by the calibrated probability (95 % interval)", head, rows, note)


def fixed_points(report: Report) -> list[str]:
    """Sensitivity at fixed specificity and the reverse."""
    out = []
    for fixed, other in (("specificity", "sensitivity"), ("sensitivity", "specificity")):
        key = f"{other}_at_{fixed}"
        found = {name: m["probability"][key] for name, m in report["alarms"]["ranking"].items()}
        columns = list(next(iter(found.values())))
        rows = [[f"K {name}", *(measured(m[column]) for column in columns)] for name, m in found.items()]
        caption = f"{other.capitalize()} at a {fixed} of at least, by the calibrated probability (95 % interval)"
        note = "The cut-off is sought on the test split itself, in every resample again." if fixed[1] == "p" else ""
        out.append(table(caption, ["", *columns], rows, note))
    return out


def predictive_values(report: Report) -> list[str]:
    """At the operating points, for the stated prevalence and for others."""
    found = report["alarms"]["predictive_values"]
    rows = [
        [
            f"K {name}",
            number(m["operating_point"], 4),
            measured(m["sensitivity"]),
            measured(m["specificity"]),
            measured(m["observed_positive_predictive_value"]),
        ]
        for name, m in found.items()
    ]
    head = ["alarm", "probability above", "sensitivity", "specificity", "positive predictive value here"]
    out = [table("Alarms of the category on the test split (95 % interval)", head, rows)]
    for name, m in found.items():
        rows = [[f"stated by {m['stated_by']}: {_percent(m['stated']['prevalence'])}", *_values(m["stated"])]]
        rows += [[_percent(v["prevalence"]), *_values(v)] for v in m["elsewhere"]]
        head = ["prevalence", "positive predictive value", "negative predictive value", "alarms per 1,000 ECGs"]
        out.append(table(f"Alarm for K {name} at other prevalences", head, rows))
    return out


def _values(found: dict[str, Any]) -> list[str]:
    values = [number(found[f"{sign}_predictive_value"]) for sign in ("positive", "negative")]
    return [*values, number(found["alarms_per_1000"], 0)]


def decisions(report: Report) -> str:
    """Net benefit at a few thresholds."""
    rows = []
    for name, m in report["alarms"]["decision_curves"].items():
        at = dict(zip(m["threshold_probabilities"], zip(m["model"], m["testing_all"], strict=True), strict=True))
        for threshold in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3):
            model, testing_all = at[threshold]
            rows.append([f"K {name}, threshold {_percent(threshold)}", measured(model, 4), number(testing_all, 4), "0"])
    head = ["", "by probability (95 % interval)", "testing everybody", "testing nobody"]
    return table("Net benefit, true alarms per ECG", head, rows)


def probabilities(report: Report) -> str:
    """Brier score, observed to expected, recalibration."""
    rows = [
        [
            f"K {name}",
            measured(m["brier"], 4),
            measured(m["brier_skill"]),
            measured(m["observed_to_expected"], 2),
            measured(m["recalibration"]["in_the_large"], 2),
            measured(m["recalibration"]["slope"], 2),
        ]
        for name, m in report["probabilities"].items()
    ]
    head = ["", "Brier score", "Brier skill", "observed / expected", "intercept (slope 1)", "slope"]
    note = (
        "Right probabilities: observed / expected 1, intercept 0, slope 1. Skill 0: no better than the share of the "
        "test split given to everyone. No slope with fewer than 10 ECGs on either side."
    )
    return table("Calibrated probabilities (95 % interval)", head, rows, note)


def among_high(report: Report) -> str:
    """Where the estimate is high."""
    rows = [
        [
            f"estimate >= {m['estimate_at_least']:g}, P(K {m['event']})",
            count(m["n"]),
            number(m["mean_p"]),
            measured(m["observed"]),
        ]
        for m in report["among_high_estimates"]
    ]
    head = ["", "answers", "mean probability", "observed share (95 % interval)"]
    return table("Among answers with a high estimate", head, rows)


def intervals(report: Report) -> list[str]:
    """Coverage and width by true and by predicted region."""
    out = []
    for key, words in (("by_true_region", "true"), ("by_predicted_region", "predicted")):
        kinds = [report["intervals"][kind] for kind in ("marginal", "label_conditional")]
        groups = {"all": [kind["all"] for kind in kinds]}
        groups |= {REGIONS[name]: [kind[key][name] for kind in kinds] for name in kinds[0][key]}
        rows = [
            [
                title,
                count(found[0]["n"]),
                *(cell for m in found for cell in (measured(m["coverage"]), number(m["mean_width"], 2))),
            ]
            for title, found in groups.items()
        ]
        head = ["", "ECGs", "marginal", "width", "label-conditional", "width"]
        level = f"{report['intervals']['level']:g}"
        out.append(table(f"Coverage at level {level} and mean width in mmol/L, by {words} region", head, rows))
    return out


def bands(report: Report) -> str:
    """How often the set of bands holds the true one."""
    found = report["guarantees"]["bands"]
    rows = [
        [f"K {name.replace('_', ' ')}", count(b["n"]), *(number(b[k]) for k in ("in_set", "mean_size"))]
        for name, b in found["by_true_band"].items()
    ]
    caption = f"Bands: an answer without the true band in at most {_percent(found['alpha'])} of each"
    return table(caption, ["true band", "ECGs", "in the set", "bands in the set"], rows)


def not_recorded(report: Report) -> str:
    """Subgroups that the cohort has no column for, and columns that make no group."""
    groups, words = report["subgroups"], []
    if groups["not_recorded"]:
        words.append(f"Not recorded in this cohort: {', '.join(groups['not_recorded'])}.")
    if groups["not_grouped"]:
        words.append(f"Columns that make no groups (times, identifiers): {', '.join(groups['not_grouped'])}.")
    words.append(
        f"Groups below {groups['least_ecgs']} ECGs are too small to be measured and are named with their number. "
        "Numbers are cut at their quartiles unless clinical edges are usual. The median predictor is the subgroup's "
        "own. No AUROC with fewer than 10 ECGs on either side."
    )
    return paragraph(" ".join(words))


def subgroups(report: Report) -> list[str]:
    """One table for all covariates."""
    head = ["", "ECGs", "label SD", "MAE", "own median", "bias", "AUROC K >= 5.5", "AUROC K < 3.5"]
    rows = []
    for name, groups in report["subgroups"]["by_covariate"].items():
        for level, m in groups.items():
            title = f"{name.replace('_', ' ')}: {level}"
            if m["is_too_small"]:
                rows.append([title, count(m["n"]), "too small", *[MISSING] * 5])
                continue
            aurocs = [_auroc(m, event) for event in (">=5.5", "<3.5")]
            figures = [number(m["sd_labels"]), measured(m["mae"]), number(m["mae_of_the_median"]), measured(m["bias"])]
            rows.append([title, count(m["n"]), *figures, *aurocs])
    return [table("Subgroups, mmol/L (95 % interval); behind an AUROC the number of ECGs with the event", head, rows)]


def _auroc(found: dict[str, Any], event: str) -> str:
    return f"{measured(found['auroc'][event])} [{found['n_events'][event]:,}]"


def tripod(report: Report) -> str:
    """Every item; what is left to the authors stands out."""
    lines = []
    for item in report["tripod_ai"]:
        kind = ' class="open"' if item["for_the_authors"] else ""
        lines.append(
            f'<tr><th scope="row">{escape(item["number"])}</th><td>{escape(item["topic"])}</td>'
            f"<td{kind}>{escape(item['text'])}</td></tr>"
        )
    head = "<tr><th>Item</th><th>Topic</th><th>From this run</th></tr>"
    return f'<div class="table"><table class="words"><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table></div>'


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
