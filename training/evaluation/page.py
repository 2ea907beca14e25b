"""report.html: one file that needs nothing else, every number from report.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from training.evaluation import alarm_tables, figures, tables
from training.evaluation.html import MISSING, count, event, figure, number, paragraph, section
from training.evaluation.predictions import Predictions
from training.evaluation.subgroups import LEAST_EVENTS
from training.evaluation.svg import inline, style

Report = dict[str, Any]


def page(report: Report, predictions: Predictions) -> str:
    """The whole document."""
    with mpl.rc_context(style()):
        sections = [make(report, predictions) for make in _SECTIONS]
    title = f"Evaluation of {report['about']['model']['name']} {report['about']['model']['version']}"
    css = (Path(__file__).parent / "page.css").read_text()
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{css}{_foot(report)}</style></head><body>"
        f'<div class="strip">{escape(_strip(report))}</div><main><h1>{escape(title)}</h1>'
        f"{_head(report)}{_contents(sections)}{''.join(sections)}</main></body></html>\n"
    )


def _strip(report: Report) -> str:
    simulated = report["about"]["simulated_notice"]
    return (f"DEMO_MODEL. {simulated} " if simulated else "") + "Research use only, not a medical device."


def _foot(report: Report) -> str:
    """The same words at the foot of every page on paper."""
    words = f'content: "{_strip(report)}"; font: 700 8pt sans-serif; color: #8c1d18;'
    return f"@page {{ size: A4; margin: 14mm 14mm 18mm; @bottom-center {{ {words} }} }}"


def _head(report: Report) -> str:
    about = report["about"]
    words = [about["notice"]]
    if about["is_simulated"]:
        words.insert(0, "DEMO_MODEL: model or cohort is simulated. " + about["simulated_notice"])
    notice = "".join(f"<p><strong>{escape(w)}</strong></p>" for w in words)
    boxes = "".join(f"<div><b>{escape(value)}</b><span>{escape(words)}</span></div>" for value, words in _main(report))
    return (
        f'<p class="lead">On: {escape(about["cohort"]["description"])}. Trained on: '
        f"{escape(about['model']['trained_on'])}. Bundle <code>{escape(about['model']['sha256'])}</code>.</p>"
        f'<div class="notice">{notice}</div><div class="figures">{boxes}</div>'
    )


def _main(report: Report) -> list[tuple[str, str]]:
    """The main figures, each with what it is."""
    labels, ranking = report["labels"], report["alarms"]["ranking"]
    mae = report["accuracy"]["estimate"]["mae_interval"]
    aurocs = [(ranking[name]["estimate"]["auroc"], name, ranking[name]["n_events"]) for name in (">=5.5", "<3.5")]
    is_enough = {name: LEAST_EVENTS <= n <= labels["n"] - LEAST_EVENTS for _, name, n in aurocs}
    return [
        (count(labels["n"]), "patients, one ECG each"),
        (
            number(mae["value"]),
            f"MAE, mmol/L{_interval(mae)}; of the median for everyone {number(labels['mae_of_the_median'])}, of the "
            f"mean {number(labels['mae_of_the_mean'])}",
        ),
        (number(labels["sd"]), "SD of the labels, mmol/L"),
        *(
            (number(found["value"]), f"AUROC, {event(name)} mmol/L{_interval(found)}; {count(n)} ECGs")
            if is_enough[name]
            else (MISSING, f"AUROC, {event(name)} mmol/L; {count(n)} ECGs, too few on one side")
            for found, name, n in aurocs
        ),
    ]


def _interval(found: dict[str, float | None]) -> str:
    return "" if found["lower"] is None else f" (95 % {number(found['lower'])} to {number(found['upper'])})"


def _contents(sections: Sequence[str]) -> str:
    links = []
    for made in sections:
        name, title = made.split('"', 2)[1], made.split("<h2>", 1)[1].split("</h2>", 1)[0]
        links.append(f'<a href="#{name}">{title}</a>')
    return f"<nav>{''.join(links)}</nav>"


def _picture(report: Report, name: str, drawn: Figure, caption: str) -> str:
    simulated = report["about"]["simulated_notice"]
    words = f"{caption} {simulated}" if simulated else caption
    return figure(inline(drawn, name, escape(caption.split(".")[0])), words)


def _flow(report: Report, _: Predictions) -> str:
    return section("Cohort", tables.flow(report), tables.splits(report))


def _labels(report: Report, p: Predictions) -> str:
    picture = _picture(
        report,
        "labels",
        figures.histogram(report, p),
        "Distribution of potassium by the laboratory, of the estimates and of the calibrated medians, in steps of 0.1 "
        "mmol/L. Dotted: edges of the regions few, median, many, median, few.",
    )
    return section("Labels", picture, tables.labels(report))


def _accuracy(report: Report, p: Predictions) -> str:
    picture = _picture(
        report,
        "scatter",
        figures.scatter(report, p),
        "Estimate and calibrated median against the laboratory value. Dashed: identity. Dotted: edges of the regions. "
        "Colour of hexagons: number of ECGs, logarithmic.",
    )
    words = (
        "No error is worth more than the label spread allows: beside every MAE stand the SD of the labels and the MAE "
        "of predicting one value for everyone, the median or the mean of the test labels. By region and band, those "
        "constants are the ones of all test labels."
    )
    return section("Accuracy", paragraph(words), tables.overall(report), picture, tables.regions(report))


def _agreement(report: Report, p: Predictions) -> str:
    if report["accuracy"]["estimate"]["agreement"] is None:
        return section("Agreement", paragraph("All labels are the same: there is no agreement to measure."))
    picture = _picture(
        report,
        "agreement",
        figures.bland_altman(report, p),
        "Difference between estimate and laboratory. Solid black: mean difference; dashed: 95 % limits of agreement; "
        "red: regression line.",
    )
    return section("Agreement", picture, tables.agreement(report))


def _ranking(report: Report, p: Predictions) -> str:
    n, ranking = report["labels"]["n"], report["alarms"]["ranking"]
    if not any(0 < found["n_events"] < n for found in ranking.values()):
        words = "No event has ECGs on both sides of its threshold: there are no curves to draw."
        return section("Discrimination", paragraph(words), alarm_tables.ranking(report))
    picture = _picture(
        report,
        "roc",
        figures.roc_and_precision(p),
        "ROC and precision-recall curves of the estimate, in the same colours. Dotted: a score that says nothing.",
    )
    return section("Discrimination", alarm_tables.ranking(report), picture, *alarm_tables.fixed_points(report))


def _predictive(report: Report, _: Predictions) -> str:
    words = (
        "Sensitivity and specificity at the operating points of the bundle, which were fixed on its calibration split, "
        "and what they would mean where high or low potassium is as common as stated (Bayes' theorem; it takes "
        "sensitivity and specificity to stay the same). A high negative predictive value may follow from a low "
        "prevalence alone, and no alarm places potassium in no range."
    )
    return section("Predictive values", paragraph(words), *alarm_tables.predictive_values(report))


def _decisions(report: Report, _: Predictions) -> str:
    picture = _picture(
        report,
        "decisions",
        figures.decision_curves(report),
        "Decision curves (Vickers & Elkin 2006) at the prevalence of the test split: net benefit of a laboratory test "
        "now where the calibrated probability reaches the threshold, with 95 % interval, against testing everybody and "
        "testing nobody on account of the ECG. At a threshold of 5 % one true alarm is worth 19 false ones.",
    )
    return section("Decision curves", picture, alarm_tables.decisions(report))


def _probabilities(report: Report, _: Predictions) -> str:
    picture = _picture(
        report,
        "reliability",
        figures.reliability_diagrams(report),
        "Reliability of the calibrated probabilities in up to ten bins of equal number, with 95 % intervals (Wilson). "
        "Dashed: perfect calibration. The axes are square roots, so that small probabilities can be told apart.",
    )
    return section(
        "Calibration of the probabilities", picture, alarm_tables.probabilities(report), alarm_tables.among_high(report)
    )


def _intervals(report: Report, _: Predictions) -> str:
    picture = _picture(
        report,
        "coverage",
        figures.coverages(report),
        f"Share of the intervals at level {report['intervals']['level']:g} (dashed) that hold the laboratory value, "
        "with 95 % intervals (Wilson), by the region of the true value and by that of the estimate.",
    )
    return section("Intervals", picture, *alarm_tables.intervals(report), *alarm_tables.bands(report))


def _risk(report: Report, _: Predictions) -> str:
    picture = _picture(
        report,
        "risk",
        figures.risk_coverage(report),
        "MAE of the answers kept when doubtful ones are dropped. The dashed line is the MAE of predicting the median "
        "of all labels for the same ECGs: where it falls too, the answers kept are those of ordinary values.",
    )
    return section("Keeping the surest answers", picture)


def _subgroups(report: Report, _: Predictions) -> str:
    groups = report["subgroups"]["by_covariate"]
    if not groups:
        return section("Subgroups", paragraph("The cohort has no covariates."), tables.not_recorded(report))
    if all(found["is_too_small"] for levels in groups.values() for found in levels.values()):
        return section("Subgroups", tables.not_recorded(report), *tables.subgroups(report))
    picture = _picture(
        report,
        "forest",
        figures.forest(report),
        "MAE and AUROC with 95 % intervals by subgroup. Red strokes: the MAE of predicting the subgroup's own median.",
    )
    return section("Subgroups", picture, tables.not_recorded(report), *tables.subgroups(report))


def _tripod(report: Report, _: Predictions) -> str:
    words = "Collins et al., BMJ 2024;385:e078378. Filled from this run where a run can fill them."
    return section("TRIPOD+AI", paragraph(words), tables.tripod(report))


def _methods(report: Report, _: Predictions) -> str:
    o = report["about"]["options"]
    words = [
        "One ECG a patient, the first in time. The graph of the bundle was run ECG by ECG, as it is served, and its "
        "outputs went through the calibration in the bundle; nothing was fitted on the test split.",
        f"95 % intervals: percentiles of {o['resamples']:,} bootstrap resamples of patients (seed {o['seed']}), none "
        "where less than 95 % of the resamples define the value; of shares, Wilson; of means, slopes and limits of "
        "agreement, Student's t. No interval was corrected for the number of comparisons.",
        "Every ECG of the cohort counts, also those for which the software would withhold a value for bad quality.",
    ]
    return section("Methods", *map(paragraph, words))


_SECTIONS: tuple[Callable[[Report, Predictions], str], ...] = (
    _flow,
    _labels,
    _accuracy,
    _agreement,
    _ranking,
    _predictive,
    _decisions,
    _probabilities,
    _intervals,
    _risk,
    _subgroups,
    _methods,
    _tripod,
)
