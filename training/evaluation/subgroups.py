"""The same measures in parts of the test split: by every covariate that the cohort has."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.alarms import auroc_of
from training.evaluation.options import MeasureOptions
from training.evaluation.predictions import Predictions
from training.metrics import has_event
from training.metrics_bootstrap import bootstrap, mean_of

LEAST = 50
"""ECGs of a group that is measured; smaller ones are named with their number."""

LEAST_EVENTS = 10  # on either side, for an AUROC

MOST_LEVELS = 12
"""Distinct values, words or whole numbers, that stand for themselves."""

EXPECTED = {
    "sex": ("male", "sex", "gender"),
    "age": ("age_years", "age"),
    "gap to the laboratory sample": ("gap_min",),
    "signal quality": ("quality", "grade"),
    "QRS width": ("qrs_ms",),
    "rhythm": ("atrial_fibrillation", "rhythm"),
}
"""Subgroups that every report should have, and the columns that they come from."""

EDGES = {"age_years": (40, 60, 80), "age": (40, 60, 80), "gap_min": (-30, 0, 30), "qrs_ms": (100, 120)}
"""Where a number is cut, in its unit; other numbers are cut at their quartiles."""

_LEVELS = {"male": {"True": "male", "False": "female"}}

_TITLES = {
    "male": "sex",
    "gap_min": "gap to the laboratory sample, min",
    "qrs_ms": "QRS width, ms",
    "hr_bpm": "heart rate, bpm",
    "pr_ms": "PR, ms",
    "qtc_ms": "QTc, ms",
    "qrs_kind": "QRS",
    "reversal": "cables interchanged",
    "ckd": "kidney disease",
    "lvh": "left ventricular hypertrophy",
    "pvc": "ventricular extrasystoles",
    "qt_drug": "drug that lengthens QT",
}
_UNITS = ("ms", "bpm", "years", "min")

_NOT_STATED = "not stated"

Parts = list[tuple[str, NDArray[np.bool_]]]


def subgroups(p: Predictions, options: MeasureOptions) -> dict[str, Any]:
    """Every covariate with its groups, those of :data:`EXPECTED` first; what is missing and what cannot be grouped."""
    wanted = [name for names in EXPECTED.values() for name in names if name in p.covariates]
    names = [*wanted, *sorted(set(p.covariates) - set(wanted))]
    groups = {name: parts(name, p.covariates[name]) for name in names}
    return {
        "least_ecgs": LEAST,
        "not_recorded": [title for title, known in EXPECTED.items() if not any(groups.get(name) for name in known)],
        "not_grouped": [name for name, found in groups.items() if not found],
        "by_covariate": {
            name: {level: _measured(p, members, options) for level, members in found}
            for name, found in groups.items()
            if found
        },
    }


def covariate(name: str) -> str:
    """A column in words, its unit behind a comma."""
    if name in _TITLES:
        return _TITLES[name]
    words, _, unit = name.rpartition("_")
    return f"{words}, {unit}".replace("_", " ") if words and unit in _UNITS else name.replace("_", " ")


def parts(name: str, column: NDArray[Any]) -> Parts:
    """The groups of one covariate (n,), by level or by range, and those without a value; none for a column that
    groups nobody, such as a time or an identifier."""
    if column.dtype.kind in "bOUS":
        return _levels(name, np.array([_NOT_STATED if _is_absent(v) else str(v) for v in column.tolist()]))
    if column.dtype.kind not in "iuf":
        return []
    values = column.astype(np.float64)
    distinct = np.unique(values[~np.isnan(values)])
    if name in EDGES and len(distinct):
        return _ranges(values, EDGES[name])
    if len(distinct) <= MOST_LEVELS and (distinct == np.rint(distinct)).all():
        return _levels(name, np.array([_NOT_STATED if np.isnan(v) else f"{v:g}" for v in values]))
    return _ranges(values, tuple(np.nanquantile(values, [0.25, 0.5, 0.75])))


def _is_absent(value: object) -> bool:
    return value is None or value == "" or value != value


def _levels(name: str, values: NDArray[np.str_]) -> Parts:
    levels = sorted(set(values.tolist()), key=lambda level: (level == _NOT_STATED, level))
    if len(levels) > MOST_LEVELS or levels == [_NOT_STATED]:
        return []
    words = {"True": "yes", "False": "no"} | _LEVELS.get(name, {})
    return [(words.get(level, level), values == level) for level in levels]


def _ranges(values: NDArray[np.float64], edges: tuple[float, ...]) -> Parts:
    edges = tuple(dict.fromkeys(float(edge) for edge in edges))
    where = np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right"))
    between = [f"{low:.3g} to < {high:.3g}" for low, high in pairwise(edges)]
    titles = [f"< {edges[0]:.3g}", *between, f">= {edges[-1]:.3g}"]
    found = [(title, where == i) for i, title in enumerate(titles)]
    return [*found, *([(_NOT_STATED, where == -1)] if (where == -1).any() else [])]


def _measured(p: Predictions, members: NDArray[np.bool_], options: MeasureOptions) -> dict[str, Any]:
    labels, estimates, patients = p.labels[members], p.estimates[members], p.patients[members]
    if len(labels) < LEAST:
        return {"n": len(labels), "is_too_small": True}
    error = estimates - labels
    columns = np.column_stack([np.abs(error), error])
    mae, bias = bootstrap(mean_of(columns), patients, options.resamples, options.seed)
    events = {">=5.5": has_event(labels, ">=", 5.5), "<3.5": has_event(labels, "<", 3.5)}
    scores = {">=5.5": estimates, "<3.5": -estimates}
    return {
        "n": len(labels),
        "is_too_small": False,
        "sd_labels": labels.std(),
        "mae": mae,
        "bias": bias,
        "mae_of_the_median": np.abs(labels - np.median(labels)).mean(),
        "n_events": {name: int(event.sum()) for name, event in events.items()},
        "auroc": {
            name: auroc_of(event, scores[name], patients, options) if _enough(event) else None
            for name, event in events.items()
        },
    }


def _enough(event: NDArray[np.bool_]) -> bool:
    return min(int(event.sum()), int((~event).sum())) >= LEAST_EVENTS
