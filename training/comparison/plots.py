"""The pictures of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ecg_ka.uncertainty import Regions
from training.comparison.methods import BACKBONE, CURVE, DIST_WHOLE, FRONT, PAPER, QUANTILE_MAP, Method, Stage
from training.comparison.results import Group
from training.metrics import Floats, regression_metrics

EDGES_MMOL_L = [bin_10 / 10 + 0.05 for bin_10 in range(17, 96)]
LEAST_IN_BIN = 5  # ECGs over all seeds, for a point of the error by label
BLENDS = np.linspace(0, 1.5, 16)  # 0 the backbone, 1 the quantile mapping

_MARKERS = {
    Stage.BACKBONE: "*",
    Stage.HEAD: "o",
    Stage.END_TO_END: "^",
    Stage.QUANTILE_MAP: "s",
    Stage.STRETCH: "s",
}


def draw(group: Group, folder: Path) -> list[Path]:
    """Draw histograms, error by label and trade-off into ``folder``; the files are named after the group."""
    pictures: list[tuple[str, Callable[[Group], Figure]]] = [("tradeoff", tradeoff), ("error", error_by_label)]
    pictures.append(("histogram", histograms))
    paths = []
    for name, picture in pictures:
        path = folder / f"{group.name}-{name}.png"
        picture(group).savefig(path, dpi=90, metadata={"Software": None})
        paths.append(path)
    return paths


def histograms(group: Group) -> Figure:
    """Labels and estimates of a few methods, all seeds together."""
    shown = _shown(group)
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    for i, method in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), i + 1)
        labels, estimates = pooled(group, method.name)
        axes.hist(labels, EDGES_MMOL_L, color="0.8", label="labels")
        axes.hist(estimates, EDGES_MMOL_L, histtype="step", color="C0", label="estimates")
        axes.set_yscale("log")
        axes.set_title(method.title, fontsize=8)
        axes.set_xlabel("potassium, mmol/L", fontsize=8)
        axes.tick_params(labelsize=7)
        if i == 0:
            axes.set_ylabel("ECGs", fontsize=8)
            axes.legend(fontsize=7)
    return figure


def error_by_label(group: Group) -> Figure:
    """MAE at each label, rounded to 0.2 mmol/L, all seeds together."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    for method in _shown(group):
        labels, estimates = pooled(group, method.name)
        bins = np.rint(labels * 5).astype(np.int64)
        at = [b for b in np.unique(bins) if (bins == b).sum() >= LEAST_IN_BIN]
        error = np.abs(estimates - labels)
        axes.plot([b / 5 for b in at], [error[bins == b].mean() for b in at], marker=".", label=method.title)
    r = Regions()
    for edge in (r.few_low, r.many_low, r.many_high, r.few_high):
        axes.axvline(edge, color="0.8", linewidth=0.8, zorder=0)
    _name_axes(axes, "potassium by the laboratory, mmol/L", "MAE, mmol/L")
    axes.legend(fontsize=8)
    return figure


def tradeoff(group: Group) -> Figure:
    """Few-shot against many-shot MAE: all methods, Dist Loss over lambda, and what costs nothing."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot()
    free = free_curve(group)
    axes.plot(free[:, 0], free[:, 1], color="0.6", linestyle="--", label="L1 blended with its quantile mapping")
    for methods, color, label in (
        (CURVE, "C3", "Dist Loss, INV, over lambda"),
        (FRONT, "C1", "reference: L1 on many and few alone"),
    ):
        curve = [point(group, method) for method in methods if method.name in group.cells]
        if curve:
            axes.plot(*zip(*curve, strict=True), color=color, label=label)
    for i, method in enumerate(group.methods, start=1):
        x, y = point(group, method)
        color = _color(method)
        axes.plot(x, y, _MARKERS[method.stage], color=color, label=f"{i} {method.title}", linestyle="none")
        axes.annotate(str(i), (x, y), xytext=(4, 3), textcoords="offset points", fontsize=8)
    _name_axes(axes, "many-shot MAE, mmol/L", "few-shot MAE, mmol/L")
    figure.legend(fontsize=7, loc="outside right upper")
    return figure


def free_curve(group: Group) -> Floats:
    """Many- and few-shot MAE (16, 2) of estimates between those of the backbone and their quantile mapping, and
    beyond; mean over seeds."""
    points = []
    for before, after in zip(group.cells[BACKBONE.name], group.cells[QUANTILE_MAP.name], strict=True):
        labels, plain, mapped = before.outcome.labels, before.outcome.estimates, after.outcome.estimates
        found = [regression_metrics(labels, plain + blend * (mapped - plain), Regions()) for blend in BLENDS]
        points.append([(m["mae_many"], m["mae_few"]) for m in found])
    return np.asarray(np.mean(points, axis=0), dtype=np.float64)


def pooled(group: Group, method: str) -> tuple[Floats, Floats]:
    """Labels and estimates of all seeds, one after the other."""
    outcomes = [cell.outcome for cell in group.cells[method]]
    return np.concatenate([o.labels for o in outcomes]), np.concatenate([o.estimates for o in outcomes])


def _shown(group: Group) -> Sequence[Method]:
    dist = PAPER if PAPER.name in group.cells else DIST_WHOLE
    sqinv = next(method for method in group.methods if method.name == "sqinv")
    return (BACKBONE, QUANTILE_MAP, sqinv, dist)


def _color(method: Method) -> str:
    by_name = {"dist": "C3", "front": "C1"}
    return next(
        (c for start, c in by_name.items() if method.name.startswith(start)), "C2" if method.is_control else "C0"
    )


def point(group: Group, method: Method) -> tuple[float, float]:
    """Many- and few-shot MAE, means over seeds."""
    return group.spread(method.name, "mae_many").mean, group.spread(method.name, "mae_few").mean


def _name_axes(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color="0.93")
    axes.set_axisbelow(True)
