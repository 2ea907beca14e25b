"""The tables of ranking, alarms, probabilities and intervals."""

from __future__ import annotations

from typing import Any

from ecg_ka.estimate import Band, SevereBand
from training.evaluation.html import count, event, measured, number, table
from training.evaluation.tables import Report, region_titles


def ranking(report: Report) -> str:
    """AUROC and AUPRC by event."""
    rows = [
        [
            event(name),
            count(m["n_events"]),
            measured(m["share"]),
            *(measured(m[score][key]) for key in ("auroc", "auprc") for score in ("estimate", "probability")),
        ]
        for name, m in report["alarms"]["ranking"].items()
    ]
    head = ["", "ECGs", "share", "AUROC, estimate", "AUROC, probability", "AUPRC, estimate", "AUPRC, probability"]
    note = (
        "AUPRC of a score that says nothing: the share. Intervals: bootstrap of patients. With fewer than 10 ECGs on "
        "either side, values and intervals mean little, here and below."
    )
    return table("Ranking by the estimate and by the calibrated probability (95 % interval)", head, rows, note)


def fixed_points(report: Report) -> list[str]:
    """Sensitivity at fixed specificity and the reverse."""
    out = []
    for fixed, other in (("specificity", "sensitivity"), ("sensitivity", "specificity")):
        key = f"{other}_at_{fixed}"
        found = {name: m["probability"][key] for name, m in report["alarms"]["ranking"].items()}
        columns = list(next(iter(found.values())))
        rows = [[event(name), *(measured(m[column]) for column in columns)] for name, m in found.items()]
        caption = f"{other.capitalize()} at a {fixed} of at least, by the calibrated probability (95 % interval)"
        note = "The cut-off is sought on the test split itself, in every resample again." if fixed[1] == "p" else ""
        out.append(table(caption, ["", *columns], rows, note))
    return out


def predictive_values(report: Report) -> list[str]:
    """At the operating points, for the stated prevalence and for others."""
    found = report["alarms"]["predictive_values"]
    rows = [
        [
            event(name),
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
        source = "of the test split" if m["stated_by"] == "the test split" else "as stated"
        rows = [[f"{_percent(m['stated']['prevalence'])} ({source})", *_values(m["stated"])]]
        rows += [[_percent(v["prevalence"]), *_values(v)] for v in m["elsewhere"]]
        head = ["prevalence", "positive predictive value", "negative predictive value", "alarms per 1,000 ECGs"]
        out.append(table(f"Alarm for {event(name)} where it is as common as this (95 % interval)", head, rows))
    return out


def _values(found: dict[str, Any]) -> list[str]:
    values = [measured(found[f"{sign}_predictive_value"]) for sign in ("positive", "negative")]
    return [*values, measured(found["alarms_per_1000"], 0)]


def decisions(report: Report) -> str:
    """Net benefit at a few thresholds."""
    rows = []
    for name, m in report["alarms"]["decision_curves"].items():
        at = dict(zip(m["threshold_probabilities"], zip(m["model"], m["testing_all"], strict=True), strict=True))
        for threshold in (0.01, 0.02, 0.05, 0.1, 0.2, 0.3):
            model, testing_all = at[threshold]
            rows.append(
                [f"{event(name)}, threshold {_percent(threshold)}", measured(model, 4), number(testing_all, 4), "0"]
            )
    head = ["", "by probability (95 % interval)", "testing everybody", "testing nobody"]
    return table("Net benefit, true alarms per ECG", head, rows)


def probabilities(report: Report) -> str:
    """Brier score, observed to expected, recalibration."""
    rows = [
        [
            event(name),
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
            f"estimate {event('>=' + str(m['estimate_at_least']))[2:]}, P({event(m['event'])})",
            count(m["n"]),
            number(m["mean_p"]),
            measured(m["observed"]),
        ]
        for m in report["among_high_estimates"]
    ]
    head = ["", "answers", "mean probability", "observed share (95 % interval)"]
    return table("Among answers with a high estimate", head, rows)


def intervals(report: Report) -> list[str]:
    """Coverage and width by true region, true clinical band and predicted region."""
    out = []
    words = {
        "by_true_region": "region of the laboratory value",
        "by_true_band": "clinical band of the laboratory value",
        "by_predicted_region": "region of the estimate",
    }
    for key, by in words.items():
        kinds = [report["intervals"][kind] for kind in ("marginal", "label_conditional")]
        groups = {"all": [kind["all"] for kind in kinds]}
        titles = region_titles(report)
        groups |= {titles.get(name, name): [kind[key][name] for kind in kinds] for name in kinds[0][key]}
        rows = [
            [
                title,
                count(found[0]["n"]),
                *(cell for m in found for cell in (measured(m["coverage"]), number(m["mean_width"], 2))),
            ]
            for title, found in groups.items()
        ]
        head = ["", "ECGs", "marginal: coverage", "width", "label-conditional: coverage", "width"]
        level = f"{report['intervals']['level']:g}"
        out.append(table(f"Coverage at level {level} (95 % interval) and mean width in mmol/L, by {by}", head, rows))
    return out


def bands(report: Report) -> list[str]:
    """How often answers name each band and each severe band."""
    found = report["bands"]
    least = _percent(1 - found["alpha"])
    head = ["band", "ECGs in it", f"named in them (at least {least})", "named in all answers"]
    titles: tuple[tuple[str, type[Band] | type[SevereBand], str], ...] = (
        ("bands", Band, f"Bands that an answer names; {number(found['mean_size'], 2)} of 3 on average (95 % interval)"),
        ("severe_bands", SevereBand, "Severe bands that an answer names (95 % interval)"),
    )
    note = (
        "A band that an answer does not name is not thereby out of the question: up to "
        f"{_percent(found['alpha'])} of the ECGs in it lack it. Severe bands overlap the bands above and each other, "
        "each with a guarantee of its own."
    )
    return [
        table(
            caption,
            head,
            [
                [kind(name).words, count(b["n"]), measured(b["named"]), measured(b["named_of_all"])]
                for name, b in found[key].items()
            ],
            note if kind is SevereBand else "",
        )
        for key, kind, caption in titles
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
