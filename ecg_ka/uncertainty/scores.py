"""Sorted conformal scores and their exact finite-sample quantile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]

LOW_MMOL_L = 3.5
"""Below it potassium is low."""

HIGH_MMOL_L = 5.5
"""From here on potassium is high: coverage is told for these ECGs apart."""

ROUNDING = 1e-6
"""Labels come in steps of 0.1, so an edge must not depend on the last bit of a float."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """What the network gives for some ECGs, beside the truth: (n,) each in mmol/L. Where they calibrate, one ECG
    a patient."""

    estimates: NDArray[np.float64]
    spreads: NDArray[np.float64]
    labels: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        """All of several parts, in order."""
        columns = zip(*((p.estimates, p.spreads, p.labels) for p in parts), strict=True)
        return cls(*map(np.concatenate, columns))

    def where(self, chosen: NDArray[np.bool_]) -> Pairs:
        """Those of the chosen ECGs (n,)."""
        return Pairs(self.estimates[chosen], self.spreads[chosen], self.labels[chosen])


def quantile(scores: Scores, level: float) -> float:
    """The ceil((n + 1) level)-th smallest of sorted scores (n,), infinite when n is too small for that.

    A further score, exchangeable with these, is at most as large with probability at least ``level`` (Vovk et al.,
    Algorithmic Learning in a Random World, 2005).
    """
    rank = math.ceil(level * (len(scores) + 1) - 1e-9)
    return float(scores[rank - 1]) if rank <= len(scores) else math.inf


def share_below(reach: Scores, level: float) -> float | None:
    """Share of sorted values (m,) below a level; None when there are none."""
    return float(reach.searchsorted(level - ROUNDING) / len(reach)) if len(reach) else None


def ascending(name: str, scores: Scores) -> None:
    """Raises:
    ValueError: the scores are not a row of finite ascending float32.
    """
    if (
        scores.ndim != 1
        or scores.dtype != np.float32
        or not np.isfinite(scores).all()
        or (scores[1:] < scores[:-1]).any()
    ):
        raise ValueError(f"the scores of {name!r} are not finite and ascending float32")
