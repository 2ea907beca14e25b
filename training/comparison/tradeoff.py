"""How far the few-shot error falls below that of L1, and at what many-shot price."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.comparison.gain import Difference, changes
from training.comparison.methods import BACKBONE, CURVE, FRONT, Method
from training.comparison.results import Group
from training.markdown import table
from training.metrics import Floats

GOAL = 0.25  # few-shot MAE at least this share below L1, many-shot MAE at most this share above it

_COLUMNS = {
    "few": "mae_few",
    "many": "mae_many",
    "median": "mae_median",
    "balanced": "balanced_mae",
    "all": "mae",
}


def verdict(group: Group) -> str:
    """What was reached, in words and as a table of changes against the L1 backbone."""
    rows = [
        [method.title, *(f"{100 * group.change(method.name, measure):+.1f} %" for measure in _COLUMNS.values())]
        for method in sorted(group.methods, key=lambda m: group.change(m.name, "mae_few"))
    ]
    words = [_reached(group), *(_on_curve(group, methods, title) for methods, title in _CURVES)]
    return f"**{group.title}.** " + " ".join(filter(None, words)) + "\n\n" + table(["MAE against L1", *_COLUMNS], rows)


_CURVES: tuple[tuple[Sequence[Method], str], ...] = (
    (CURVE, "Dist Loss with inverse weights over lambda"),
    (FRONT, "The reference curve, L1 on many- and few-shot labels alone"),
)


def _reached(group: Group) -> str:
    within = [m for m in group.methods if group.change(m.name, "mae_many") <= GOAL]
    best = min(within, key=lambda m: group.change(m.name, "mae_few"))
    found = changes(group.cells[best.name], group.cells[BACKBONE.name])
    few, many = found["few-shot MAE"], found["many-shot MAE"]
    by_seed = [", ".join(f"{100 * c:+.1f}" for c in change.by_seed) for change in (few, many)]
    count = sum(group.change(m.name, "mae_few") <= -GOAL for m in within)
    reached = f"Reached by {count} of {len(group.methods)} methods" if count else "No method reaches it"
    return (
        f"{reached}. The lowest few-shot MAE at a many-shot MAE at most {100 * GOAL:.0f} % above that of L1 is that of "
        f"{best.title}: {_percent(few)} at {_percent(many)} (by seed {by_seed[0]} at {by_seed[1]} %), the best of "
        f"{len(group.methods)} on the test split."
    )


def _percent(change: Difference) -> str:
    """With its 95 % interval of other test patients."""
    return f"{100 * change.value:+.1f} % ({100 * change.lower:+.1f} to {100 * change.upper:+.1f})"


def _on_curve(group: Group, methods: Sequence[Method], title: str) -> str:
    """Where a curve crosses either goal; nothing if the group does not have it."""
    if any(m.name not in group.cells for m in methods):
        return ""
    many, few = (np.array([group.change(m.name, measure) for m in methods]) for measure in ("mae_many", "mae_few"))
    return f"{title}: {_at(many, few, GOAL, 'few', 'many')}; {_at(few, many, -GOAL, 'many', 'few')}."


def _at(x: Floats, y: Floats, goal: float, y_name: str, x_name: str) -> str:
    """y where x is at its goal, between the points that were trained."""
    if not x.min() <= goal <= x.max():
        return f"{x_name} from {100 * x.min():+.1f} % to {100 * x.max():+.1f} %, never at {100 * goal:+.0f} %"
    order = np.argsort(x)
    return f"{y_name} {100 * np.interp(goal, x[order], y[order]):+.1f} % where {x_name} is at {100 * goal:+.0f} %"
