"""The model card, made from what a bundle holds and from nothing else."""

from __future__ import annotations

from typing import Any

from ecg_ka.bundle import Bundle
from ecg_ka.estimate import BANDS_SENTENCE, DISCLAIMER, FALSE_ALARM_SHARE, Band
from training.markdown import table

_SIMULATED = (
    "**DEMO_MODEL: trained and tested on simulated ECGs only. Every figure below is simulated and says nothing about "
    "accuracy on patients.**"
)
_CALIBRATED_ELSEWHERE = (
    "**DEMO_MODEL: trained on simulated ECGs only. The figures of estimates, AUROC and missing leads are simulated and "
    "say nothing about accuracy on patients; those of intervals, bands and alarms were measured on the cohort that "
    "calibrated the bundle.**"
)


CALIBRATED_ON = "calibrated_on"
"""In the metrics of a bundle that was calibrated anew: ``description``, ``is_simulated``, ``n_test``."""


def model_card(bundle: Bundle) -> str:
    """MODEL_CARD.md of a bundle as Markdown."""
    p, m = bundle.provenance, bundle.metrics
    sections = [
        f"# Model card: {p.name} {p.version}",
        f"> {DISCLAIMER}",
        _warning(bundle),
        _identity(bundle),
        "## Intended use\n\n" + p.intended_use + " Not for patients under 18 years.",
        "## Estimates on the test split\n\n" + _regression_table(m),
        "## Alarms: AUROC of the estimate (95 % interval)\n\n" + _alarm_table(m),
        "## Intervals\n\n" + _measured_on(m) + _intervals(m),
        "## Bands\n\n" + _bands(m["bands"]),
        "## Alarms of the category\n\n" + _category_alarms(m["alarms"]),
        "## Missing chest leads\n\n" + _missing_table(m["missing_chest_leads"]),
        "## Limits\n\n" + _LIMITS,
        "Generated from `metrics.json` by `python -m training.export` or `python -m training.calibrate`.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _warning(bundle: Bundle) -> str:
    if not bundle.provenance.is_simulated:
        return ""
    calibrated_on = bundle.metrics.get(CALIBRATED_ON)
    return _SIMULATED if calibrated_on is None or calibrated_on["is_simulated"] else _CALIBRATED_ELSEWHERE


def _measured_on(m: dict[str, Any]) -> str:
    """Where intervals, bands and alarms come from other ECGs than the estimates above them."""
    if CALIBRATED_ON not in m:
        return ""
    about = m[CALIBRATED_ON]
    return (
        f"Calibrated anew: this section and the two after it were measured on {about['n_test']:,} ECGs of the test "
        f"split of {about['description']}. What stands above, and missing chest leads, are of the network's own test "
        "split.\n\n"
    )


_GROUPS = {
    "all": "all",
    "few, low": "few_low",
    "median, low": "median_low",
    "many": "many",
    "median, high": "median_high",
    "few, high": "few_high",
    "K < 3.5": "below_3_5",
    "K 3.5-5.4": "3_5_to_5_4",
    "K >= 5.5": "5_5_and_above",
}

_LIMITS = """- An estimate is stretched to the spread of the labels by Dist Loss: it ranks and alarms. How likely a
  value is stands in the calibrated distribution (median, interval, probabilities).
- The marginal interval covers as often as it says over all ECGs, and much less often among the dangerous ones (see
  above). No alarm, or a band that an answer lacks, places potassium in no range.
- A low estimate must never delay, replace or cancel a laboratory test.
- Another hospital, another cart or another prevalence breaks the exchangeability on which calibration rests."""


def _identity(bundle: Bundle) -> str:
    p, s, step = bundle.provenance, bundle.signal, bundle.calibration.distribution.label_step_mmol_l
    rows = {
        "Network": f"pre-activation 1-D ResNet, {bundle.metrics['parameters']:,} parameters",
        "Input": f"{len(s.leads)} leads ({', '.join(s.leads)}) in mV, {s.duration_s:g} s at {s.fs_hz:g} Hz, "
        f"{s.high_pass_hz:g}-{s.low_pass_hz:g} Hz",
        "Trained on": p.trained_on,
        "Calibrated on": p.calibrated_on,
        "Potassium recorded": f"in steps of {step:g} mmol/L" if step else "in no steps",
        "Bundle SHA-256": f"`{bundle.sha256}`",
        "Label distribution SHA-256": f"`{p.label_distribution_sha256}`",
    }
    return table(["", ""], [[key, value] for key, value in rows.items()])


def _regression_table(m: dict[str, Any]) -> str:
    columns = {
        "MAE": "mae",
        "many": "mae_many",
        "median": "mae_median",
        "few": "mae_few",
        "few, low": "mae_few_low",
        "few, high": "mae_few_high",
        "balanced": "balanced_mae",
        "bias": "bias",
        "r": "r",
        "SD": "sd_estimates",
    }
    rows = [[title, *(_number(m[key][column]) for column in columns.values())] for key, title in _models(m)]
    first = m["model"]
    note = (
        f"{first['n']:,} ECGs, one a patient. In mmol/L; regions by the true label. SD of the labels "
        f"{_number(first['sd_labels'])}; predicting their median for everyone gives an MAE of "
        f"{_number(first['mae_of_the_median'])}."
    )
    return note + "\n\n" + table(["", *columns], rows)


def _alarm_table(m: dict[str, Any]) -> str:
    rows = []
    for alarm, found in m["model"]["auroc"].items():
        cells = [_auroc(m[key]["auroc"][alarm]) for key, _ in _models(m)]
        rows.append([f"K {alarm}", str(int(found["n_positive"])), *cells])
    return table(["", "positives", *(title for _, title in _models(m))], rows)


def _intervals(m: dict[str, Any]) -> str:
    i = m["intervals"]
    kinds = (i, m["intervals_label_conditional"])
    rows = []
    for title, key in _GROUPS.items():
        cells = [_number(k["by_true_value"][key][figure]) for k in kinds for figure in ("coverage", "mean_width")]
        rows.append([title, str(i["by_true_value"][key]["n"]), *cells])
    note = (
        f"Share of test ECGs whose true potassium the interval at level {i['level']:g} holds, and its mean width in "
        "mmol/L. The marginal interval holds its level over all ECGs alike; the label-conditional one in each true "
        f"region. MAE of the calibrated median {_number(i['mae_of_calibrated_median'])} mmol/L. Mean P(K >= 5.5) "
        f"{_number(i['mean_p_at_least_5_5'], 4)} against an observed share of {_number(i['share_at_least_5_5'], 4)}."
    )
    columns = ["true potassium", "ECGs", "marginal", "width", "label-conditional", "width"]
    return note + "\n\n" + table(columns, rows)


def _bands(bands: dict[str, Any]) -> str:
    size = _number(bands["mean_size"], 2)
    note = f"{BANDS_SENTENCE} The same holds for the other bands. {size} of the 3 bands on average."
    rows = [
        [f"`{band}`", str(b["n"]), *(_number(b[figure]) for figure in ("in_set", "mean_size", "share_of_answers"))]
        for band in Band
        for b in [bands["by_true_band"][band]]
    ]
    return (
        note + "\n\n" + table(["true band", "ECGs", "in the set", "bands in the set", "in the sets of all ECGs"], rows)
    )


def _category_alarms(alarms: dict[str, Any]) -> str:
    note = (
        f"Operating points of the calibrated probability, fixed on the calibration split: there, at most "
        f"{100 * FALSE_ALARM_SHARE:g} % of the ECGs on the other side of the threshold give the alarm. Measured on the "
        "test split:"
    )
    columns = {
        "sensitivity": "sensitivity",
        "false alarms": "false_alarms",
        "positive predictive value": "positive_predictive_value",
    }
    rows = [
        [f"`{name}`", f"{a['operating_point']:.4f}", str(a["n_positive"]), *(_number(a[c]) for c in columns.values())]
        for name, a in alarms.items()
    ]
    return note + "\n\n" + table(["", "operating point", "positives", *columns], rows)


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _missing_table(missing: dict[str, dict[str, float]]) -> str:
    rows = [[n, *(_number(v[measure]) for measure in ("mae", "mae_few", "r"))] for n, v in missing.items()]
    return table(["chest leads blank", "MAE", "few", "r"], rows)


def _models(m: dict[str, Any]) -> list[tuple[str, str]]:
    titles = {"model": "this model", "l1": "L1", "l1_quantile_mapped": "L1, quantile-mapped"}
    return [(key, title) for key, title in titles.items() if key in m]


def _auroc(found: dict[str, float | None]) -> str:
    if None in (found["value"], found["lower"], found["upper"]):
        return "-"
    return f"{found['value']:.3f} ({found['lower']:.3f}-{found['upper']:.3f})"
