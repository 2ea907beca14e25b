"""The pictures of a report, from its numbers and its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from training.evaluation.html import event as words_for
from training.evaluation.html import number
from training.evaluation.predictions import Predictions
from training.evaluation.subgroups import covariate
from training.evaluation.svg import BLUE, GREEN, INK, ORANGE, PURPLE, RED, SOFT, panels
from training.metrics import Floats, has_event
from training.metrics_ranking import Ranking

_COUNTS = ListedColormap([to_rgba(BLUE, alpha) for alpha in np.linspace(0.15, 1.0, 32)])
_EVENTS = {"<3.0": PURPLE, "<3.5": BLUE, ">=5.5": ORANGE, ">=6.0": RED, ">=6.5": GREEN}

_LEAST_HEXAGONS = 200  # ECGs; fewer are drawn as dots

_ROOT_TICKS = (0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)

K_AXIS = "potassium, mmol/L"


def histogram(report: dict[str, Any], p: Predictions) -> Figure:
    """Labels, estimates and calibrated medians in steps of 0.1 mmol/L, linear and logarithmic."""
    figure, axes = panels(2, 9, 3)
    everything = np.concatenate([p.labels, p.estimates])
    first, last = int(np.floor(everything.min() * 10)), int(np.ceil(everything.max() * 10))
    edges = [(tenth - 0.5) / 10 for tenth in range(first, last + 2)]
    for ax, title in zip(axes, ("linear scale", "logarithmic scale"), strict=True):
        ax.hist(p.labels, edges, color=SOFT, alpha=0.35, label="laboratory")
        ax.hist(p.estimates, edges, histtype="step", color=BLUE, label="estimate")
        ax.hist(p.answers.medians, edges, histtype="step", color=ORANGE, label="calibrated median")
        _regions(ax, report)
        ax.set(xlabel=K_AXIS, ylabel="ECGs", title=title)
    axes[1].set_yscale("log")
    axes[1].yaxis.set_major_formatter("{x:,.0f}")
    axes[1].yaxis.set_minor_formatter(NullFormatter())
    axes[1].set_ylim(bottom=0.7)
    axes[0].legend(loc="upper right")
    return figure


def scatter(report: dict[str, Any], p: Predictions) -> Figure:
    """Estimate and calibrated median against the label, as counts in hexagons."""
    figure, axes = panels(2, 9, 4.2)
    shown = ((p.estimates, "estimate"), (p.answers.medians, "calibrated median"))
    ends = _ends(p.labels, p.estimates)
    for ax, (values, title) in zip(axes, shown, strict=True):
        _hexagons(figure, ax, p.labels, values)
        ax.plot(ends, ends, color=INK, linewidth=0.9, linestyle="--")
        _regions(ax, report)
        ax.set(xlabel="laboratory, mmol/L", ylabel=f"{title}, mmol/L", title=title, xlim=ends, ylim=ends)
        ax.set_aspect("equal")
    return figure


def bland_altman(report: dict[str, Any], p: Predictions) -> Figure:
    """Difference against the mean of both, and against the label, each with its line."""
    figure, axes = panels(2, 9, 3.8)
    agreement = report["accuracy"]["estimate"]["agreement"]
    difference = p.estimates - p.labels
    shown = (
        ((p.labels + p.estimates) / 2, "mean of both, mmol/L", "Bland-Altman", "slope_on_mean"),
        (p.labels, "laboratory, mmol/L", "regression to the mean", "slope_on_label"),
    )
    for ax, (x, name, title, key) in zip(axes, shown, strict=True):
        _hexagons(figure, ax, x, difference)
        for line in ("bias", "lower_limit", "upper_limit"):
            style, value = "-" if line == "bias" else "--", agreement[line]["value"]
            words = f"{line.replace('_', ' ')} {number(value, 2)}"
            ax.axhline(value, color=INK, linewidth=0.9, linestyle=style, label=words)
        ends = np.array([x.min(), x.max()])
        slope = agreement[key]["value"]
        ax.plot(ends, difference.mean() + slope * (ends - x.mean()), color=RED, label=f"slope {number(slope, 2)}")
        ax.set(xlabel=name, ylabel="estimate \N{MINUS SIGN} laboratory, mmol/L", title=title)
        ax.set_ylim(top=ax.get_ylim()[1] + 0.2 * np.ptp(ax.get_ylim()))
        ax.legend(loc="upper center", ncols=2)
    return figure


def roc_and_precision(p: Predictions) -> Figure:
    """ROC and precision-recall curves of the estimate for every event."""
    figure, axes = panels(2, 9, 4.2)
    for name, colour in _EVENTS.items():
        comparator, threshold = name[:-3], float(name[-3:])
        event = has_event(p.labels, comparator, threshold)
        if not 0 < event.sum() < len(event):
            continue
        curve = Ranking.of(event, p.estimates if comparator == ">=" else -p.estimates).curve(np.ones((1, len(event))))
        false, true = 1 - curve.specificity[0], curve.sensitivity[0]
        style = "-" if comparator == ">=" else "--"
        axes[0].plot([0, *false], [0, *true], style, color=colour, label=words_for(name))
        axes[1].plot(true, curve.true_alarms[0] / (curve.true_alarms + curve.false_alarms)[0], style, color=colour)
        axes[1].axhline(event.mean(), color=colour, linewidth=0.8, linestyle=":")
    axes[0].plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle=":")
    axes[0].set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC", xlim=(0, 1), ylim=(0, 1.01))
    axes[1].set(
        xlabel="recall (sensitivity)", ylabel="precision", title="precision and recall", xlim=(0, 1), ylim=(0, 1.01)
    )
    axes[0].legend(loc="lower right")
    return figure


def decision_curves(report: dict[str, Any]) -> Figure:
    """Net benefit of acting on the probability, on nobody, on everybody."""
    figure, axes = panels(2, 9, 3.4)
    for ax, (name, found) in zip(axes, report["alarms"]["decision_curves"].items(), strict=True):
        x = 100 * np.array(found["threshold_probabilities"])
        value, lower, upper = (_column(found["model"], key) for key in ("value", "lower", "upper"))
        ax.fill_between(x, lower, upper, color=BLUE, alpha=0.2, linewidth=0)
        ax.plot(x, value, color=BLUE, label="test where the probability reaches it")
        ax.plot(x, found["testing_all"], color=ORANGE, label="test everybody")
        ax.axhline(0, color=INK, linewidth=0.9, label="test nobody on account of the ECG")
        top = max(float(np.nanmax([value, upper])), 0.001)
        ax.set(xlabel="threshold probability, %", ylabel="net benefit", ylim=(-0.35 * top, 1.1 * top))
        ax.set_title(f"{words_for(name)} mmol/L")
    axes[0].legend(loc="upper right")
    return figure


def reliability_diagrams(report: dict[str, Any]) -> Figure:
    """Observed share against mean probability in bins, for high and low potassium."""
    names = (">=5.5", ">=6.0", "<3.5")
    figure, axes = panels(len(names), 9, 3.3)
    for ax, name in zip(axes, names, strict=True):
        bins = report["probabilities"][name]["bins"]
        x = np.array([b["mean_p"] for b in bins])
        value, lower, upper = (_column([b["observed"] for b in bins], key) for key in ("value", "lower", "upper"))
        ax.errorbar(x, value, [value - lower, upper - value], fmt="o", color=BLUE, markersize=4, linewidth=1.1)
        top = 1.05 * max(float(np.nanmax(upper)), float(x.max()))
        ticks = [tick for tick in _ROOT_TICKS if tick <= top]
        for axis, scale in ((ax.xaxis, ax.set_xscale), (ax.yaxis, ax.set_yscale)):
            scale("function", functions=(_root, np.square))
            axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.plot([0, top], [0, top], color=INK, linewidth=0.9, linestyle="--")
        ax.set(xlabel="mean probability", ylabel="observed share", xlim=(0, top), ylim=(0, top))
        ax.set_title(f"{words_for(name)} mmol/L")
        ax.set_aspect("equal")
    return figure


def coverages(report: dict[str, Any]) -> Figure:
    """Coverage of both kinds of interval by true and by predicted region."""
    figure, axes = panels(2, 9, 3)
    kinds = (("marginal", BLUE, -0.12), ("label_conditional", ORANGE, 0.12))
    for ax, key in zip(axes, ("by_true_region", "by_predicted_region"), strict=True):
        names: list[str] = []
        for kind, colour, shift in kinds:
            found = report["intervals"][kind][key]
            names = list(found)
            value, lower, upper = (_column([c["coverage"] for c in found.values()], k) for k in _ENDS)
            x = np.arange(len(names)) + shift
            ax.errorbar(x, value, [value - lower, upper - value], fmt="o", color=colour, label=kind.replace("_", "-"))
        ax.axhline(report["intervals"]["level"], color=INK, linewidth=0.9, linestyle="--")
        ax.set_xticks(range(len(names)), [name.replace("_", ",\n") for name in names])
        ax.set(ylabel="share that holds the label", title=key.replace("by_", "by ").replace("_", " "))
        ax.set_ylim(bottom=min(ax.get_ylim()[0], axes[0].get_ylim()[0]), top=1.02)
    axes[0].set_ylim(axes[1].get_ylim())
    axes[0].legend(loc="lower center")
    return figure


def risk_coverage(report: dict[str, Any]) -> Figure:
    """MAE of the answers kept, and of the median of all labels for the same ECGs."""
    curves = report["risk_coverage"]["ordered_by"]
    figure, axes = panels(len(curves), 9, 3.2)
    kept = 100 * np.array(report["risk_coverage"]["kept"])
    shown = (("mae", BLUE, "estimate"), ("mae_of_calibrated_median", ORANGE, "calibrated median"))
    for ax, (name, found) in zip(axes, curves.items(), strict=True):
        for key, colour, title in shown:
            ax.plot(kept, found[key], color=colour, label=title)
        ax.plot(kept, found["mae_of_the_median"], color=SOFT, linestyle="--", label="median of all labels")
        ax.set(xlabel="answers kept, %", ylabel="MAE, mmol/L", title=f"least {name} first", xlim=(0, 100))
    top = max(ax.get_ylim()[1] for ax in axes)
    for ax in axes:
        ax.set_ylim(0, top)
    axes[0].legend(loc="lower right")
    return figure


def forest(report: dict[str, Any]) -> Figure:
    """Every subgroup: MAE beside its own median predictor, AUROC for high and low potassium."""
    rows = [
        (f"{covariate(name)}: {level}  (n = {found['n']:,})", found)
        for name, groups in report["subgroups"]["by_covariate"].items()
        for level, found in groups.items()
        if not found["is_too_small"]
    ]
    figure, axes = panels(3, 9.4, 0.9 + 0.2 * max(len(rows), 3))
    y = np.arange(len(rows), dtype=np.float64)[::-1]
    measured = [found for _, found in rows]
    _dots(axes[0], [m["mae"] for m in measured], y, BLUE)
    axes[0].plot([m["mae_of_the_median"] for m in measured], y, "|", color=RED, markersize=9, markeredgewidth=1.6)
    _dots(axes[1], [m["auroc"][">=5.5"] for m in measured], y, ORANGE)
    _dots(axes[2], [m["auroc"]["<3.5"] for m in measured], y, PURPLE)
    for ax, title in zip(
        axes,
        ("MAE, mmol/L", f"AUROC, {words_for('>=5.5')}", f"AUROC, {words_for('<3.5')}"),
        strict=True,
    ):
        ax.set_yticks(y, [title for title, _ in rows] if ax is axes[0] else [""] * len(rows))
        ax.set_title(title)
        ax.set_ylim(-0.8, len(rows) - 0.2)
        ax.tick_params(axis="y", length=0, labelsize=8)
    return figure


_ENDS = ("value", "lower", "upper")


def _dots(ax: Axes, found: Sequence[dict[str, float | None] | None], y: Floats, colour: str) -> None:
    given = [({} if f is None else f) for f in found]
    value, lower, upper = (_column(given, key) for key in _ENDS)
    ax.errorbar(value, y, xerr=[value - lower, upper - value], fmt="o", color=colour, markersize=4, linewidth=1.1)


def _root(p: Floats) -> Floats:
    return np.sqrt(np.maximum(p, 0))


def _column(found: Sequence[dict[str, Any]], key: str) -> Floats:
    return np.array([np.nan if f.get(key) is None else f[key] for f in found], dtype=np.float64)


def _hexagons(figure: Figure, ax: Axes, x: Floats, y: Floats) -> None:
    """Counts of many ECGs, or a few as they are."""
    if len(x) < _LEAST_HEXAGONS:
        ax.plot(x, y, "o", color=BLUE, alpha=0.5, markersize=4)
        return
    drawn = ax.hexbin(x, y, gridsize=42, cmap=_COUNTS, norm=LogNorm(vmin=1), mincnt=1, linewidths=0.1)
    _, most = drawn.get_clim()
    ticks = [tick for power in range(7) for tick in (10**power, 3 * 10**power) if tick <= most]
    bar = figure.colorbar(drawn, ax=ax, shrink=0.7, pad=0.02, ticks=ticks, format="%d")
    bar.minorticks_off()
    bar.set_label("ECGs")


def _regions(ax: Axes, report: dict[str, Any]) -> None:
    for edge in report["labels"]["region_edges_mmol_l"]:
        ax.axvline(edge, color=SOFT, linewidth=0.9, linestyle=":", zorder=0.6)


def _ends(*values: Floats) -> tuple[float, float]:
    everything = np.concatenate(values)
    return float(np.floor(everything.min() * 2 - 0.2) / 2), float(np.ceil(everything.max() * 2 + 0.2) / 2)
