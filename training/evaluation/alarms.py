"""How well high and low potassium are told apart, what an alarm would be worth, and for whom acting on it helps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecg_ka.uncertainty import OperatingPoints
from training.evaluation.options import MeasureOptions
from training.evaluation.predictions import Predictions
from training.metrics import ALARMS, Floats, has_event
from training.metrics_bootstrap import Measured, Statistic, bootstrap, divided, share
from training.metrics_probability import net_benefit, net_benefit_of_testing_all
from training.metrics_ranking import Ranking, predictive_values

SPECIFICITIES = (0.80, 0.90, 0.95, 0.99)
SENSITIVITIES = (0.80, 0.90, 0.95)
PREVALENCES = (0.005, 0.01, 0.02, 0.05, 0.10, 0.20)
THRESHOLD_PROBABILITIES = np.round(np.concatenate([np.arange(0.005, 0.05, 0.005), np.arange(0.05, 0.51, 0.01)]), 4)

_STATED = {">=5.5": (">=", 5.5), "<3.5": ("<", 3.5)}
"""Events that operating points of the bundle, a stated prevalence and a decision curve exist for."""

_NOTHING = Measured(float("nan"), float("nan"), float("nan"))


def alarms(p: Predictions, points: OperatingPoints, options: MeasureOptions) -> dict[str, Any]:
    """Ranking of all events; predictive values and decision curves of those in :data:`_STATED`."""
    operating = {">=5.5": points.at_least_5_5, "<3.5": points.below_3_5}
    stated = {">=5.5": options.prevalence, "<3.5": options.prevalence_low}
    return {
        "ranking": {f"{c}{t}": _event(p, c, t, options) for c, t in ALARMS},
        "predictive_values": {
            name: _at_the_operating_point(p, event, operating[name], stated[name], options)
            for name, event in _STATED.items()
        },
        "decision_curves": {name: _decision_curve(p, event, options) for name, event in _STATED.items()},
    }


def _event(p: Predictions, comparator: str, threshold: float, options: MeasureOptions) -> dict[str, Any]:
    event = has_event(p.labels, comparator, threshold)
    sign = 1 if comparator == ">=" else -1
    by_estimate = ranked(event, sign * p.estimates, p.patients, options)
    by_probability = ranked(event, p.answers.p(comparator, threshold), p.patients, options)
    return {
        "n_events": int(event.sum()),
        "share": share(int(event.sum()), len(event)),
        "estimate": by_estimate,
        "probability": by_probability,
    }


def ranked(
    event: NDArray[np.bool_], scores: Floats, patients: NDArray[np.int64], options: MeasureOptions
) -> dict[str, Any]:
    """AUROC, AUPRC, sensitivities at fixed specificities and the reverse, with intervals."""
    values = bootstrap(_ranking(event, scores), patients, options.resamples, options.seed)
    n = len(SPECIFICITIES)
    return {
        "auroc": values[0],
        "auprc": values[1],
        "sensitivity_at_specificity": dict(zip(map(_percent, SPECIFICITIES), values[2 : 2 + n], strict=True)),
        "specificity_at_sensitivity": dict(zip(map(_percent, SENSITIVITIES), values[2 + n :], strict=True)),
    }


def _ranking(event: NDArray[np.bool_], scores: Floats) -> Statistic:
    ranking = Ranking.of(event, scores)

    def values(counts: Floats) -> Floats:
        curve = ranking.curve(counts)
        sensitivities = [curve.at_specificity(s)[0] for s in SPECIFICITIES]
        specificities = [curve.at_sensitivity(s)[1] for s in SENSITIVITIES]
        return np.stack([curve.auroc(), curve.average_precision(), *sensitivities, *specificities], axis=1)

    return values


def auroc_of(
    event: NDArray[np.bool_], scores: Floats, patients: NDArray[np.int64], options: MeasureOptions
) -> Measured:
    """AUROC alone, for a small group; NaN without both kinds of ECG."""
    if not 0 < event.sum() < len(event):
        return _NOTHING
    ranking = Ranking.of(event, scores)
    return bootstrap(lambda c: ranking.curve(c).auroc()[:, None], patients, options.resamples, options.seed)[0]


def _at_the_operating_point(
    p: Predictions, event: tuple[str, float], operating_point: float, stated: float | None, options: MeasureOptions
) -> dict[str, Any]:
    """At the operating point of the bundle, fixed on its calibration split: sensitivity and specificity on the test
    split, and what follows from them by Bayes' theorem where the share of events is another."""
    truth, raised = has_event(p.labels, *event), p.answers.p(*event) > operating_point
    prevalences = (float(truth.mean()) if stated is None else stated, *PREVALENCES)
    found = bootstrap(_re_weighted(truth, raised, prevalences), p.patients, options.resamples, options.seed)
    rows = [
        {"prevalence": prevalence, **dict(zip(_RE_WEIGHTED, values, strict=True))}
        for prevalence, *values in zip(prevalences, *(found[i::3] for i in range(3)), strict=True)
    ]
    return {
        "operating_point": operating_point,
        "sensitivity": share(int(raised[truth].sum()), int(truth.sum())),
        "specificity": share(int((~raised[~truth]).sum()), int((~truth).sum())),
        "observed_positive_predictive_value": share(int(truth[raised].sum()), int(raised.sum())),
        "stated_by": "the test split" if stated is None else "the user",
        "stated": rows[0],
        "elsewhere": rows[1:],
    }


_RE_WEIGHTED = ("positive_predictive_value", "negative_predictive_value", "alarms_per_1000")


def _re_weighted(truth: NDArray[np.bool_], raised: NDArray[np.bool_], prevalences: Sequence[float]) -> Statistic:
    """Statistic of the three values of :data:`_RE_WEIGHTED` for each prevalence in turn."""

    def values(counts: Floats) -> Floats:
        sensitivity = divided(counts @ (raised & truth), counts @ truth)
        specificity = divided(counts @ (~raised & ~truth), counts @ ~truth)
        columns: list[Floats] = []
        for share_of_events in prevalences:
            alarms = sensitivity * share_of_events + (1 - specificity) * (1 - share_of_events)
            columns += [*predictive_values(sensitivity, specificity, share_of_events), 1000 * alarms]
        return np.stack(columns, axis=1)

    return values


def _decision_curve(p: Predictions, event: tuple[str, float], options: MeasureOptions) -> dict[str, Any]:
    truth = has_event(p.labels, *event)
    model = net_benefit(p.answers.p(*event), truth, THRESHOLD_PROBABILITIES)
    return {
        "threshold_probabilities": THRESHOLD_PROBABILITIES,
        "model": bootstrap(model, p.patients, options.resamples, options.seed),
        "testing_all": net_benefit_of_testing_all(float(truth.mean()), THRESHOLD_PROBABILITIES),
    }


def _percent(share_of_ecgs: float) -> str:
    return f"{100 * share_of_ecgs:g} %"
