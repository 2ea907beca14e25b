"""The tables of a report, from its numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from training.evaluation.html import MISSING, count, event, measured, number, paragraph, remark, table, text
from training.evaluation.subgroups import covariate

Report = dict[str, Any]


def flow(report: Report) -> str:
    """The flow chart: what is left after each step, and how many fell out; of a step that leaves nothing out, as the
    next one has more again, the number stands beside."""
    evaluated, of_test = report["flow"]["evaluated"]["ecgs"], report["flow"]["splits"]["test"]["ecgs"]
    in_cohort = sum(split["ecgs"] for split in report["flow"]["splits"].values())
    steps = [(step["step"], step["left"], "left out") for step in report["flow"]["steps"]]
    steps.append(("ECGs in the cohort", in_cohort, "left out"))
    steps.append(("ECGs in the test split", of_test, "in other splits"))
    steps.append(("evaluated: the first ECG of each test patient", evaluated, "further ECGs of these patients"))
    lines: list[str] = []
    before, beside = steps[0][1], ""
    for i, (name, left, where) in enumerate(steps):
        if left < max(later for _, later, _ in steps[i:]):
            beside = f"{left:,} {name}"
            continue
        out = f"{before - left:,} {where}" if left < before else beside
        lines.append(f'<li><div class="box"><b>{left:,}</b>{text(name)}</div><div class="out">{text(out)}</div></li>')
        before, beside = left, ""
    return f'<ol class="flow">{"".join(lines)}</ol>'


def splits(report: Report) -> str:
    """The four splits in boxes."""
    boxes = [
        f"<div{' class=used' if name == 'test' else ''}><b>{escape(name)}</b>{n['patients']:,} patients<br>"
        f"{n['ecgs']:,} ECGs</div>"
        for name, n in report["flow"]["splits"].items()
    ]
    words = "Splits by patient. Model and calibration are the bundle's; only the test split of this cohort was used."
    return f'<div class="splits">{"".join(boxes)}</div>{remark(words)}'


def labels(report: Report) -> str:
    """Quantiles of the labels and the constants."""
    m = report["labels"]
    words = {"0 %": "least", "50 %": "median", "100 %": "greatest"}
    quantiles = {words.get(q, q.replace(" ", "\N{NO-BREAK SPACE}")): number(v, 1) for q, v in m["quantiles"].items()}
    facts = {"mean": number(m["mean"]), "SD": number(m["sd"]), **quantiles}
    constants = {
        "ECGs": count(m["n"]),
        "MAE of predicting the median": number(m["mae_of_the_median"]),
        "of predicting the mean": number(m["mae_of_the_mean"]),
    }
    captions = {
        "Potassium by the laboratory, mmol/L: mean, SD, quantiles": facts,
        "Constant predictors, mmol/L": constants,
    }
    tables = [table(title, ["", *row], [["labels", *row.values()]]) for title, row in captions.items()]
    titles = region_titles(report)
    rows = [[titles[name], count(n), number(n / m["n"])] for name, n in m["by_region"].items()]
    note = "Regions: how many training ECGs have such a value (many, median, few)."
    return "".join(tables) + table("ECGs in each region, mmol/L", ["region", "ECGs", "share"], rows, note)


def region_titles(report: Report) -> dict[str, str]:
    """Names of the regions with what lies in each, in mmol/L."""
    a, b, c, d = (f"{edge:g}" for edge in report["labels"]["region_edges_mmol_l"])
    return {
        "few_low": f"few, low: < {a}",
        "median_low": f"median, low: {a} to < {b}",
        "many": f"many: {b} to {c}",
        "median_high": f"median, high: > {c} to {d}",
        "few_high": f"few, high: > {d}",
        "median": "median, both ends",
        "few": "few, both ends",
    }


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
    ordered = {title: low[name] for name, title in region_titles(report).items()}
    out = []
    captions = {
        "By region of the laboratory value, mmol/L (95 % interval)": ordered,
        "By clinical band of the laboratory value, mmol/L (95 % interval)": found["by_band"],
    }
    head = [
        "",
        "ECGs",
        "SD of labels",
        "MAE of estimate",
        "of calibrated median",
        "of median for all",
        "of mean for all",
        "bias of estimate",
        "SD ratio",
    ]
    for caption, groups in captions.items():
        rows = [
            [
                title,
                count(m["n"]),
                number(m["sd_labels"]),
                measured(m["mae"]),
                measured(m["mae_of_calibrated_median"]),
                number(m["mae_of_the_median"]),
                number(m["mae_of_the_mean"]),
                measured(m["bias"]),
                number(m["sd_ratio"], 2),
            ]
            for title, m in groups.items()
        ]
        out.append(table(caption, head, rows))
    note = "SD ratio within a group: SD of the estimates over SD of the labels there; large where labels hardly differ."
    return "".join(out) + remark(note)


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
        "Slopes in mmol/L per mmol/L. That on the mean of both is 0 when estimate and laboratory have the same SD; "
        "that on the laboratory value is \N{MINUS SIGN}1 for a constant and 0 without regression to the mean."
    )
    return table("Estimate minus laboratory, mmol/L (95 % interval)", ["", "estimate", "calibrated median"], rows, note)


def not_recorded(report: Report) -> str:
    """Subgroups that the cohort has no column for, and columns that make no group."""
    groups, words = report["subgroups"], []
    if groups["not_recorded"]:
        words.append(f"Not recorded in this cohort: {', '.join(groups['not_recorded'])}.")
    if groups["not_grouped"]:
        left_out = ", ".join(covariate(name) for name in groups["not_grouped"])
        words.append(f"Columns that make no groups (times, identifiers, nothing stated): {left_out}.")
    words.append(
        f"Groups below {groups['least_ecgs']} ECGs are too small to be measured and are named with their number. "
        "Numbers are cut at their quartiles unless clinical edges are usual. The median predictor is the subgroup's "
        "own. No AUROC with fewer than 10 ECGs on either side."
    )
    return paragraph(" ".join(words))


def subgroups(report: Report) -> list[str]:
    """One table for all covariates."""
    head = [
        "",
        "ECGs",
        "label SD",
        "MAE",
        "own median",
        "bias",
        *(f"AUROC {event(name)}" for name in (">=5.5", "<3.5")),
    ]
    rows = []
    for name, groups in report["subgroups"]["by_covariate"].items():
        for level, m in groups.items():
            title = f"{covariate(name)}: {level}"
            if m["is_too_small"]:
                rows.append([title, count(m["n"]), "too small", *[MISSING] * 5])
                continue
            aurocs = [_auroc(m, event_name) for event_name in (">=5.5", "<3.5")]
            figures = [number(m["sd_labels"]), measured(m["mae"]), number(m["mae_of_the_median"]), measured(m["bias"])]
            rows.append([title, count(m["n"]), *figures, *aurocs])
    return [table("Subgroups, mmol/L (95 % interval); before an AUROC the number of ECGs with the event", head, rows)]


def _auroc(found: dict[str, Any], name: str) -> str:
    return f"{found['n_events'][name]:,}: {measured(found['auroc'][name])}"


def tripod(report: Report) -> str:
    """Every item; what is left to the authors stands out."""
    lines = []
    for item in report["tripod_ai"]:
        kind = ' class="open"' if item["for_the_authors"] else ""
        lines.append(
            f'<tr><th scope="row">{text(item["number"])}</th><td>{text(item["topic"])}</td>'
            f"<td{kind}>{text(item['text'])}</td></tr>"
        )
    head = "<tr><th>Item</th><th>Topic</th><th>From this run</th></tr>"
    return f'<div class="table"><table class="words"><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table></div>'
