"""The tables of a report, from its numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from training.evaluation.html import MISSING, count, event, measured, number, paragraph, table

Report = dict[str, Any]

_TITLES = {"male": "sex", "gap_min": "gap_to_the_laboratory_min", "qrs_ms": "QRS_width_ms", "hr_bpm": "heart_rate_bpm"}
_UNITS = ("ms", "bpm", "years", "min")

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
    words = {"0 %": "least", "50 %": "median", "100 %": "greatest"}
    quantiles = {words.get(q, q.replace(" ", "\N{NO-BREAK SPACE}")): number(v, 1) for q, v in m["quantiles"].items()}
    facts = {"mean": number(m["mean"]), "SD": number(m["sd"]), **quantiles}
    constants = {
        "ECGs": count(m["n"]),
        "MAE of predicting the median": number(m["mae_of_the_median"]),
        "of predicting the mean": number(m["mae_of_the_mean"]),
        **{REGIONS[name]: count(n) for name, n in m["by_region"].items()},
    }
    captions = {
        "Potassium by the laboratory, mmol/L: mean, SD, quantiles": facts,
        "Constant predictors, mmol/L, and ECGs in each region": constants,
    }
    return "".join(table(title, ["", *row], [["labels", *row.values()]]) for title, row in captions.items())


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


def covariate(name: str) -> str:
    """A column in words, its unit behind a comma."""
    words, _, unit = _TITLES.get(name, name).rpartition("_")
    return f"{words.replace('_', ' ')}, {unit}" if unit in _UNITS else _TITLES.get(name, name).replace("_", " ")


def _auroc(found: dict[str, Any], name: str) -> str:
    return f"{found['n_events'][name]:,}: {measured(found['auroc'][name])}"


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
